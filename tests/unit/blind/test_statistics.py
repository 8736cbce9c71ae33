"""Rank correlations, their intervals, and what scores are good for."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from demucs.blind.calibration.rank_statistics import (
    Found,
    correlation,
    mean_over,
    rank_correlations,
    resamples,
    weighted_ranks,
)
from studies.blind.usefulness import activity_auc, calibration, risk_coverage


def columns(rows: int = 200, seed: int = 0):
    random = np.random.default_rng(seed)
    level = random.normal(size=rows)
    truth = level + random.normal(size=rows)
    songs = np.arange(rows) // 5
    return random, level, truth, songs


def test_weighted_ranks_are_the_ranks_of_the_resample_with_ties():
    random = np.random.default_rng(0)
    values = random.integers(0, 6, 30).astype(float)
    times = random.integers(0, 4, 30)
    ranks = weighted_ranks(values, times[None].astype(float))[0]
    expected = np.full(30, np.nan)
    spelt = rankdata(np.repeat(values, times))
    for one in np.unique(values):
        if times[values == one].sum():
            expected[values == one] = spelt[np.repeat(values, times) == one][0]
    known = np.isfinite(expected)
    np.testing.assert_allclose(ranks[known], expected[known] - 0.5)


def test_spearman_is_scipys_on_all_rows_and_on_a_resample():
    random, _, truth, songs = columns()
    score = np.round(truth + random.normal(size=len(truth)), 1)  # with ties
    weights = resamples(songs, 3, seed=1)
    simple, _ = rank_correlations(score, truth, [], weights)
    for one, row in zip(simple, weights.astype(int), strict=True):
        again = np.repeat(np.arange(len(truth)), row)
        assert one == pytest.approx(spearmanr(score[again], truth[again]).statistic)


def test_partial_correlation_is_that_of_the_residuals_of_ranks():
    random, level, truth, songs = columns()
    score = truth + random.normal(size=len(truth))
    found = correlation(score, truth, songs, [level], resamples(songs, 50, 0))
    ranks = [rankdata(one) for one in (score, truth, level)]
    design = np.stack([np.ones(len(truth)), ranks[2]], axis=1)
    left = [one - design @ np.linalg.lstsq(design, one, rcond=None)[0] for one in ranks[:2]]
    assert found.partial.value == pytest.approx(np.corrcoef(left)[0, 1])
    assert found.partial.low < found.partial.value < found.partial.high


def test_score_that_knows_only_loudness_has_no_partial_correlation():
    random, level, truth, songs = columns(1000)
    found = correlation(
        level + 0.3 * random.normal(size=1000), truth, songs, [level], resamples(songs, 100, 0)
    )
    assert found.spearman.value > 0.5
    assert abs(found.partial.value) < 0.1
    assert found.partial.low < 0 < found.partial.high


def test_a_control_has_no_partial_correlation_and_the_reason_is_told():
    _, level, truth, songs = columns()
    found = correlation(level, truth, songs, [level, level * 2], resamples(songs, 10, 0))
    assert np.isfinite(found.spearman.value)
    assert np.isnan(found.partial.value)
    assert "loudness" in found.partial.reason


def test_intervals_resample_songs_and_not_rows():
    random = np.random.default_rng(0)
    truth = np.repeat(random.normal(size=10), 50)  # ten songs, all rows of a song alike
    score = truth + np.repeat(random.normal(size=10), 50)
    songs = np.repeat(np.arange(10), 50)
    by_song = correlation(score, truth, songs, [], resamples(songs, 300, 0)).spearman
    rows = np.arange(500)
    by_row = correlation(score, truth, rows, [], resamples(rows, 300, 0)).spearman
    assert by_song.value == by_row.value
    assert by_song.songs == 10
    assert by_song.high - by_song.low > 3 * (by_row.high - by_row.low)


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (np.ones(20), "the score is constant"),
        (np.full(20, np.nan), "0 rows"),
        (np.r_[np.arange(4.0), np.full(16, np.nan)], "4 rows, fewer than 5"),
    ],
)
def test_what_has_no_correlation_is_nan_with_the_reason(score, reason):
    songs = np.arange(20)
    found = correlation(score, np.arange(20.0), songs, [], resamples(songs, 10, 0))
    assert np.isnan(found.spearman.value)
    assert np.isnan(found.kendall)
    assert reason in found.spearman.reason


def test_constant_truth_is_told():
    songs = np.arange(20)
    found = correlation(np.arange(20.0), np.ones(20), songs, [], resamples(songs, 10, 0))
    assert found.spearman.reason == "the truth is constant"


def test_mean_leaves_out_what_has_no_value():
    draws = [np.array([0.5, 0.4, 0.6]), np.full(3, np.nan), np.array([0.7, np.nan, 0.8])]
    found = mean_over(draws, 9, 3)
    assert found.value == pytest.approx(0.6)
    assert found.low == pytest.approx(0.4, abs=0.02)
    assert np.isnan(mean_over([np.full(3, np.nan)], 9, 3).value)


def test_no_interval_where_most_resamples_have_no_value():
    assert np.isnan(Found.of(np.array([0.5, 0.4, np.nan, np.nan, np.nan]), 9, 3).low)


def test_risk_of_the_truth_a_random_score_and_a_constant():
    random = np.random.default_rng(0)
    truth = random.normal(size=3000)
    assert risk_coverage(truth, truth)["excess"] == pytest.approx(0)
    assert risk_coverage(random.normal(size=3000), truth)["excess"] == pytest.approx(1, abs=0.1)
    constant = risk_coverage(np.ones(3000), truth)
    assert constant["excess"] == pytest.approx(1)
    assert constant["quality"] == pytest.approx([truth.mean()] * 20)
    assert risk_coverage(-truth, truth)["excess"] > 1.5
    assert constant["oracle"]["quality"][0] > 1.8  # the best twentieth of a normal
    assert "fewer than 5" in risk_coverage(truth[:3], truth[:3])["reason"]


def test_stems_without_a_score_are_dropped_first():
    truth = np.arange(10.0)
    score = np.where(truth < 5, np.nan, 1.0)
    assert risk_coverage(score, truth)["quality"][9] == pytest.approx(7)  # half is kept


def test_calibration_tells_bias_and_coverage():
    truth = np.linspace(0, 10, 100)
    told = calibration(truth + 1, truth, truth - 0.5, np.where(truth < 2, truth - 0.1, truth + 2))
    assert told["bias"] == pytest.approx(1)
    assert told["covered"] == pytest.approx(0.8)
    assert [one["guess"] - one["truth"] for one in told["bins"]] == pytest.approx([1] * 8)
    assert told["width"] == pytest.approx(2.5)
    assert calibration(truth, truth, truth - np.inf, truth + np.inf)["width"] is None
    assert "reason" in calibration(truth[:2], truth[:2], truth[:2], truth[:2])


def test_activity_auc():
    assert activity_auc(np.arange(4.0), np.array([0, 0, 1, 1], bool))["auc"] == 1
    found = activity_auc(np.r_[np.arange(4.0), np.nan], np.ones(5, bool))
    assert found["auc"] is None
    assert found["without"] == 1
