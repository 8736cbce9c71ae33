"""The first stage of an epoch: learning from each of its batches."""

from collections.abc import Iterable

from torch import Tensor

from demucs.console import tracked
from demucs.data import training_loader
from demucs.data.batch import Batch
from demucs.data.loader import TrainingLoader
from demucs.training.distributed.averages import Averages
from demucs.training.optim.optimizer import rate_factor
from demucs.training.stages.context import Context, Metrics
from demucs.training.step import diverged, place_seed

SHOWN = ("loss", "grad")


def train_stage(context: Context) -> Metrics | None:
    """Every batch of the epoch that is left; none of an epoch that was cut (`fit_to_songs`).

    Returns:
        Means of what the steps measured, `skipped` as a share of all steps; None if the run is to
        stop (`context.state` knows where).

    Raises:
        DivergedError: nothing is learnt any more.
        AudioError: names the file that could not be read.
    """
    state, group = context.state, context.group
    averages = Averages.resumed(state.sums, group)
    if "cut" not in state.pending and not _train_batches(context, averages):
        state.sums = group.gathered(averages.sums)
        return None
    means = averages.means(group)
    if "loss" not in means:
        raise diverged("no step of the epoch had a gradient that is finite", context.options)
    for average in state.epoch_averages.values():
        average.update(context.model)
    return means


def _train_batches(context: Context, averages: Averages) -> bool:
    """A step for each batch that is left; false if the run is to stop before the last."""
    state, group = context.state, context.group
    context.model.train()
    with _loader(context) as loader:
        for examples in _shown(loader, averages, context):
            rate = _rate(context)
            batch = _labelled(Batch.of(examples).to(group.device), context)
            measures = context.step(
                batch, state.epoch, state.batch, rate=rate, attempt=state.attempt
            )
            averages.update({"skipped": 0.0, **measures})  # its mean is then a share of all steps
            context.monitor.step(context.steps, measures, rate)
            for average in state.batch_averages.values():
                average.update(context.model)
            state.batch += 1
            context.stop.worked()
            if group.any(context.stop.wanted()):
                return False
    return True


def _loader(context: Context) -> TrainingLoader:
    """Reads the batches that are left, of this rank."""
    state, group = context.state, context.group
    return training_loader(
        context.songs.training,
        batch_size=context.options.batch_size,
        epoch=state.epoch,
        seed=context.options.seed + state.attempt,  # after a roll-back, other examples
        start_batch=state.batch,
        rank=group.rank,
        world_size=group.world_size,
        num_workers=context.num_workers,
        max_batches=context.batches,
    )


def _shown(
    loader: TrainingLoader, averages: Averages, context: Context
) -> Iterable[Tensor | Batch]:
    """The batches of `loader`, with progress in the log of the first rank."""
    return tracked(
        loader,
        total=context.batches,
        start=context.state.batch,
        name=context.title("train"),
        prints=context.options.misc.num_prints,
        quiet=not context.group.is_first,
        infos=lambda: {k: v for k, v in averages.means().items() if k in SHOWN},
    )


def _labelled(batch: Batch, context: Context) -> Batch:
    """The batch, with stems of its unlabelled mixtures by the teacher, if the run has one."""
    state, share = context.state, len(batch.stems)
    if state.teacher is None:
        return batch
    return state.teacher.label(
        batch,
        place=place_seed(context.options.seed, state.epoch, state.batch, state.attempt),
        first=context.group.rank * share,
        size=context.options.micro_batch or share,
        autocast=context.step.precision.autocast(),
    )


def _rate(context: Context) -> float:
    """The share of `optim.lr` at the present step."""
    optim = context.options.optim
    return rate_factor(
        context.steps,
        context.options.epochs * context.batches,
        warmup=optim.warmup,
        schedule=optim.schedule,
        final=optim.final_lr,
    )
