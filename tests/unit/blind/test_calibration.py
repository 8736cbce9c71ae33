"""From scores to dB with an interval, and to whether a stem plays."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from demucs.blind.calibration.calibration import Calibration, thinned
from demucs.blind.calibration.rank_statistics import weighted_quantile
from demucs.blind.calibration.regressors import REGRESSORS, Regressor, Scaling
from demucs.blind.calibration.rows import rows_of
from demucs.errors import ConfigError, DatasetError
from studies.blind.regressor_choice import compared
from tests.unit.blind_records import SOURCES, WINDOWS, make_records


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return Calibration.fit(make_records())


def test_quality_follows_the_truth_on_songs_and_windows_not_seen(calibration):
    songs, windows = [], []
    for one in make_records(split="test", songs=15):
        quality = calibration.predict(one.scores, SOURCES, 1.0)
        songs += list(zip(quality.sdr, one.truth["nsdr"].track, strict=True))
        windows += list(
            zip(quality.windows.ravel(), one.truth["nsdr"].windows.ravel(), strict=True)
        )
    for pairs in (songs, windows):
        guess, truth = np.array(pairs).T
        known = np.isfinite(truth)
        assert spearmanr(guess[known], truth[known]).statistic > 0.95


def test_intervals_hold_about_what_they_should():
    tests = make_records(split="test", songs=40)
    for coverage in (0.6, 0.9):
        made = Calibration.fit(make_records(songs=24), coverage=coverage)
        inside = []
        for one in tests:
            quality, truth = made.predict(one.scores, SOURCES, 1.0), one.truth["nsdr"].track
            assert (quality.low <= quality.sdr).all()
            assert (quality.sdr <= quality.high).all()
            inside += list(((quality.low <= truth) & (truth <= quality.high))[np.isfinite(truth)])
        assert coverage - 0.07 < np.mean(inside) < coverage + 0.09


def test_few_songs_cannot_vouch_for_an_interval():
    made = Calibration.fit(make_records(songs=6), coverage=0.9)
    quality = made.predict(make_records(songs=1)[0].scores, SOURCES, 1.0)
    assert np.isposinf(quality.high).all()
    assert np.isneginf(quality.low).all()
    assert np.isfinite(quality.sdr).all()
    assert quality.to_dict()["low"] == [None] * 4


def test_weighted_quantile_gives_missing_weight_to_infinity():
    values, weights = np.array([3.0, 1.0, 2.0]), np.full(3, 0.25)
    assert weighted_quantile(values, weights, 0.5) == 2
    assert weighted_quantile(values, weights, 0.75) == 3
    assert weighted_quantile(values, weights, 0.76) == np.inf


def test_intervals_apart_from_the_family_are_wider_where_families_differ():
    records = [
        replace(one, scores={**one.scores, "reseparation": _moved(one, 3.0)})
        if one.family == "two" else one
        for one in make_records()
    ]  # fmt: skip
    test = make_records(split="test", songs=1)[0]
    widths = {}
    for apart in ("track", "family"):
        quality = Calibration.fit(records, apart=apart).predict(test.scores, SOURCES, 1.0)
        widths[apart] = (quality.high - quality.low).mean()
    assert widths["family"] > widths["track"]


def _moved(one, by):
    old = one.scores["reseparation"]
    return replace(old, track=old.track + by, windows=old.windows + by)


def test_silent_stems_are_found(calibration):
    for one in make_records(split="test", songs=10):
        quality = calibration.predict(one.scores, SOURCES, 1.0)
        assert ((quality.active > 0.5) == (one.truth["level"].track > -60)).all()
        assert quality.active_windows.shape == (4, WINDOWS)
        plays = one.truth["level"].windows > -60
        assert ((quality.active_windows > 0.5) == plays).all()


def test_activity_of_stems_that_always_play_is_a_share_below_one():
    records = make_records(songs=3)
    for one in records:
        for truth in one.truth.values():
            truth.track[:], truth.windows[:] = 1.0, 1.0
        one.truth["nsdr"].track[:] = np.arange(4)
    quality = Calibration.fit(records).predict(records[0].scores, SOURCES, 1.0)
    assert ((quality.active > 0.9) & (quality.active < 1)).all()


def test_a_file_gives_the_same_calibration(calibration, tmp_path):
    path = tmp_path / "calibration.json"
    calibration.save(path)
    again = Calibration.load(path)
    one = make_records(split="test", songs=1)[0]
    first, second = (each.predict(one.scores, SOURCES, 1.0) for each in (calibration, again))
    assert again.settings == calibration.settings
    for name in ("sdr", "low", "high", "active", "windows", "active_windows"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_another_version_of_scikit_learn_warns(calibration, tmp_path, caplog):
    path = tmp_path / "calibration.json"
    calibration.save(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "scikit-learn": "0.1"}))
    with caplog.at_level(logging.WARNING):
        Calibration.load(path)
    assert "scikit-learn 0.1" in caplog.text


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": "other"}'])
def test_a_file_that_is_no_calibration_is_refused(content, tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"calibration\.json is no calibration"):
        Calibration.load(path)


def test_a_table_with_a_short_column_is_refused(calibration, tmp_path):
    path = tmp_path / "calibration.json"
    calibration.save(path)
    content = json.loads(path.read_text())
    content["songs"]["level"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="different lengths"):
        Calibration.load(path)


def test_stems_come_in_the_order_that_is_asked_for(calibration):
    one = make_records(split="test", songs=1)[0]
    turned = {
        name: replace(each, track=each.track[::-1], windows=each.windows[::-1])
        for name, each in one.scores.items()
    }
    first = calibration.predict(one.scores, SOURCES, 1.0)
    second = calibration.predict(turned, SOURCES[::-1], 1.0)
    np.testing.assert_allclose(first.sdr, second.sdr[::-1])
    np.testing.assert_allclose(first.windows, second.windows[::-1])


def test_what_predict_needs_is_named(calibration):
    scores = dict(make_records(songs=1)[0].scores)
    with pytest.raises(ConfigError, match="drums, bass, other, vocals, not piano"):
        calibration.predict(scores, ("piano",), 1.0)
    with pytest.raises(ConfigError, match=r"windows of 2 s"):
        calibration.predict(scores, SOURCES, 2.0)
    del scores["polarity"], scores["swap"]
    with pytest.raises(ConfigError, match="polarity, swap are missing"):
        calibration.predict(scores, SOURCES, 1.0)


def test_scores_that_some_records_lack_are_not_needed():
    records = make_records(songs=5)
    records[3] = replace(
        records[3], scores={k: v for k, v in records[3].scores.items() if k != "polarity"}
    )
    made = Calibration.fit(records)
    assert "polarity" not in made.settings.names
    scores = {name: records[0].scores[name] for name in made.settings.names}
    assert np.isfinite(made.predict(scores, SOURCES, 1.0).sdr).all()


def test_what_fit_refuses():
    records = make_records(songs=3)
    with pytest.raises(DatasetError, match="no records"):
        Calibration.fit([])
    with pytest.raises(ConfigError, match="coverage 1"):
        Calibration.fit(records, coverage=1)
    with pytest.raises(ConfigError, match="apart 'song'"):
        Calibration.fit(records, apart="song")
    with pytest.raises(ConfigError, match="no regressor 'oracle'"):
        Calibration.fit(records, regressor="oracle")
    with pytest.raises(ConfigError, match="members are missing"):
        Calibration.fit(records, names=["members"])
    with pytest.raises(ConfigError, match="no score that every record has"):
        Calibration.fit(records, names=[])
    with pytest.raises(DatasetError, match="lacks the truth sdr"):
        Calibration.fit(records, target="sdr")
    with pytest.raises(DatasetError, match=r"windows of 2 s"):
        Calibration.fit([*records, replace(records[0], window=2.0)])
    with pytest.raises(DatasetError, match="of the same stems"):
        Calibration.fit([*records, replace(records[0], sources=SOURCES[::-1])])
    with pytest.raises(DatasetError, match="there are no records"):
        rows_of([], SOURCES, ["level"], "nsdr")
    for one in records:
        one.truth["level"].track[1] = -90
    with pytest.raises(DatasetError, match="bass plays in no song"):
        Calibration.fit(records)


def test_scaling_clips_fills_gaps_and_tells_of_them():
    values = np.array(
        [[0.0, 1.0, 5.0, np.nan], [10.0, np.nan, 5.0, np.nan], [5.0, 3.0, 5.0, np.nan]]
    )
    scaling = Scaling.of(values)
    found = scaling(np.array([[1000.0, np.nan, 7.0, 1.0], [11.0, 2.0, 5.0, np.nan]]))
    assert found.shape == (2, 5)  # one column more: the second score had a gap
    assert found[0, 0] == found[1, 0]  # a tenth beyond the range
    assert found[0, 1] == found[1, 1]  # the median of 1 and 3
    assert (found[:, 2:4] == 0).all()  # constants and empty columns tell nothing
    assert found[:, 4].tolist() == [1, 0]


@pytest.mark.parametrize("name", ["signed_ridge", "boosting"])
def test_a_better_score_never_lowers_the_quality(name):
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 2))
    target = -values[:, 0] + values[:, 1]  # the data say that `shift` is bad
    names, stem = ("shift", "noise"), np.zeros(60, int)
    model = Regressor(name, names).fit(values, stem, target)
    low = model.predict(np.array([[-1.0, 0.0]]), stem[:1])
    high = model.predict(np.array([[1.0, 0.0]]), stem[:1])
    assert high >= low - 1e-9


def test_gaussian_processes_learn_what_has_noise():
    random = np.random.default_rng(0)
    values, stem = random.normal(size=(60, 2)), np.zeros(60, int)
    target = 3 * values[:, 0] + random.normal(size=60)
    model = Regressor("gaussian", ("polarity", "shift")).fit(values[:40], stem[:40], target[:40])
    assert spearmanr(model.predict(values[40:], stem[40:]), target[40:]).statistic > 0.8


@pytest.mark.parametrize("name", [one for one in REGRESSORS if one not in ("boosting", "gaussian")])
def test_every_regressor_learns_each_stem_by_itself(name):
    random = np.random.default_rng(0)
    values, stem = random.normal(size=(80, 2)), np.arange(80) % 2
    target = np.where(stem == 0, 3 * values[:, 0], 3 * values[:, 1] + 10)
    model = Regressor(name, ("polarity", "shift")).fit(values, stem, target)
    guess = model.predict(values, stem)
    for one in (0, 1):
        assert spearmanr(guess[stem == one], target[stem == one]).statistic > 0.95
    assert np.isnan(model.predict(values[:1], np.array([2])))


def test_regressors_are_compared_by_songs_and_families():
    found = compared(make_records(songs=10), "nsdr", regressors=["ridge", "signed_ridge"])
    assert set(found) == {"track", "family"}
    ridge = found["track"]["ridge"]
    assert min(ridge["spearman"].values()) > 0.9
    assert ridge["rmse"] < 1.5


def test_thinned_keeps_first_and_last():
    rows = rows_of(make_records(songs=5), SOURCES, ["level"], "nsdr")
    few = thinned(rows, 7)
    assert len(few) == 7
    assert (few.track[0], few.track[-1]) == (rows.track[0], rows.track[-1])
    assert thinned(rows, 1000) is rows
