"""Two evaluations of the same songs, song by song: differences, their intervals and a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import VALUES
from demucs.evaluation.results.aggregate import Interval, bootstrap, interval, plain
from demucs.evaluation.results.results import Results

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of one stem (or of `mean`, over the stems of a song) in two evaluations.

    Attributes:
        metric, stem: which.
        songs: how many have a value in both; only these count.
        first, second: means over those songs.
        mean: of second - first over songs, with its 95 % bootstrap `interval`.
        median: of second - first over songs.
        better: share of songs in which the second is greater.
        p_value: of Wilcoxon's signed-rank test, two-sided: how likely so unequal ranks are where
            no side is better; None with fewer than six songs that differ, where it cannot be small.
    """

    metric: str
    stem: str
    songs: int
    first: float | None
    second: float | None
    mean: float | None
    median: float | None
    interval: Interval
    better: float | None
    p_value: float | None


def compare(first: Results, second: Results) -> list[Difference]:
    """Compares what both measured, by metric and stem.

    Raises:
        ConfigError: no song, stem or metric in common.
    """
    names = sorted(_measured(first) & _measured(second))
    stems = [stem for stem in first.sources if stem in second.sources]
    if not names or not stems:
        what = "song" if not names else "stem"
        raise ConfigError(
            f"the two evaluations have no {what} in common: {_some(first, what)} and "
            f"{_some(second, what)}"
        )
    differences = []
    for metric in VALUES:
        both = [_matrix(results, metric, names, stems) for results in (first, second)]
        if any(one is None for one in both):
            continue
        one, other = (np.column_stack([v, v.mean(1)]) for v in both if v is not None)
        differences += [
            _difference(metric, stem, one[:, k], other[:, k])
            for k, stem in enumerate([*stems, "mean"])
        ]
    if not differences:
        raise ConfigError("the two evaluations have no metric in common: measure both alike")
    return differences


def doubts(first: Results, second: Results, names: Sequence[str] = ("A", "B")) -> list[str]:
    """What the two differ in besides the model, and what else speaks against comparing them."""
    warnings = []
    common = _measured(first) & _measured(second)
    if len(common) < 6:
        warnings.append(f"{len(common)} songs in common are too few to conclude anything")
    for name, results, other in zip(names, (first, second), (second, first), strict=True):
        alone = sorted(_measured(results) - _measured(other))
        if alone:
            warnings.append(f"only in {name}: {_few(alone)}; left out")
    audio = [n for n in sorted(common) if _differ(first.tracks[n].audio, second.tracks[n].audio)]
    if audio:
        warnings.append(f"other audio under the same name: {_few(audio)}")
    if set(first.sources) != set(second.sources):
        shared = [stem for stem in first.sources if stem in second.sources]
        warnings.append(
            f"they have other stems: compared, and in the mean, are {', '.join(shared)}"
        )
    for key in sorted(first.settings.keys() & second.settings.keys() - {"device", "metrics"}):
        before, after = first.settings[key], second.settings[key]
        if before != after:
            warnings.append(f"{key} is {before} in one and {after} in the other")
    for name, results in zip(names, (first, second), strict=True):
        warnings += [f"{name}: {text}" for text in results.warnings()]
    return warnings


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _difference(metric: str, stem: str, one: Array, other: Array) -> Difference:
    there = np.isfinite(one) & np.isfinite(other)
    gaps = (other - one)[there]
    count = len(gaps)
    samples = bootstrap(gaps[:, None], np.mean)[:, 0] if count > 1 else np.empty(0)
    return Difference(
        metric=metric,
        stem=stem,
        songs=count,
        first=plain(one[there].mean()) if count else None,
        second=plain(other[there].mean()) if count else None,
        mean=plain(gaps.mean()) if count else None,
        median=plain(np.median(gaps)) if count else None,
        interval=interval(samples),
        better=float((gaps > 0).mean()) if count else None,
        p_value=_wilcoxon(gaps),
    )


def _wilcoxon(gaps: Array) -> float | None:
    if np.count_nonzero(gaps) < 6:
        return None
    return plain(scipy.stats.wilcoxon(gaps).pvalue)


def _matrix(results: Results, metric: str, names: list[str], stems: list[str]) -> Array | None:
    """`[songs, stems]`, NaN where there is no value; None if no song has any."""
    rows = [results.tracks[name].values.get(metric, {}) for name in names]
    if not any(rows):
        return None
    return np.array([[row.get(stem) for stem in stems] for row in rows], np.float64)


def _measured(results: Results) -> set[str]:
    return {name for name, track in results.tracks.items() if track.failed is None}


def _differ(first: str, second: str) -> bool:
    """Whether two fingerprints do; results of old have none."""
    return bool(first and second) and first != second


def _name(results: Results) -> str:
    return str(results.model.get("name", "model"))


def _some(results: Results, what: str) -> str:
    names = sorted(_measured(results)) if what == "song" else results.sources
    return f"{_name(results)} has {', '.join(names[:3]) or 'none'}"
