"""From values of tracks to one number and an interval: means, medians, bootstrap."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Interval = tuple[float, float] | None

SAMPLES = 2000
COVERAGE = 95  # %


def column(values: Array, stems: Sequence[str], *, median: bool = False) -> dict[str, Any]:
    """One metric over tracks.

    Args:
        values: `[tracks, stems]`, NaN where there is none.
        stems: their names.
        median: over tracks, instead of the mean. Over stems it is always the mean.

    Returns:
        `stems` (value by stem), `mean` over them, `tracks` (how many counted, by stem), and
        `intervals`: of each stem, and of the mean under `mean`, each (low, high), None with fewer
        than two tracks.
    """
    over_tracks = np.nanmedian if median else np.nanmean
    counts = np.isfinite(values).sum(0)
    by_stem = _quietly(over_tracks, values, 0)
    return {
        "stems": dict(zip(stems, map(plain, by_stem), strict=True)),
        "mean": plain(_quietly(np.nanmean, by_stem, 0)),
        "tracks": dict(zip(stems, map(int, counts), strict=True)),
        "intervals": _intervals(values, stems, over_tracks),
    }


def bootstrap(values: Array, over_tracks: Callable[..., Any]) -> Array:
    """`over_tracks` of `[tracks, stems]`, for `SAMPLES` sets of tracks drawn with replacement.

    The same sets for every metric and at every call: whole tracks are drawn, so stems stay
    together, and two models measured on the same tracks can be subtracted first.

    Returns:
        `[SAMPLES, stems]`.
    """
    chosen = np.random.default_rng(0).integers(len(values), size=(SAMPLES, len(values)))
    average: Array = _quietly(over_tracks, values[chosen], 1)
    return average


def interval(samples: Array) -> Interval:
    """The percentiles that leave out as much on each side; NaN do not count.

    >>> interval(np.arange(101.0))  # 95 %
    (2.5, 97.5)
    """
    samples = samples[np.isfinite(samples)]
    if not samples.size:
        return None
    rest = (100 - COVERAGE) / 2
    low, high = np.percentile(samples, [rest, 100 - rest])
    return float(low), float(high)


def plain(value: Any) -> float | None:
    """None for NaN."""
    return float(value) if np.isfinite(value) else None


def _intervals(
    values: Array, stems: Sequence[str], over_tracks: Callable[..., Any]
) -> dict[str, dict[str, Interval] | Interval]:
    if len(values) < 2:
        return {"stems": dict.fromkeys(stems), "mean": None}
    samples = bootstrap(values, over_tracks)
    by_stem = {
        stem: interval(row) if np.isfinite(values[:, index]).sum() > 1 else None
        for index, (stem, row) in enumerate(zip(stems, samples.T, strict=True))
    }
    return {"stems": by_stem, "mean": interval(_quietly(np.nanmean, samples, 1))}


def _quietly(function: Callable[..., Any], values: Array, axis: int) -> Any:
    """NaN for the mean of nothing, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(values, axis=axis)
