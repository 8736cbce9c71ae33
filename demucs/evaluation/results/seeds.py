"""Evaluations of runs that differ in their seed alone: mean, standard deviation, differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.stats

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import VALUES
from demucs.evaluation.results.results import Results

UNKNOWN = (
    "with one seed the spread over seeds is unknown (published: standard deviations of 0.1 to "
    "0.3 dB, arXiv:2603.09187): a smaller difference is not a finding"
)
COVERAGE = 0.95
TOTAL = "mean"  # over the stems


@dataclass(frozen=True)
class Spread:
    """One number of the runs of a group.

    Attributes:
        values: of each run, in the order of the group; those that have none are left out.
        mean: over the runs; None without a value.
        deviation: standard deviation over the runs (n - 1); None with fewer than two.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        return float(np.mean(self.values)) if self.values else None

    @property
    def deviation(self) -> float | None:
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Gap:
    """The difference of two groups' means, with what the seeds alone allow.

    Attributes:
        mean: of the second group - of the first.
        margin: half of the 95 % interval of `mean`; None where no group has two runs.
    """

    mean: float
    margin: float | None

    @property
    def is_within_noise(self) -> bool | None:
        """Whether the seeds explain it: the interval has 0 in it; None where that is unknown."""
        return None if self.margin is None else abs(self.mean) <= self.margin


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs of one recipe.

    Attributes:
        members: their numbers in the list that was grouped.
        seeds: of the members; None where unknown.
    """

    members: tuple[int, ...]
    seeds: tuple[int | None, ...]


def recorded_recipe(results: Results) -> tuple[str | None, int | None]:
    """The recipe and the seed that an evaluation has recorded; None for what it has not."""
    recipe, seed = results.model.get("recipe"), results.model.get("seed")
    return (recipe if isinstance(recipe, str) else None, seed if isinstance(seed, int) else None)


def group_runs(recipes: Sequence[tuple[str | None, int | None]]) -> list[Group]:
    """Groups runs by recipe, in the order of their first ones; without a recipe one is alone.

    >>> [group.members for group in group_runs([("a", 1), ("b", 1), ("a", 2), (None, None)])]
    [(0, 2), (1,), (3,)]
    """
    members: dict[Any, list[int]] = {}
    for index, (recipe, _) in enumerate(recipes):
        members.setdefault(index if recipe is None else recipe, []).append(index)
    return [
        Group(members=tuple(some), seeds=tuple(recipes[index][1] for index in some))
        for some in members.values()
    ]


def check_distinct(results: Sequence[Results], names: Sequence[str]) -> None:
    """Refuses the same weights twice: their spread would be 0 without any seed having been tried.

    Raises:
        ConfigError: two evaluations are of the same weights.
    """
    first: dict[str, str] = {}
    for one, name in zip(results, names, strict=True):
        weights = one.model.get("weights_sha256")
        if weights in first:
            raise ConfigError(
                f"{first[weights]} and {name} are evaluations of the same weights: give one "
                "evaluation of each training run"
            )
        if weights:
            first[str(weights)] = name


def in_common(results: Sequence[Results]) -> list[Results]:
    """The evaluations over the songs and stems that all of them have.

    Raises:
        ConfigError: there is none.
    """
    songs = set.intersection(*(_measured(one) for one in results))
    stems = [s for s in results[0].sources if all(s in one.sources for one in results)]
    if not songs or not stems:
        what = "song" if not songs else "stem"
        raise ConfigError(f"the evaluations have no {what} in common: evaluate the same songs")
    return [
        replace(one, sources=stems, tracks={name: one.tracks[name] for name in sorted(songs)})
        for one in results
    ]


def columns_of(results: Sequence[Results]) -> list[str]:
    """The metrics that all have; of SDR also the papers' median over songs, `sdr_med`."""
    each = [one.aggregates().keys() for one in results]
    names = [name for metric in VALUES for name in (metric, f"{metric}_med")]
    return [
        name
        for name in names
        if all(name in keys for keys in each) and (name == "sdr_med" or not name.endswith("_med"))
    ]


def spreads(results: Sequence[Results], name: str) -> dict[str, Spread]:
    """By stem and for their `mean`, one aggregate of the runs of a group.

    Args:
        results: of the group, over the same songs.
        name: of `Results.aggregates`, such as `nsdr` or `sdr_med`.
    """
    rows = [_row(one.aggregates()[name]) for one in results]
    return {
        stem: Spread(tuple(v for v in (row[stem] for row in rows) if v is not None))
        for stem in rows[0]
    }


def gap(first: Spread, second: Spread) -> Gap | None:
    """The difference second - first; None where one of them has no value.

    The interval is Welch's. Where a group is a single run, it is taken to vary as the other one.

    >>> found = gap(Spread((1.0, 1.2, 1.4)), Spread((1.5,)))
    >>> round(found.mean, 2), round(found.margin, 2), found.is_within_noise
    (0.3, 0.99, True)
    >>> gap(Spread((1.0,)), Spread((1.5,))).is_within_noise is None
    True
    """
    if first.mean is None or second.mean is None:
        return None
    return Gap(second.mean - first.mean, _margin(first, second))


def _margin(first: Spread, second: Spread) -> float | None:
    sizes = (len(first.values), len(second.values))
    if first.deviation is not None and second.deviation is not None:
        shares = (first.deviation**2 / sizes[0], second.deviation**2 / sizes[1])
        error = math.sqrt(sum(shares))
        if error == 0:
            return 0.0
        parts = (share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))
        freedom = sum(shares) ** 2 / sum(parts)
    else:
        several = first if first.deviation is not None else second
        if several.deviation is None:
            return None
        error = several.deviation * math.sqrt(1 / sizes[0] + 1 / sizes[1])
        freedom = len(several.values) - 1
    return float(scipy.stats.t.ppf((1 + COVERAGE) / 2, freedom) * error)


def _row(aggregate: Mapping[str, Any]) -> dict[str, float | None]:
    return {**aggregate["stems"], TOTAL: aggregate["mean"]}


def _measured(results: Results) -> set[str]:
    return {name for name, track in results.tracks.items() if track.failed is None}
