"""What a calibration is made with, beside its rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from demucs.blind.records import Record
from demucs.errors import ConfigError, DatasetError

REGRESSOR = "signed_ridge"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """See `demucs.blind.calibration.model.Calibration.fit`."""

    sources: tuple[str, ...]
    names: tuple[str, ...]  # scores
    window: float  # seconds
    target: str
    coverage: float
    seed: int
    regressor: str
    apart: str


def check(settings: Settings, records: Sequence[Record]) -> None:
    """Refuses settings that cannot work.

    Raises:
        ConfigError: with the value and what is allowed.
        DatasetError: records whose windows differ in length.
    """
    if not 0 < settings.coverage < 1:
        raise ConfigError(f"coverage {settings.coverage:g}: give a share between 0 and 1, as 0.9")
    if settings.apart not in ("track", "family"):
        raise ConfigError(f"apart {settings.apart!r}: track or family")
    if not settings.names:
        raise ConfigError("there is no score that every record has: collect the records anew")
    other = [one for one in records if one.window != settings.window]
    if other:
        raise DatasetError(
            f"the record of {other[0].track} has windows of {other[0].window:g} s, another of "
            f"{settings.window:g} s: give records of one kind"
        )
