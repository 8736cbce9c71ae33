"""The solver: an epoch is train, validate, keep the best, test, commit."""

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from demucs.data import training_loader
from demucs.nn import build_model
from demucs.release.checkpoint import NAME, save_checkpoint
from demucs.stopping import Interrupted
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
from demucs.training.stop import Stop
from demucs.training.svd import svd_penalty
from demucs.training.testing import plain_results, test_songs
from demucs.training.validate import Measures, means, measure

logger = logging.getLogger(__name__)

DEBUG_BATCHES = 2
Metrics = dict[str, Any]


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
        should_stop: asked after each step, excerpt and test song; if true in any process, all
            save and stop.

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
        self.on_history, self.stop = on_history, Stop(should_stop)
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
            if self.state.epoch < self.options.epochs and self.workers.any(self.stop.wanted()):
                raise self._interrupted("train")

    def run_epoch(self) -> None:
        """One epoch: the stages that are left of it, and the commit.

        Raises:
            Interrupted: `should_stop` said so; what is done of the epoch is saved.
        """
        self._stage("train", self._train)
        self._stage("valid", self._validate)
        if self._test_is_due():
            self._save()  # should the test end badly, it alone is lost
            self._stage("test", self._test)
        self._commit()

    def _stage(self, name: str, work: Callable[[], Metrics | None]) -> None:
        """Does a stage, unless it was done before this run; `work` gives None if it was stopped."""
        pending = self.state.pending
        if name in pending:
            return
        began, seconds = time.monotonic(), pending.setdefault("seconds", {})
        found = work()
        seconds[name] = seconds.get(name, 0.0) + time.monotonic() - began
        if found is None:
            self._save()
            raise self._interrupted(name)
        pending[name] = found

    def _interrupted(self, stage: str) -> Interrupted:
        where = {"valid": "in its validation", "test": "in its test"}.get(
            stage, f"after {self.state.batch} batches"
        )
        return Interrupted(
            f"stopped in epoch {self.state.epoch + 1} {where}, and saved; the same command goes on"
        )

    def _train(self) -> Metrics | None:
        """Every batch of the epoch that is left; means of the losses."""
        state = self.state
        averages = Averages.resumed(state.sums, self.workers)
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
            self.stop.worked()
            if self.workers.any(self.stop.wanted()):
                state.sums = self.workers.gathered(averages.sums)
                return None
        if "loss" not in averages.sums:
            self.step.give_up()
        for average in state.epoch_averages.values():
            average.update(self.model)
        return averages.means(self.workers)

    def _validate(self) -> Metrics | None:
        """The model and each moving average, of which the best is kept if it is so of all."""
        measures: dict[str, Measures] = self.state.pending.setdefault("measures", {})
        for name, state in {"main": None, **self.state.averages}.items():
            with nullcontext() if state is None else swapped_state(self.model, state.state):
                measures[name] = self._measured(name, measures.get(name, {}))
            if len(measures[name]) < len(self.songs.valid):
                return None
        del self.state.pending["measures"]
        found = {name: means(one) for name, one in measures.items()}
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

    def _measured(self, name: str, done: Measures) -> Measures:
        title = self._title("valid" if name == "main" else f"valid {name}")
        return measure(
            self.model, self.songs.valid, self.options, self.workers, self.stop,
            name=title, done=done,
        )  # fmt: skip

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

    def _test(self) -> Metrics | None:
        """The best state (or the latest) on the test songs."""
        best, number = self.state.best, self.state.epoch + 1
        tested = best.state if self.options.test.best and best is not None else None
        where = self.folder / "test" / f"epoch_{number}"
        with nullcontext() if tested is None else swapped_state(self.model, tested):
            results = test_songs(
                self.model,
                self.songs.test,
                self.options.test,
                self.workers,
                self.stop,
                last=number == self.options.epochs,
                done=self.state.pending.get("tracks", {}),
                save_dir=where,
            )
        self.state.pending["tracks"] = plain_results(results)
        if not results.complete:
            return None
        del self.state.pending["tracks"]
        if self.workers.is_first:
            results.save(where.with_suffix(".json"))
            logger.info("test after epoch %d\n%s", number, results.table())
        return dict(results.summary())

    def _commit(self) -> None:
        """Ends the epoch: history, checkpoint, and what others are told."""
        state = self.state
        stages = ("train", "valid", "seconds", "test")
        metrics = {name: state.pending[name] for name in stages if name in state.pending}
        state.history.append(metrics)
        state.epoch, state.batch, state.sums, state.pending = state.epoch + 1, 0, [], {}
        logger.info("epoch %d/%d | %s", state.epoch, self.options.epochs, describe(metrics))
        self._save()
        if self.workers.is_first:
            every = self.options.save_every
            if every and state.epoch % every == 0:
                copy = self.folder / f"checkpoint_{state.epoch}.th"
                shutil.copyfile(self.folder / NAME, copy)
            if self.on_history is not None:
                self.on_history(state.history)

    def _save(self) -> None:
        def write() -> None:
            if self.workers.is_first:
                header = {
                    "signature": self.signature,
                    "spec": self.run.spec.to_dict(),
                    "config": self.run.plain,
                    "data": self.songs.summary(),
                }
                save_checkpoint(self.folder / NAME, {**header, **self.state.capture()})

        self.workers.first_then_all(write)

    def _title(self, stage: str) -> str:
        return f"{stage} {self.state.epoch + 1}/{self.options.epochs}"
