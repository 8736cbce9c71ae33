"""All that changes while training, in one place, saved and restored as a whole.

No random generator is among it: what is random in a step or an example is drawn from the seed and
its place (epoch, batch or position), so it is the same however often a run was interrupted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from demucs.errors import CheckpointError
from demucs.training.config.schema import EmaConfig
from demucs.training.online_teacher import OnlineTeacher
from demucs.training.optim.ema import Best, WeightAverage
from demucs.training.optim.optimizer import load_optimiser
from demucs.training.step import Step


def cpu_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


@dataclass(kw_only=True)
class TrainingState:
    """The state of a run.

    Attributes:
        model: the network.
        optimiser: of its weights.
        step: learns from a batch, and remembers a little.
        batch_averages, epoch_averages: moving averages by name (`ema_batch_0`, …).
        epoch: epochs that are complete.
        batch: batches of the present epoch that are done.
        sums: what each process measured in the present epoch's training (`Averages.sums`), where
            it was stopped in it.
        pending: what is done of the present epoch besides: the metrics of its complete stages, and
            the parts of the stage that was stopped.
        history: the metrics of each complete epoch.
        best: the best state so far.
        rollbacks: the epochs, from 1, in which the run went back to its last checkpoint.
        teacher: labels unlabelled mixtures, with `semi.refresh`.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    step: Step
    batch_averages: dict[str, WeightAverage]
    epoch_averages: dict[str, WeightAverage]
    epoch: int = 0
    batch: int = 0
    sums: list[dict[str, float]] = field(default_factory=list)
    pending: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: Best | None = None
    rollbacks: list[int] = field(default_factory=list)
    teacher: OnlineTeacher | None = None

    @property
    def attempt(self) -> int:
        """How often the run went back: what is random is then drawn anew."""
        return len(self.rollbacks)

    def steps(self, batches: int) -> int:
        """How many are done in all, with so many batches an epoch."""
        return self.epoch * batches + self.batch

    @property
    def averages(self) -> dict[str, WeightAverage]:
        return {**self.batch_averages, **self.epoch_averages}

    def capture(self) -> dict[str, Any]:
        """The state as plain containers and tensors; tensors are not copied."""
        taught = {} if self.teacher is None else {"teacher": self.teacher.state_dict()}
        return {
            **taught,
            "model": dict(self.model.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step.state_dict(),
            "averages": {name: average.state_dict() for name, average in self.averages.items()},
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.sums,
            "pending": self.pending,
            "history": self.history,
            "best": None if self.best is None else self.best.to_dict(),
            "rollbacks": self.rollbacks,
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Takes on a state that `capture` gave.

        Raises:
            CheckpointError: it is of another model or other moving averages.
        """
        try:
            self.model.load_state_dict(content["model"])
            load_optimiser(self.optimiser, content["optimiser"])
            self.step.load_state_dict(content.get("step", {}))
            for name, average in self.averages.items():
                device = next(self.model.parameters()).device
                average.load_state_dict(content["averages"][name], device)
            if self.teacher is not None:
                self.teacher.load_state_dict(content["teacher"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit this configuration ({_first(error)}): use the "
                "version of the project that wrote it, or begin another experiment with "
                "continue_from=SIGNATURE dummy=2. The checkpoint is left as it is"
            ) from error
        self.epoch, self.batch = int(content["epoch"]), int(content["batch"])
        sums = content["sums"]  # a dictionary, of one process, in checkpoints of old
        self.sums = [sums] if isinstance(sums, dict) else list(sums)
        self.pending, self.history = dict(content.get("pending", {})), list(content["history"])
        self.best = None if content["best"] is None else Best.from_dict(content["best"])
        self.rollbacks = list(content.get("rollbacks", []))


def _first(error: Exception) -> str:
    """The first of the tensors that do not fit, of which torch lists all."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    listed = lines[1:] or lines or [type(error).__name__]
    return listed[0].rstrip(".") + (f"; and {len(listed) - 1} more" if len(listed) > 1 else "")


def new_averages(config: EmaConfig) -> tuple[dict[str, WeightAverage], dict[str, WeightAverage]]:
    """Moving averages by name: those updated after batches, and those after epochs."""
    batch = {f"ema_batch_{i}": WeightAverage(decay) for i, decay in enumerate(config.batch)}
    epoch = {f"ema_epoch_{i}": WeightAverage(decay) for i, decay in enumerate(config.epoch)}
    return batch, epoch
