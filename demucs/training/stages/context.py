"""The context that the stages of an epoch share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from demucs.training.config.schema import TrainConfig
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.monitor.monitor import Monitor
from demucs.training.optim.quantise import Quantiser
from demucs.training.run_config import RunConfig
from demucs.training.songs import Songs
from demucs.training.stages.stop import Stop
from demucs.training.state import TrainingState
from demucs.training.step import Step

Metrics: TypeAlias = dict[str, Any]

DEBUG_BATCHES = 2


def batches_of(options: TrainConfig, songs: Songs) -> int:
    """How many batches an epoch has."""
    most = DEBUG_BATCHES if options.debug else options.max_batches
    whole = len(songs.training) // options.batch_size
    return whole if most is None else min(whole, most)


@dataclass(frozen=True, kw_only=True)
class Context:
    """The parts of a run, which its solver puts together; only `state` and `model` change.

    Attributes:
        run: the configuration.
        songs: what is trained, validated and tested on.
        folder: of the experiment.
        group: this process among those that train together.
        num_workers: processes that read audio.
        stop: when the run is asked to stop.
        model: the network.
        quantiser: of the network, if it is trained for few bits.
        state: all that changes while training.
        step: learns from a batch.
        monitor: tells how it goes.
    """

    run: RunConfig
    songs: Songs
    folder: Path
    group: ProcessGroup
    num_workers: int
    stop: Stop
    model: nn.Module
    quantiser: Quantiser | None
    state: TrainingState
    step: Step
    monitor: Monitor

    @property
    def options(self) -> TrainConfig:
        return self.run.options

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return batches_of(self.options, self.songs)

    @property
    def steps(self) -> int:
        """How many are done, of all epochs."""
        return self.state.steps(self.batches)

    def title(self, stage: str) -> str:
        """A stage and its epoch, for the log."""
        return f"{stage} {self.state.epoch + 1}/{self.options.epochs}"
