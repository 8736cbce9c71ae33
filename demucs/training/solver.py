"""The solver: an epoch is train, validate, keep the best, test, commit."""

import logging
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from demucs.data import training_loader
from demucs.evaluation import evaluate
from demucs.nn import build_model
from demucs.release.checkpoint import NAME, save_checkpoint
from demucs.training.averages import Averages
from demucs.training.best import Best, best_name, is_better
from demucs.training.blocks import RunConfig
from demucs.training.distributed import Workers
from demucs.training.ema import swapped_state
from demucs.training.optim import build_optimiser
from demucs.training.progress import tracked
from demucs.training.report import describe
from demucs.training.songs import Songs
from demucs.training.start import start_from
from demucs.training.state import TrainingState, cpu_state, new_averages
from demucs.training.step import Step
from demucs.training.svd import svd_penalty
from demucs.training.validate import validate

logger = logging.getLogger(__name__)

DEBUG_BATCHES = 2
Metrics = dict[str, Any]


class Interrupted(Exception):
    """Training was asked to stop, and has saved where it was."""


class Solver:
    """Trains a model, from wherever its folder says it was.

    Args:
        run: the configuration.
        songs: what is trained, validated and tested on.
        folder: of the experiment; checkpoints and test results go there.
        signature: of the experiment, recorded in its checkpoints.
        workers: this process among those that train together.
        num_workers: processes that read audio.
        on_history: told the metrics of all epochs after each (on the first process).
        should_stop: asked after each step; if true in any process, all save and stop.

    Raises:
        ConfigError: the model cannot be built, or what to continue from does not exist.
        CheckpointError: the folder's checkpoints are corrupted or of another model.
    """

    def __init__(
        self,
        run: RunConfig,
        songs: Songs,
        *,
        folder: Path,
        signature: str,
        workers: Workers | None = None,
        num_workers: int = 0,
        on_history: Callable[[list[Metrics]], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.run, self.options, self.songs = run, run.options, songs
        self.folder, self.signature = folder, signature
        self.workers = workers if workers is not None else Workers()
        self.num_workers = num_workers
        self.on_history, self.should_stop = on_history, should_stop
        torch.manual_seed(self.options.seed)
        self.model = build_model(run.spec).to(self.workers.device)
        optimiser = build_optimiser(self.model.parameters(), self.options.optim)
        batch, epoch = new_averages(self.options.ema)
        self.state = TrainingState(
            model=self.model, optimiser=optimiser, batch_averages=batch, epoch_averages=epoch
        )
        start_from(self.state, run, folder)
        wrapped = self.workers.wrap(self.model)
        self.step = Step(wrapped, self.model, optimiser, self.options, self.options.dset.sources)

    def train(self) -> None:
        """Runs the epochs that are left.

        Raises:
            Interrupted: `should_stop` said so; the state is saved.
            DemucsError: audio that cannot be read, a checkpoint that cannot be written, or
                training that diverged.
        """
        if self.on_history is not None and self.workers.is_first:
            self.on_history(self.state.history)
        while self.state.epoch < self.options.epochs:
            self.run_epoch()

    def run_epoch(self) -> None:
        """One epoch, through all stages."""
        began = time.monotonic()
        metrics: Metrics = {"train": self._train()}
        trained = time.monotonic()
        metrics["valid"] = self._validate()
        metrics["seconds"] = {"train": trained - began, "valid": time.monotonic() - trained}
        if self._test_is_due():
            metrics["test"] = self._test()
        self._commit(metrics)

    def _train(self) -> Metrics:
        """Every batch of the epoch that is left; means of the losses."""
        state, averages = self.state, Averages(self.state.sums)
        state.sums = averages.sums
        self.model.train()
        loader = training_loader(
            self.songs.training,
            batch_size=self.options.batch_size,
            epoch=state.epoch,
            start_batch=state.batch,
            rank=self.workers.rank,
            world_size=self.workers.world_size,
            num_workers=self.num_workers,
            max_batches=DEBUG_BATCHES if self.options.debug else self.options.max_batches,
        )
        shown = tracked(
            loader,
            total=state.batch + len(loader),
            start=state.batch,
            name=self._title("train"),
            prints=self.options.misc.num_prints,
            quiet=not self.workers.is_first,
            infos=lambda: {k: v for k, v in averages.means().items() if k in ("loss", "grad")},
        )
        for stems in shown:
            stems = stems.to(self.workers.device, non_blocking=True)
            averages.update(self.step(stems, state.epoch, state.batch))
            for average in state.batch_averages.values():
                average.update(self.model)
            state.batch += 1
            self._stop_if_asked()
        if "loss" not in averages.sums:
            self.step.give_up()
        for average in state.epoch_averages.values():
            average.update(self.model)
        return averages.means(self.workers)

    def _stop_if_asked(self) -> None:
        if self.should_stop is not None and self.workers.any(self.should_stop()):
            self._save()
            raise Interrupted(f"stopped in epoch {self.state.epoch + 1}, and saved")

    def _validate(self) -> Metrics:
        """The model and each moving average, of which the best is kept if it is so of all."""
        found = {"main": self._measured("main")}
        for name, average in self.state.averages.items():
            with swapped_state(self.model, average.state):
                found[name] = self._measured(name)
        metric = self.options.test.metric
        name = best_name(metric, found)
        self._keep_best(name, found[name][metric])
        best = self.state.best
        metrics: Metrics = {**found, **found[name], "bname": name}
        metrics["best"] = None if best is None else best.metric
        if self.options.svd.penalty > 0:
            with torch.no_grad():
                metrics["penalty"] = float(svd_penalty(self.model, self.options.svd, exact=True))
        return metrics

    def _measured(self, name: str) -> dict[str, float]:
        title = self._title("valid" if name == "main" else f"valid {name}")
        return validate(self.model, self.songs.valid, self.options, self.workers, name=title)

    def _keep_best(self, name: str, value: float) -> None:
        state, metric = self.state, self.options.test.metric
        if not is_better(metric, value, None if state.best is None else state.best.metric):
            return
        average = state.averages.get(name)
        weights = cpu_state(self.model)
        if average is not None:
            weights = {key: tensor.cpu().clone() for key, tensor in average.state.items()}
        state.best = Best(
            state=weights, epoch=state.epoch + 1, name=metric, metric=value, weights=name
        )

    def _test_is_due(self) -> bool:
        every, number = self.options.test.every, self.state.epoch + 1
        if not self.songs.test or every == 0:
            return False
        return number % every == 0 or number == self.options.epochs

    def _test(self) -> Metrics:
        """The best state (or the latest) on the test songs; by the first process, all wait."""
        found: Metrics = {}
        if self.workers.is_first:
            best, test = self.state.best, self.options.test
            last = self.state.epoch + 1 == self.options.epochs
            weights = best.state if test.best and best is not None else cpu_state(self.model)
            where = self.folder / "test" / f"epoch_{self.state.epoch + 1}"
            with swapped_state(self.model, weights):
                results = evaluate(
                    self.model,
                    self.songs.test,
                    metrics=("nsdr", "sdr") if test.sdr and last else ("nsdr",),
                    shifts=test.shifts,
                    overlap=test.overlap,
                    split=test.split,
                    device=self.workers.device,
                    workers=test.workers,
                    save_dir=where if test.save else None,
                    progress=sys.stderr.isatty(),
                )
            results.save(where.with_suffix(".json"))
            logger.info("test after epoch %d\n%s", self.state.epoch + 1, results.table())
            found = dict(results.summary())
        self.workers.barrier()
        return found

    def _commit(self, metrics: Metrics) -> None:
        """Ends the epoch: history, checkpoint, and what others are told."""
        state = self.state
        state.history.append(metrics)
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        logger.info("epoch %d/%d | %s", state.epoch, self.options.epochs, describe(metrics))
        self._save()
        if self.on_history is not None and self.workers.is_first:
            self.on_history(state.history)

    def _save(self) -> None:
        if self.workers.is_first:
            path = self.folder / NAME
            header = {
                "signature": self.signature,
                "spec": self.run.spec.to_dict(),
                "config": self.run.plain,
                "data": self.songs.summary(),
            }
            save_checkpoint(path, {**header, **self.state.capture()})
            every = self.options.save_every
            if every and self.state.batch == 0 and self.state.epoch % every == 0:
                shutil.copyfile(path, self.folder / f"checkpoint_{self.state.epoch}.th")
        self.workers.barrier()

    def _title(self, stage: str) -> str:
        return f"{stage} {self.state.epoch + 1}/{self.options.epochs}"
