"""Quality of the stems of one song, as predicted without ground truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
QUIET = -60.0  # dBFS; below it a stem counts as silent


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The predicted quality of each stem, of the song and of each of its windows.

    Attributes:
        sources: names of the stems, in the order of S.
        window: seconds of a window.
        sdr: predicted nSDR of the whole song in dB, `[S]`.
        low, high: the interval around it, `[S]`.
        active: probability that the stem plays at all, `[S]`.
        windows: predicted nSDR of each window in dB, `[S, N]`.
        active_windows: probability that the stem plays there, `[S, N]`.
    """

    sources: tuple[str, ...]
    window: float
    sdr: Array
    low: Array
    high: Array
    active: Array
    windows: Array
    active_windows: Array

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; NaN and infinities become null, numbers have four decimals."""
        arrays = ("sdr", "low", "high", "active", "windows", "active_windows")
        return {
            "sources": list(self.sources),
            "window": self.window,
            **{name: plain(getattr(self, name)) for name in arrays},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Quality":
        return cls(
            sources=tuple(data["sources"]),
            window=float(data["window"]),
            **{
                name: from_plain(data[name])
                for name in ("sdr", "low", "high", "active", "windows", "active_windows")
            },
        )


def plain(values: Array) -> Any:
    """An array as nested lists for JSON, rounded to four decimals; null where it is not finite."""
    if values.ndim:
        return [plain(value) for value in values]
    return round(float(values), 4) if np.isfinite(values) else None


def from_plain(values: Sequence[Any]) -> Array:
    """The array that `plain` wrote; NaN where it has null."""
    return np.array(
        [from_plain(v) if isinstance(v, list) else np.nan if v is None else v for v in values],
        dtype=np.float64,
    )
