"""Monitoring of a run: curves and sound, comparison with a reference, warnings."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from demucs.training.monitor.reference import Reference
from demucs.training.monitor.tensorboard import Board
from demucs.training.run_config import RunConfig
from demucs.training.songs import Excerpt, Songs

logger = logging.getLogger(__name__)

SECONDS = 8.0  # of sound
Metrics = Mapping[str, Any]


class Monitor:
    """Tells on one process how the run goes; on the others, nothing.

    Args:
        run: the configuration.
        excerpt: of a validation song, to be heard; None for none.
        board: where curves and sound go.
        reference: a run to compare with.
        speaks: false on all processes but the first.
    """

    def __init__(
        self,
        run: RunConfig,
        *,
        excerpt: Excerpt | None = None,
        board: Board | None = None,
        reference: Reference | None = None,
        speaks: bool = True,
    ) -> None:
        self.options, self.excerpt, self.speaks = run.options, excerpt, speaks
        self.board, self.reference = board or Board(), reference
        self._alarm = PenaltyGuard(run.options.svd.penalty, run.options.svd.proba)
        self._since = (time.monotonic(), 0)

    @classmethod
    def open(
        cls, run: RunConfig, songs: Songs, folder: Path, *, steps: int, speaks: bool
    ) -> "Monitor":
        """The monitor of an experiment in `folder` that has done so many `steps`.

        Raises:
            ConfigError: `misc.reference` cannot be read.
        """
        misc = run.options.misc
        if not speaks:
            return cls(run, speaks=False)
        reference = None if misc.reference is None else Reference.load(misc.reference)
        board = Board.open(folder, steps=steps, every=misc.board)
        return cls(run, excerpt=_middle(songs), board=board, reference=reference)

    def begin(self, history: Sequence[Metrics]) -> None:
        """An epoch begins, after those of `history`."""
        self._alarm.begin(history)
        self._since = (time.monotonic(), 0)

    def step(self, number: int, measures: Mapping[str, float], rate: float) -> None:
        """A step is done, at a share `rate` of the learning rate."""
        if not self.speaks:
            return
        alarm = self._alarm.look(measures)
        if alarm is not None:
            logger.warning(alarm)
        began, steps = self._since[0], self._since[1] + 1
        self._since = (began, steps)
        if number % self.board.every == 0:
            now = time.monotonic()
            speed = steps * self.options.batch_size / max(now - began, 1e-9)
            lr = rate * self.options.optim.lr
            self.board.step(number, {**measures, "lr": lr, "examples_per_second": speed})
            self._since = (now, 0)

    def epoch(self, number: int, metrics: Metrics) -> None:
        """Epoch `number`, from 1, is done."""
        if not self.speaks:
            return
        self.board.epoch(number, metrics)
        line = "" if self.reference is None else self.reference.line(number, metrics)
        if line:
            logger.info(line)

    def sound(self, number: int, separate: Callable[[Tensor], Tensor]) -> None:
        """Writes stems of a validation song, after epochs 1, 2, 4, 8, …, and the last one.

        Args:
            number: of the epoch, from 1.
            separate: makes estimates `[1, S, C, T]` of a mixture `[1, C, T]`.
        """
        due = number & (number - 1) == 0 or number == self.options.epochs
        if self.board.writer is None or self.excerpt is None or not due:
            return
        stems = self.excerpt.stems()
        if self.options.dset.normalize:
            stems = self.excerpt.normalize(stems)
        estimates = separate(stems.sum(0)[None])[0]
        sources = self.options.dset.sources
        audio = {"mixture": stems.sum(0)}
        audio.update(zip(sources, estimates, strict=True))
        audio.update(zip((f"{source}_reference" for source in sources), stems, strict=True))
        rate = self.options.dset.samplerate
        self.board.sound(number, self.excerpt.track.name, audio, rate)

    def close(self) -> None:
        self.board.close()


def _middle(songs: Songs) -> Excerpt | None:
    """Some seconds of the middle of the first validation song."""
    if not songs.valid:
        return None
    track = songs.valid[0].track
    frames = min(track.frames, round(SECONDS * track.samplerate))
    return Excerpt(track, (track.frames - frames) // 2, frames)


FACTOR = 10.0  # times the usual penalty


class PenaltyGuard:
    """Compares the penalty of each step with the usual one.

    The usual one is the smallest mean of an epoch so far; in the first epoch, that of its first
    step. It is compared once an epoch at most, and steps that leave the penalty out do not count.

    Args:
        weight: of the penalty in the loss (`svd.penalty`).
        proba: share of steps that have it, which count it 1/proba.
    """

    def __init__(self, weight: float, proba: float) -> None:
        self.weight, self.proba = weight, proba
        self._usual: float | None = None
        self._rung = False

    def begin(self, history: Sequence[Mapping[str, Any]]) -> None:
        """An epoch begins, after those of `history`."""
        means = [epoch["train"].get("penalty") for epoch in history]
        known = [mean for mean in means if mean]
        self._usual, self._rung = (min(known) if known else None), False

    def look(self, measures: Mapping[str, float]) -> str | None:
        """What is wrong with the penalty of a step; None if nothing is, or it has been said."""
        penalty = self.proba * measures.get("penalty", 0.0)
        if penalty == 0 or self._rung:
            return None
        if self._usual is None:
            self._usual = penalty
        if math.isfinite(penalty) and penalty <= FACTOR * self._usual:
            return None
        self._rung = True
        return (
            f"the penalty on singular values explodes: {penalty:.4g}, and it was "
            f"{self._usual:.4g}; times svd.penalty={self.weight:g} it is "
            f"{self.weight * penalty:.4g}, in a loss of {measures.get('loss', math.nan):.4g}. "
            "Lower optim.lr, set optim.clip_grad, or raise svd.penalty"
        )
