"""The first stage of an epoch: learning from each of its batches."""

from collections.abc import Iterable

from torch import Tensor

from demucs.data import training_loader
from demucs.data.batch import Batch
from demucs.data.loader import TrainingLoader
from demucs.training.distributed.averages import Averages
from demucs.training.monitor.progress import tracked
from demucs.training.optim.optimizer import rate_factor
from demucs.training.stages.context import Metrics, Parts
from demucs.training.step import diverged, place_seed

SHOWN = ("loss", "grad")


def train_stage(parts: Parts) -> Metrics | None:
    """Every batch of the epoch that is left; none of an epoch that was cut (`fit_to_songs`).

    Returns:
        Means of what the steps measured, `skipped` as a share of all steps; None if the run is to
        stop (`parts.state` knows where).

    Raises:
        DivergedError: nothing is learnt any more.
        AudioError: names the file that could not be read.
    """
    state, workers = parts.state, parts.workers
    averages = Averages.resumed(state.sums, workers)
    if "cut" not in state.pending and not _train_batches(parts, averages):
        state.sums = workers.gathered(averages.sums)
        return None
    means = averages.means(workers)
    if "loss" not in means:
        raise diverged("no step of the epoch had a gradient that is finite", parts.options)
    for average in state.epoch_averages.values():
        average.update(parts.model)
    return means


def _train_batches(parts: Parts, averages: Averages) -> bool:
    """A step for each batch that is left; false if the run is to stop before the last."""
    state, workers = parts.state, parts.workers
    parts.model.train()
    with _loader(parts) as loader:
        for examples in _shown(loader, averages, parts):
            rate = _rate(parts)
            batch = _labelled(Batch.of(examples).to(workers.device), parts)
            measures = parts.step(batch, state.epoch, state.batch, rate=rate, attempt=state.attempt)
            averages.update({"skipped": 0.0, **measures})  # its mean is then a share of all steps
            parts.watch.step(parts.steps, measures, rate)
            for average in state.batch_averages.values():
                average.update(parts.model)
            state.batch += 1
            parts.stop.worked()
            if workers.any(parts.stop.wanted()):
                return False
    return True


def _loader(parts: Parts) -> TrainingLoader:
    """Reads the batches that are left, of this rank."""
    state, workers = parts.state, parts.workers
    return training_loader(
        parts.songs.training,
        batch_size=parts.options.batch_size,
        epoch=state.epoch,
        seed=parts.options.seed + state.attempt,  # after a roll-back, other examples
        start_batch=state.batch,
        rank=workers.rank,
        world_size=workers.world_size,
        num_workers=parts.num_workers,
        max_batches=parts.batches,
    )


def _shown(loader: TrainingLoader, averages: Averages, parts: Parts) -> Iterable[Tensor | Batch]:
    """The batches of `loader`, with progress in the log of the first rank."""
    return tracked(
        loader,
        total=parts.batches,
        start=parts.state.batch,
        name=parts.title("train"),
        prints=parts.options.misc.num_prints,
        quiet=not parts.workers.is_first,
        infos=lambda: {k: v for k, v in averages.means().items() if k in SHOWN},
    )


def _labelled(batch: Batch, parts: Parts) -> Batch:
    """The batch, with stems of its unlabelled mixtures by the teacher, if the run has one."""
    state, share = parts.state, len(batch.stems)
    if state.teacher is None:
        return batch
    return state.teacher.label(
        batch,
        place=place_seed(parts.options.seed, state.epoch, state.batch, state.attempt),
        first=parts.workers.rank * share,
        size=parts.options.micro_batch or share,
        autocast=parts.step.precision.autocast(),
    )


def _rate(parts: Parts) -> float:
    """The share of `optim.lr` at the present step."""
    optim = parts.options.optim
    return rate_factor(
        parts.steps,
        parts.options.epochs * parts.batches,
        warmup=optim.warmup,
        schedule=optim.schedule,
        final=optim.final_lr,
    )
