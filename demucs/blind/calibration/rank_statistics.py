"""Rank correlations of a score with the truth, with intervals over songs.

All functions take columns of n rows. Intervals come from resampling songs (clusters), not rows:
what several teachers, stems and seconds of one song say is not independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau, spearmanr

from demucs.blind.quality import Array

FEWEST = 5  # rows below which no correlation is told
SHARES = (2.5, 97.5)  # percentiles of a bootstrap interval


@dataclass(frozen=True, kw_only=True)
class Found:
    """A statistic: its value, its 95 % interval, and of how much; NaN with the reason."""

    value: float
    low: float
    high: float
    rows: int
    songs: int
    reason: str = ""

    @classmethod
    def of(cls, draws: Array, rows: int, songs: int, reason: str = "") -> "Found":
        """From the value on all rows and on B resamples of them, `[1 + B]`.

        No interval where half of the resamples have no value.
        """
        rest = draws[1:][np.isfinite(draws[1:])]
        value = float(draws[0])
        is_known = np.isfinite(value) and len(rest) * 2 >= len(draws) > 1 and songs > 1
        low, high = np.percentile(rest, SHARES) if is_known else (np.nan, np.nan)
        return cls(
            value=value, low=float(low), high=float(high), rows=rows, songs=songs, reason=reason
        )

    @classmethod
    def none(cls, reason: str, rows: int = 0, songs: int = 0) -> "Found":
        return cls.of(np.full(1, np.nan), rows, songs, reason)


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A score against the truth.

    Attributes:
        spearman: of all rows.
        partial: Spearman's with the loudness held constant; see `rank_correlations`.
        kendall: tau-b of all rows, without interval.
        draws, partial_draws: the values on all rows and on each resample, `[1 + B]`.
    """

    spearman: Found
    partial: Found
    kendall: float
    draws: Array
    partial_draws: Array


def resamples(songs: Array, count: int, seed: int) -> Array:
    """How often each row is in a resample of songs, `[1 + count, n]`; the first is all rows once.

    The draws depend on the sorted names of the songs and the seed alone, so that tables of the
    same songs are resampled alike.
    """
    names, index = np.unique(songs, return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / max(1, len(names))), size=count
    )
    return np.concatenate([np.ones((1, len(songs))), draws[:, index]]).astype(np.float64)


def correlation(
    score: Array, truth: Array, songs: Array, controls: Sequence[Array], weights: Array
) -> Correlation:
    """Of the rows where score, truth and controls are finite.

    Args:
        score, truth: `[n]`.
        songs: the name of each row's song, `[n]`.
        controls: columns `[n]` that hold the loudness.
        weights: `resamples` of the rows, `[1 + B, n]`.
    """
    known = np.isfinite(score) & np.isfinite(truth)
    for control in controls:
        known &= np.isfinite(control)
    rows, count = int(known.sum()), len(np.unique(songs[known]))
    reason = unfit(score[known], truth[known])
    if reason:
        empty = np.full(len(weights), np.nan)
        none = Found.none(reason, rows, count)
        return Correlation(
            spearman=none, partial=none, kendall=float("nan"), draws=empty, partial_draws=empty
        )
    simple, partial = rank_correlations(
        score[known], truth[known], [control[known] for control in controls], weights[:, known]
    )
    why = "" if np.isfinite(partial[0]) else "it is itself a matter of loudness"
    return Correlation(
        spearman=Found.of(simple, rows, count),
        partial=Found.of(partial, rows, count, why),
        kendall=float(kendalltau(score[known], truth[known]).statistic),
        draws=simple,
        partial_draws=partial,
    )


def spearman(score: Array, truth: Array) -> float:
    """Spearman's correlation; NaN for fewer than three values, or where one side is constant."""
    if len(score) < 3 or np.ptp(score) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(spearmanr(score, truth).statistic)


def unfit(score: Array, truth: Array) -> str:
    """Why two columns have no correlation; nothing if they have one."""
    if len(score) < FEWEST:
        return f"{len(score)} rows, fewer than {FEWEST}"
    if np.ptp(score) == 0:
        return "the score is constant"
    if np.ptp(truth) == 0:
        return "the truth is constant"
    return ""


def rank_correlations(
    score: Array, truth: Array, controls: Sequence[Array], weights: Array
) -> tuple[Array, Array]:
    """Spearman's correlation and the partial one, of each weighting of the rows, `[B]` each.

    The partial one is that of the ranks of score and truth after the best linear function of the
    controls' ranks is taken from both. It is NaN where nothing of the score is left.
    """
    controls = [control for control in controls if np.ptp(control) > 0]
    ranks = np.stack([weighted_ranks(control, weights) for control in (score, truth, *controls)])
    matrix = _correlation_matrix(ranks, weights)
    simple = matrix[:, 0, 1]
    if not controls:
        return simple, simple
    # A control that is constant in a resample has correlation 0 with everything there.
    within, across = np.nan_to_num(matrix[:, 2:, 2:]), np.nan_to_num(matrix[:, :2, 2:])
    inverse = np.linalg.pinv(within, rcond=1e-9, hermitian=True)
    left = matrix[:, :2, :2] - across @ inverse @ across.transpose(0, 2, 1)
    spread = np.where(left > 1e-9, left, np.nan)
    with np.errstate(invalid="ignore"):
        partial = left[:, 0, 1] / np.sqrt(spread[:, 0, 0] * spread[:, 1, 1])
    return simple, np.clip(partial, -1, 1)


def weighted_ranks(values: Array, weights: Array) -> Array:
    """Ranks `[B, n]` of `[n]` values when each stands weights `[B, n]` times in the sample.

    Ties share their mean rank; all ranks lack ½, which no correlation sees.
    """
    kinds, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    upto = np.cumsum(weights[:, order], axis=1)
    ends = np.cumsum(np.bincount(group, minlength=len(kinds))) - 1
    high = upto[:, ends]
    low = np.concatenate([np.zeros((len(weights), 1)), high[:, :-1]], axis=1)
    middle: Array = (low + high)[:, group] / 2
    return middle


def _correlation_matrix(ranks: Array, weights: Array) -> Array:
    """`[K, B, n]` and weights `[B, n]` to `[B, K, K]`; NaN where a column is constant."""
    total = weights.sum(1)
    centred = ranks - ((ranks * weights).sum(2) / np.maximum(total, 1e-12))[:, :, None]
    scaled = (centred * np.sqrt(weights)).transpose(1, 0, 2)
    covariance = scaled @ scaled.transpose(0, 2, 1)
    spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    spread = np.where(spread > 1e-9, spread, np.nan)
    matrix: Array = covariance / (spread[:, :, None] * spread[:, None, :])
    return matrix


def group_weights(groups: Array) -> Array:
    """1/(K+1) for each of K groups (songs), shared by its rows; `[n]`."""
    _, index, rows = np.unique(groups, return_inverse=True, return_counts=True)
    weights: Array = 1 / (rows[index] * (len(rows) + 1))
    return weights


def weighted_quantile(values: Array, weights: Array, share: float) -> float:
    """The smallest value at or below which `share` of the weight lies; the weight that is missing
    to 1 lies at infinity."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= share - 1e-12
    return float(values[order][np.argmax(reached)]) if reached.any() else float("inf")


def mean_over(draws: Sequence[Array], rows: int, songs: int) -> Found:
    """The mean of statistics that were resampled alike, each `[1 + B]`, of those with a value.

    In a resample where some of them have none, of the rest.
    """
    finite = [draw for draw in draws if np.isfinite(draw[0])]
    if not finite:
        return Found.none("none of the parts has a value", rows, songs)
    parts = np.array(finite)
    known = np.isfinite(parts)
    count = known.sum(0)
    mean = np.where(known, parts, 0).sum(0) / np.maximum(1, count)
    return Found.of(np.where(count > 0, mean, np.nan), rows, songs)
