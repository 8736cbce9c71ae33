"""Judges of a teacher's stems: calibrated scores, a raw score, or anything alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from demucs.blind.quality import QUIET, Array, Quality
from demucs.blind.records import Measures
from demucs.blind.teacher import Teacher
from demucs.errors import ConfigError

Scores = Mapping[str, Measures]
PREDICTED = "predicted nSDR, dB"
AGREEMENT = "agreement, dB (no prediction)"


class Judge(Protocol):
    """Separates and judges.

    Attributes:
        settings: plain JSON, what its judgements depend on beside the teacher.
        about: plain JSON, for whoever uses them: `kind` (`calibration`, `network` or `score`), the
            `unit` of the numbers, and where they are from.
    """

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def about(self) -> dict[str, Any]: ...

    def __call__(self, teacher: Teacher, mixture: Tensor) -> tuple[Tensor, Quality, Scores]:
        """The stems `[S, C, T]` of a mixture `[C, T]`, what is believed of them, and the scores."""


class Predictor(Protocol):
    """As `demucs.blind.calibration.calibration.Calibration`."""

    def predict(self, scores: Scores, sources: tuple[str, ...], window: float) -> Quality: ...


Score = Callable[[Teacher, Tensor], tuple[Tensor, Scores]]


@dataclass(frozen=True)
class CalibratedJudge:
    """Predicted nSDR of scores.

    Attributes:
        score: `demucs.blind.scores.song_scores.score_track`.
        calibration: turns the scores into dB.
        window: seconds of their windows.
        settings: names the calibration.
        about: what it is.
    """

    score: Score
    calibration: Predictor
    window: float
    settings: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def __call__(self, teacher: Teacher, mixture: Tensor) -> tuple[Tensor, Quality, Scores]:
        stems, scores = self.score(teacher, mixture)
        return stems, self.calibration.predict(scores, teacher.sources, self.window), scores


@dataclass(frozen=True)
class RawJudge:
    """One score as it is, in its own unit, without an interval.

    Attributes:
        score: `demucs.blind.scores.song_scores.score_track`.
        by: name of the score.
        window: seconds of its windows.
    """

    score: Score
    by: str
    window: float

    @property
    def settings(self) -> dict[str, Any]:
        return {"by": self.by}

    @property
    def about(self) -> dict[str, Any]:
        return {"kind": "score", "unit": AGREEMENT, "by": self.by}

    def __call__(self, teacher: Teacher, mixture: Tensor) -> tuple[Tensor, Quality, Scores]:
        """Raises ConfigError if there is no such score of this teacher."""
        stems, scores = self.score(teacher, mixture)
        if self.by not in scores:
            raise ConfigError(
                f"--by {self.by}: there is no such score of {teacher.name}; there are "
                f"{', '.join(sorted(scores))}"
            )
        return stems, self._quality(scores, teacher.sources), scores

    def _quality(self, scores: Scores, sources: tuple[str, ...]) -> Quality:
        own = scores[self.by]
        track, windows = own.track, own.windows
        return Quality(
            sources=sources,
            window=self.window,
            sdr=track,
            low=track,
            high=track,
            active=_active(scores, "track", track),
            windows=windows,
            active_windows=_active(scores, "windows", windows),
        )


@dataclass(frozen=True)
class NetworkJudge:
    """What a quality network hears.

    Attributes:
        hear: predicts from a mixture, its estimates, their sample rate and stems.
        settings: names the network.
        sources: the stems that it knows.
    """

    hear: Callable[[Tensor, Tensor, int, Sequence[str]], Quality]
    settings: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        stems = {"sources": list(self.sources)}
        return {"kind": "network", "unit": PREDICTED, **self.settings, **stems}

    def __call__(self, teacher: Teacher, mixture: Tensor) -> tuple[Tensor, Quality, Scores]:
        stems = teacher(mixture)
        return stems, self.hear(mixture, stems, teacher.samplerate, teacher.sources), {}


def _active(scores: Scores, what: str, like: Array) -> Array:
    """1 where a stem is loud enough, of the shape of `like`."""
    if "level" not in scores:
        return np.ones_like(like)
    level: Array = getattr(scores["level"], what)
    loud: Array = (np.nan_to_num(level, nan=-np.inf) > QUIET).astype(np.float64)
    return loud
