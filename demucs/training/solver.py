"""The solver: an epoch is train, validate, keep the best, test, commit."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from demucs.experiment.record import PUBLIC_HISTORY, keep_public_history
from demucs.nn import build_model
from demucs.process.signals import Interrupted
from demucs.release.checkpoint import NAME, newest_checkpoint, save_checkpoint
from demucs.release.public_run import ORIGIN as PUBLIC
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.monitor.epoch_line import describe
from demucs.training.monitor.monitor import Monitor
from demucs.training.online_teacher import OnlineTeacher
from demucs.training.optim.optimizer import build_optimiser, parameter_groups
from demucs.training.optim.precision import compiled
from demucs.training.optim.quantise import Quantiser
from demucs.training.resume import check_same_songs, fit_to_songs
from demucs.training.run_config import RunConfig
from demucs.training.songs import Songs
from demucs.training.stages.context import Context, Metrics, batches_of
from demucs.training.stages.refresh import judge_best, judge_teacher
from demucs.training.stages.stop import Stop
from demucs.training.stages.test import test_is_due, test_stage
from demucs.training.stages.train import train_stage
from demucs.training.stages.valid import valid_stage
from demucs.training.start import start_from
from demucs.training.state import TrainingState, new_averages
from demucs.training.step import DivergedError, Step

logger = logging.getLogger(__name__)

MAX_ROLLBACKS = 3  # in one epoch


class Solver:
    """Trains a model, from wherever its folder says it was.

    Args:
        run: the configuration.
        songs: what is trained, validated and tested on.
        folder: of the experiment; checkpoints and test results go there.
        signature: of the experiment, recorded in its checkpoints.
        group: this process among those that train together.
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
        group: ProcessGroup | None = None,
        num_workers: int = 0,
        on_history: Callable[[list[Metrics]], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.run, self.options, self.songs = run, run.options, songs
        self.folder, self.signature, self.on_history = folder, signature, on_history
        self.group = group if group is not None else ProcessGroup()
        self.stop = Stop(should_stop)
        torch.manual_seed(self.options.seed)
        self.model = build_model(run.spec).to(self.group.device)
        optimiser = build_optimiser(parameter_groups(self.model), self.options.optim)
        quantiser = None
        if self.options.quant.method is not None:
            quantiser = Quantiser(self.model, optimiser, self.options.quant)
        step = Step(
            self._called(), self.model, optimiser, self.options, self.options.dset.sources,
            quantiser,
        )  # fmt: skip
        batch, epoch = new_averages(self.options.ema)
        self.state = TrainingState(
            model=self.model, optimiser=optimiser, step=step,
            batch_averages=batch, epoch_averages=epoch,
        )  # fmt: skip
        if self.options.semi.has_teacher:
            self.state.teacher = OnlineTeacher(run, self.group.device)
        self.data = songs.summary()
        check_same_songs(self.data, self.group)
        checkpoint = start_from(self.state, run, folder)
        self._fit(checkpoint)
        if checkpoint is not None and checkpoint.get("origin") == PUBLIC and self.group.is_first:
            self._keep_public_history()
        monitor = Monitor.open(
            run, songs, folder, speaks=self.group.is_first,
            steps=self.state.steps(batches_of(self.options, songs)),
        )  # fmt: skip
        self.context = Context(
            run=run,
            songs=songs,
            folder=folder,
            group=self.group,
            num_workers=num_workers,
            stop=self.stop,
            model=self.model,
            quantiser=quantiser,
            state=self.state,
            step=step,
            monitor=monitor,
        )

    def _keep_public_history(self) -> None:
        """`history.json` will be ours; the public Demucs adds to it before it saves."""
        epochs, saved = keep_public_history(self.folder), self.state.epoch
        if epochs > saved:
            logger.warning(
                "history.json has %d epochs, and the checkpoint was saved after %d: training "
                "resumes there, and %s keeps the metrics of the others",
                epochs, saved, PUBLIC_HISTORY,
            )  # fmt: skip

    def _called(self) -> nn.Module:
        """What a step calls: the model, in a world of several processes, compiled if wanted."""
        wrapped = self.group.wrap(self.model)
        return compiled(wrapped) if self.options.compile else wrapped

    def train(self) -> None:
        """Runs the epochs that are left.

        Raises:
            Interrupted: `should_stop` said so; the state is saved.
            DemucsError: audio that cannot be read, a checkpoint that cannot be written, or
                training that diverged.
        """
        if self.on_history is not None and self.group.is_first:
            self.on_history(self.state.history)
        try:
            while self.state.epoch < self.options.epochs:
                self.run_epoch()
                if self.state.epoch < self.options.epochs and self.group.any(self.stop.wanted()):
                    raise self._interrupted("train")
        finally:
            self.context.monitor.close()

    def run_epoch(self) -> None:
        """One epoch: the stages that are left of it, and the commit.

        Raises:
            Interrupted: `should_stop` said so; what is done of the epoch is saved.
        """
        while True:
            self.context.monitor.begin(self.state.history)
            try:
                self._judge()
                if "train" not in self.state.pending:
                    self._note("train", time.monotonic(), train_stage(self.context))
                if "valid" not in self.state.pending:
                    self._note("valid", time.monotonic(), valid_stage(self.context))
                break
            except DivergedError as error:
                self._roll_back(error)
        if test_is_due(self.context):
            self._save()  # should the test end badly, it alone is lost
            if "test" not in self.state.pending:
                self._note("test", time.monotonic(), test_stage(self.context))
        self._commit()

    def _judge(self) -> None:
        """Measures what later states are compared with, where that has not been done yet."""
        if not (judge_teacher(self.context) and judge_best(self.context)):
            self._save()
            raise Interrupted(
                "stopped while the teacher or the best state was measured, and saved; the same "
                "command continues"
            )

    def _note(self, stage: str, began: float, metrics: Metrics | None) -> None:
        """Keeps the metrics and the seconds of a stage that ended, or saves what is done of it.

        Raises:
            Interrupted: there are no metrics, since the stage was stopped.
        """
        pending = self.state.pending
        seconds = pending.setdefault("seconds", {})
        seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - began
        if metrics is None:
            self._save()
            raise self._interrupted(stage)
        pending[stage] = metrics

    def _interrupted(self, stage: str) -> Interrupted:
        where = {"valid": "in its validation", "test": "in its test"}.get(
            stage, f"after {self.state.batch} batches"
        )
        return Interrupted(
            f"stopped in epoch {self.state.epoch + 1} {where}, and saved; "
            "the same command continues"
        )

    def _roll_back(self, error: DivergedError) -> None:
        """Goes back to a checkpoint; all processes do, as all have seen the same.

        To the newest at first: that was saved after a sound validation, or where the run was
        stopped in an epoch. If the epoch diverges from there again, to the one before it.

        Raises:
            DivergedError: there is none, or it was of no use.
        """
        number, before = self.state.epoch + 1, self.state.rollbacks
        again = before.count(number)
        content = newest_checkpoint(self.folder, skip=min(again, 1))
        if content is None or again >= MAX_ROLLBACKS:
            raise error
        self.state.restore(content)
        self._fit(content)
        self.state.rollbacks = [*before, number]
        logger.warning(
            "%s. Going back to the last checkpoint, after %d epochs and %d batches, and on from "
            "there with other examples (%d of at most %d times in an epoch)",
            str(error).split(". ")[0], self.state.epoch, self.state.batch, again + 1, MAX_ROLLBACKS,
        )  # fmt: skip

    def _fit(self, checkpoint: Mapping[str, Any] | None) -> None:
        """Fits the state of a checkpoint to the songs, and says what has changed."""
        if checkpoint is None:
            return
        batches = batches_of(self.options, self.songs)
        message = fit_to_songs(self.state, checkpoint.get("data") or {}, self.data, batches)
        if message is not None and self.group.is_first:
            logger.warning(message)

    def _commit(self) -> None:
        """Ends the epoch: history, checkpoint, and what others are told."""
        state = self.state
        stages = ("train", "valid", "seconds", "test", "cut")
        metrics = {name: state.pending[name] for name in stages if name in state.pending}
        if rollbacks := state.rollbacks.count(state.epoch + 1):
            metrics["rollbacks"] = rollbacks
        state.history.append(metrics)
        state.epoch, state.batch, state.sums, state.pending = state.epoch + 1, 0, [], {}
        logger.info("epoch %d/%d | %s", state.epoch, self.options.epochs, describe(metrics))
        self._save()
        self.context.monitor.epoch(state.epoch, metrics)
        if self.group.is_first:
            every = self.options.save_every
            if every and state.epoch % every == 0:
                copy = self.folder / f"checkpoint_{state.epoch}.th"
                shutil.copyfile(self.folder / NAME, copy)
            if self.on_history is not None:
                self.on_history(state.history)

    def _save(self) -> None:
        def write() -> None:
            if self.group.is_first:
                header = {
                    "signature": self.signature,
                    "spec": self.run.spec.to_dict(),
                    "config": self.run.plain,
                    "data": self.data,
                }
                save_checkpoint(self.folder / NAME, {**header, **self.state.capture()})

        self.group.first_then_all(write)
