"""Findings of the doctor: one for each problem."""

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad: training or scores break; likely harm, or a suspicion; good to know."""

    NOTE = 0
    WARNING = 1
    ERROR = 2

    @property
    def word(self) -> str:
        return self.name.lower()


CHECKS = {
    "unreadable": "files that are empty, damaged or cut off",
    "missing": "stems that a track lacks and most others have",
    "unread": "files that are named as a stem and are not read",
    "slow": "files of which training decodes more than it needs",
    "nonfinite": "samples that are NaN or infinite",
    "samplerate": "files of another sample rate",
    "channels": "files of another number of channels",
    "length": "files of a track that are not equally long",
    "short": "training tracks shorter than a segment",
    "silent": "files that are silent, or nearly always so",
    "clipped": "runs of samples at full scale",
    "over": "samples beyond full scale in files of floating point",
    "dc": "a constant offset",
    "mono": "two channels that are the same",
    "sum": "mixtures that are not the sum of their stems",
    "duplicate": "the same audio in two stems or in two tracks",
    "overlap": "the same song in two splits, or in the other dataset",
    "swapped": "stems that sound like another stem (a suspicion)",
    "bleed": "stems that hold another one softly (a suspicion)",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    Attributes:
        severity: how bad it is.
        check: a key of `CHECKS`.
        track: `SPLIT/NAME`.
        stem: the file of the track, or a few joined by ", "; empty for the whole track.
        value: what was measured, in words with units.
        remedy: what to do about it.
        number: the measured value by itself, in the unit that `value` names first.
    """

    severity: Severity
    check: str
    track: str
    stem: str
    value: str
    remedy: str
    number: float | None = None

    def __post_init__(self) -> None:
        assert self.check in CHECKS, self.check
