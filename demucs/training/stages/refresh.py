"""Measuring the teacher and the best state on the validation songs, and exchanging the teacher."""

import logging
import math
from dataclasses import replace

from demucs.training.optim.ema import is_better
from demucs.training.optim.quantise import judged
from demucs.training.stages.context import Context, Metrics
from demucs.training.stages.validation import means, measure

logger = logging.getLogger(__name__)


def judge_teacher(context: Context) -> bool:
    """Measures the first teacher on the validation songs; false if the run is to stop."""
    teacher, metric = context.state.teacher, context.options.test.metric
    if teacher is None or teacher.metric is not None:
        return True
    measures = measure(
        teacher.model, context.songs.valid, context.options, context.group, context.stop,
        name="valid teacher",
    )  # fmt: skip
    if len(measures) < len(context.songs.valid):
        return False
    teacher.metric = means(measures, context.options).get(metric, math.nan)
    logger.info("the teacher is %s, with %s %.4f", teacher.origin, metric, teacher.metric)
    return True


def judge_best(context: Context) -> bool:
    """Measures the best state again where the validation songs are others than it was best on.

    Returns:
        False if the run is to stop; it is then measured when the run is resumed.
    """
    state, options = context.state, context.options
    if "judge_best" not in state.pending or state.best is None:
        return True
    with judged(context.model, state.best.state, context.quantiser, final=True) as model:
        measures = measure(
            model, context.songs.valid, options, context.group, context.stop, name="valid best"
        )
    if len(measures) < len(context.songs.valid):
        return False
    metric = means(measures, options).get(state.best.name, math.nan)
    logger.info(
        "the best state, of epoch %d, has %s %.4f on the validation songs as they are now; it was "
        "%.4f", state.best.epoch, state.best.name, metric, state.best.metric,
    )  # fmt: skip
    state.best = replace(state.best, metric=metric)
    del state.pending["judge_best"]
    return True


def renew_teacher(context: Context) -> Metrics:
    """Puts the student's best state in the teacher's place, if it is better.

    Returns:
        `teacher`, the value of `test.metric` of the teacher of this epoch, and `refreshed`, 1 if
        the next one has another; nothing without a teacher.
    """
    state, metric = context.state, context.options.test.metric
    teacher, best = state.teacher, state.best
    if teacher is None:
        return {}
    before = teacher.metric
    assert before is not None
    better = best is not None and is_better(
        metric, best.metric, before if math.isfinite(before) else None
    )
    if better:
        assert best is not None
        teacher.replace(best)
        logger.info(
            "the student takes the teacher's place: %s %.4f, and the teacher had %.4f",
            metric, best.metric, before,
        )  # fmt: skip
    return {"teacher": before, "refreshed": int(better)}
