"""The second stage of an epoch: validating the model and its averages, and keeping the best."""

import logging
import math
from functools import partial

import torch

from demucs.training.optim.ema import Best, best_name, is_better
from demucs.training.optim.quantise import judged
from demucs.training.optim.svd import svd_penalty
from demucs.training.stages.context import Context, Metrics
from demucs.training.stages.refresh import renew_teacher
from demucs.training.stages.validation import Measures, means, measure, separate
from demucs.training.state import cpu_state
from demucs.training.step import diverged

logger = logging.getLogger(__name__)

EXPLODED = 100.0  # times the best validation loss so far
MOST_LOSS = 1000.0  # in the first epoch; of a silent estimate it is below 1


def valid_stage(context: Context) -> Metrics | None:
    """The model and each moving average, of which the best is kept if it is so of all epochs.

    Returns:
        The measures of the best, and of all by name (`main`, `ema_batch_0`, …), which of them it is
        (`bname`), the best value so far (`best`), the exact `penalty`, `ms`, the MB of a
        quantised model, and what `renew_teacher` tells. None if the run is to stop.

    Raises:
        DivergedError: the model is worth nothing any more.
    """
    state, metric = context.state, context.options.test.metric
    measures: dict[str, Measures] = state.pending.setdefault("measures", {})
    for name in ("main", *state.averages):
        title = context.title("valid" if name == "main" else f"valid {name}")
        average = state.averages.get(name)
        weights = None if average is None else average.state
        with judged(context.model, weights, context.quantiser) as model:
            measures[name] = measure(
                model, context.songs.valid, context.options, context.group, context.stop,
                name=title, done=measures.get(name, {}),
            )  # fmt: skip
            if len(measures[name]) < len(context.songs.valid):
                return None
            if name == "main":
                device = context.group.device
                context.monitor.sound(
                    state.epoch + 1,
                    partial(separate, model, options=context.options, device=device),
                )
    results = {name: means(excerpts, context.options) for name, excerpts in measures.items()}
    _check_sound(context, results["main"]["loss"])
    del state.pending["measures"]
    chosen = best_name(metric, results)
    if metric not in results[chosen]:
        logger.warning("no validation song has a value of test.metric=%s: no state is kept", metric)
    _keep_best(context, chosen, results[chosen].get(metric, math.nan))
    metrics: Metrics = {**results, **results[chosen], "bname": chosen}
    metrics["best"] = None if state.best is None else state.best.metric
    metrics.update(renew_teacher(context))
    if context.options.svd.penalty > 0:
        with torch.no_grad():
            penalty = svd_penalty(context.model, context.options.svd, exact=True)
        metrics["penalty"] = float(penalty)
    if context.quantiser is not None:
        average = state.averages.get(chosen)
        metrics["ms"] = context.quantiser.true_size(None if average is None else average.state)
    return metrics


def _check_sound(context: Context, loss: float) -> None:
    """Refuses weights that have exploded, before they are saved as if they were good."""
    losses = [epoch["valid"]["main"]["loss"] for epoch in context.state.history]
    best = min(losses, default=math.nan)
    limit = EXPLODED * best if losses else MOST_LOSS
    if not loss <= limit:  # also if it is NaN
        raise diverged(
            f"the validation loss is {loss:.4g}, and the best so far {best:.4g}", context.options
        )


def _keep_best(context: Context, name: str, value: float) -> None:
    state, metric = context.state, context.options.test.metric
    if not is_better(metric, value, None if state.best is None else state.best.metric):
        return
    average = state.averages.get(name)
    weights = None if average is None else average.state
    with judged(context.model, weights, context.quantiser) as model:
        kept = cpu_state(model)
    state.best = Best(state=kept, epoch=state.epoch + 1, name=metric, metric=value, weights=name)
