"""Curves and sound of a run for TensorBoard, beside Dora's history.

tensorboard --logdir outputs/xps/SIGNATURE/tensorboard     (or outputs/xps for all runs)
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

logger = logging.getLogger(__name__)

FOLDER = "tensorboard"


class Writer(Protocol):
    """What is used of `torch.utils.tensorboard.SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def add_audio(
        self, tag: str, snd_tensor: Tensor, global_step: int, sample_rate: int
    ) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Board:
    """Writes to TensorBoard; without a writer, nothing happens.

    Args:
        writer: where to.
        every: one point in the curves of steps for so many steps.
    """

    def __init__(self, writer: Writer | None = None, *, every: int = 10) -> None:
        self.writer, self.every = writer, max(1, every)

    @classmethod
    def open(cls, folder: Path, *, steps: int, every: int, wanted: bool = True) -> "Board":
        """The board of an experiment's folder, or one that does nothing.

        Args:
            folder: of the experiment.
            steps: that are done; what a run that was killed wrote beyond them is hidden.
            every: see `Board`.
            wanted: false for no board.
        """
        if not wanted or every == 0:
            return cls()
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.warning("no curves for TensorBoard: pip install tensorboard, or misc.board=0")
            return cls()
        writer = SummaryWriter(str(folder / FOLDER), purge_step=steps)
        return cls(writer, every=every)

    def step(self, number: int, values: Mapping[str, float]) -> None:
        """Curves over steps: losses, norm of the gradient, learning rate, examples a second."""
        if self.writer is not None and number % self.every == 0:
            for name, value in values.items():
                self.writer.add_scalar(f"step/{name}", value, number)

    def epoch(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Curves over epochs: all numbers of its metrics, named as in the history."""
        if self.writer is None:
            return
        for name, value in _numbers(metrics):
            self.writer.add_scalar(name, value, number)
        self.writer.flush()

    def sound(self, epoch: int, title: str, audio: Mapping[str, Tensor], samplerate: int) -> None:
        """Something to hear: `[C, T]` by name, at one gain that makes the largest full scale."""
        if self.writer is None or not audio:
            return
        peak = max(float(wav.abs().max()) for wav in audio.values())
        for name, wav in audio.items():
            mono = wav.mean(0, keepdim=True) / max(peak, 1e-8)  # TensorBoard takes [1, T]
            self.writer.add_audio(f"{title}/{name}", mono.cpu(), epoch, samplerate)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested metrics, named as `valid/ema_batch_0/nsdr_vocals`."""
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
