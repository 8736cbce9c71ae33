"""Intervals, paired comparison, leaks, published rows and sheets."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest

from demucs.errors import ConfigError
from demucs.evaluation import Results, TrackResult
from demucs.evaluation.results.aggregate import bootstrap, column, interval
from demucs.evaluation.results.comparison import compare, doubts
from demucs.evaluation.results.published_rows import (
    kind_of,
    only_bags,
    published,
    published_rows,
    published_text,
)
from demucs.evaluation.results.sheets import write_sheets
from demucs.evaluation.results.table import results_text
from tools import compare as command

SOURCES = ["drums", "vocals"]


def results(name, gain=0.0, songs=20, noise=1.0, seed=0, **model):
    """Songs of known differences: two results of one seed differ by `gain` and own noise."""
    rng, own = np.random.default_rng(seed), np.random.default_rng(ord(name))
    tracks = {}
    for k in range(songs):
        base = rng.normal(6, 3, 2)
        values = base + gain + noise * own.normal(size=2)
        row = dict(zip(SOURCES, map(float, values), strict=True))
        tracks[f"song {k:02}"] = TrackResult(
            10.0, {"sdr": row, "nsdr": dict(row)}, audio=f"audio {k}",
            windows={"sdr": {"drums": [1.0, None], "vocals": [2.0, 3.0]}},
        )  # fmt: skip
    return Results(model={"name": name, **model}, settings={"shifts": 1, "device": "cpu"},
                   sources=SOURCES, tracks=tracks)  # fmt: skip


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(3, 2, (30, 1))
        low, high = column(values, ["a"])["intervals"]["stems"]["a"]
        covered += low <= 3 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_intervals_of_what_is_missing():
    values = np.array([[1.0, np.nan], [2.0, np.nan], [4.0, 5.0]])
    found = column(values, ["a", "b"])
    assert found["stems"] == {"a": pytest.approx(7 / 3), "b": 5.0}
    assert found["tracks"] == {"a": 3, "b": 1}
    assert found["intervals"]["stems"]["b"] is None  # of one song
    assert column(values[:1], ["a", "b"])["intervals"]["mean"] is None
    assert column(values * np.nan, ["a", "b"])["mean"] is None
    assert interval(np.array([np.nan])) is None
    assert column(values, ["a", "b"], median=True)["stems"]["a"] == 2
    json.dumps(found, allow_nan=False)


def test_bootstrap_draws_whole_songs():
    values = np.random.default_rng(0).normal(size=(10, 1))
    samples = bootstrap(np.hstack([values, -values]), np.mean)
    assert np.allclose(samples[:, 0], -samples[:, 1])
    assert samples.std() > 0.1


def test_a_true_difference_is_found_and_none_is_not_invented():
    found = {(d.metric, d.stem): d for d in compare(results("A"), results("B", gain=1.5))}
    assert set(found) == {(m, s) for m in ("nsdr", "sdr") for s in (*SOURCES, "mean")}
    sdr = found["sdr", "mean"]
    assert sdr.songs == 20
    assert sdr.mean == pytest.approx(sdr.second - sdr.first)
    assert sdr.mean == pytest.approx(1.5, abs=0.6)
    low, high = sdr.interval
    assert 0 < low < sdr.mean < high
    assert sdr.p_value < 0.01
    none = {d.stem: d for d in compare(results("A", noise=0), results("B", noise=0))}
    assert none["mean"].mean == 0
    assert none["mean"].p_value is None  # no song differs


def test_wilcoxon_is_scipys_on_paired_songs():
    from scipy.stats import wilcoxon

    first, second = results("A"), results("B", gain=0.3)
    gaps = [
        second.tracks[n].values["sdr"]["drums"] - first.tracks[n].values["sdr"]["drums"]
        for n in first.tracks
    ]
    found = next(d for d in compare(first, second) if (d.metric, d.stem) == ("sdr", "drums"))
    assert found.p_value == pytest.approx(wilcoxon(gaps).pvalue)
    assert found.median == pytest.approx(np.median(gaps))


def test_only_songs_and_stems_of_both_count():
    first, second = results("A"), results("B")
    del first.tracks["song 00"]
    second.tracks["song 01"].failed = "broken"
    second.tracks["song 02"].values["sdr"]["drums"] = None
    second.tracks["song 03"].audio = "remastered"
    second.settings["shifts"] = 5
    found = {(d.metric, d.stem): d.songs for d in compare(first, second)}
    assert found["sdr", "vocals"] == 18
    assert found["sdr", "drums"] == found["sdr", "mean"] == 17
    said = doubts(first, second)
    assert said == [
        "only in A: song 01; left out",
        "only in B: song 00; left out",
        "other audio under the same name: song 03",
        "shifts is 1 in one and 5 in the other",
    ]


def test_nothing_in_common():
    first, second = results("A"), results("B")
    second.tracks = {f"other {k}": one for k, one in enumerate(second.tracks.values())}
    with pytest.raises(ConfigError, match="no song in common: A has song 00"):
        compare(first, second)
    second = results("B")
    second.sources = ["piano"]
    with pytest.raises(ConfigError, match="no stem in common"):
        compare(first, second)
    for track in first.tracks.values():
        track.values = {}
    with pytest.raises(ConfigError, match="no metric in common"):
        compare(first, results("B"))


def test_the_command(tmp_path, capsys):
    results("A").save(tmp_path / "a.json")
    results("B", gain=2, test_set_seen="yes: MUSDB18-HQ").save(tmp_path / "b.json")
    options = ["--metrics", "sdr", "--out", str(tmp_path / "c.json")]
    assert command.main([str(tmp_path / "a.json"), str(tmp_path / "b.json"), *options]) == 0
    printed = capsys.readouterr()
    assert "nSDR" not in printed.out
    row = next(line.split() for line in printed.out.splitlines() if "vocals" in line)
    assert row[:3] == ["SDR", "vocals", "20"]
    assert "WARNING: B (B): the model has seen the test set (yes: MUSDB18-HQ)" in printed.err
    content = json.loads((tmp_path / "c.json").read_text())
    assert content["warnings"]
    assert {one["metric"] for one in content["differences"]} == {"sdr"}
    assert command.main([str(tmp_path / "a.json"), str(tmp_path / "nowhere.json")]) == 1
    assert "nowhere.json is not the results" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "seen", "said"),
    [
        ({}, [], None),
        ({"test_set_seen": "no"}, [], None),
        ({"test_set_seen": None}, [], "nothing is recorded of what the model was trained on"),
        ({"test_set_seen": "unknown: it was continued from x"}, [], "is unknown: it was continued"),
        ({"test_set_seen": "yes: 50 songs"}, [], r"has seen the test set \(yes: 50 songs\)"),
        ({"test_set_seen": "no"}, ["song 03"], r"trained on 1 of these 20 songs \(song 03\)"),
    ],
)
def test_what_a_model_may_have_heard_is_said(model, seen, said):
    found = results("A", **model)
    for name in seen:
        found.tracks[name].seen = True
    if said is None:
        assert found.warnings() == []
        assert "WARNING" not in results_text(found)
    else:
        (text,) = found.warnings()
        assert re.search(said, text)
        assert f"WARNING: {text}" in results_text(found)
        assert found.to_dict()["warnings"] == [text]


def test_published_rows_stand_in_the_order_of_their_stems():
    sources = ["vocals", "other", "drums", "bass"]
    column_ = {"mean": 5.0, "stems": dict(zip(sources, (1.0, 2.0, 3.0, None), strict=True))}
    text = published_text("mine", column_, sources)
    lines = text.splitlines()
    assert lines[0].split() == [
        "model", "kind", "tuned", "shifts", "All", *published()["sources"], "source",
    ]  # fmt: skip
    own = next(line for line in lines if line.startswith("mine"))
    assert own.split()[1:7] == ["single", "5.00", "3.00", "–", "2.00", "1.00"]
    bag = next(line for line in lines if line.startswith("Hybrid Demucs, 2 time"))
    values = ["bag", "yes", "2", "7.64", "8.12", "8.43", "5.65", "8.35"]
    assert bag.split()[-9:-1] == values
    assert f"{bag.split()[-1]} arXiv:2111.03600v3, table 6" in " ".join(text.split())
    assert "median over tracks" in " ".join(text.split())
    assert published_text("mine", column_, ["a", "b"]) == ""


def test_published_rows_say_what_they_are():
    for row in published_rows():
        assert row.kind in ("single", "bag", "one a stem", None)
        assert row.data.startswith("MUSDB18-HQ")
        assert row.source.startswith(
            "estimate" if row.estimate else ("arXiv:", "facebookresearch/demucs issue ")
        )
        assert row.note or not row.estimate
        if None not in row.stems:  # All is their mean, to a rounded digit
            assert np.mean(row.stems) == pytest.approx(row.all, abs=0.0151)
    kinds = {row.model: row.kind for row in published_rows()}
    assert kinds["HDEMUCS_HIGH_MUSDB of torchaudio"] == "single"
    assert kinds["Hybrid Demucs, 2 time + 2 hybrid"] == "bag"


def test_rows_of_the_own_kind_are_first():
    column_ = {"mean": 5.0, "stems": dict.fromkeys(published()["sources"], 5.0)}
    for kind in ("single", "bag"):
        kinds = [row.kind for row in published_rows(kind)]
        count = kinds.count(kind)
        assert count > 0
        assert kinds[:count] == [kind] * count
        lines = published_text("mine", column_, published()["sources"], kind).splitlines()[2:]
        assert lines[0].startswith(published_rows(kind)[0].model)
        assert kind in lines[0]
    assert kind_of({"name": "m"}) == "single"
    assert kind_of({"name": "m", "members": 4}) == "bag"


def test_where_only_a_bag_is_there_it_is_said():
    column_ = {"mean": 5.0, "stems": dict.fromkeys(published()["sources"], 5.0)}
    said = " ".join(published_text("mine", column_, published()["sources"]).split())
    assert "800 songs only a bag was published (8.34): a single model reaches less" in said
    bags = [row for row in published_rows() if row.kind == "bag" and row.network == "hdemucs"]
    estimate = dataclasses.replace(bags[0], kind="single", estimate=True)
    (said,) = only_bags([estimate, bags[0]])
    assert "hdemucs trained on MUSDB18-HQ only a bag" in said
    assert only_bags([dataclasses.replace(estimate, estimate=False), bags[0]]) == []


def test_sheets_hold_every_value(tmp_path):
    found = results("A", songs=2)
    found.tracks["song 01"] = TrackResult(failed="no, such file")
    sheet, windows = write_sheets(found, tmp_path / "r")
    rows = list(csv.DictReader(sheet.open()))
    assert [row["track"] for row in rows] == ["song 00", "song 00", "song 01", "song 01"]
    assert float(rows[0]["sdr"]) == pytest.approx(
        found.tracks["song 00"].values["sdr"]["drums"], abs=1e-5
    )
    assert (rows[2]["sdr"], rows[2]["failed"]) == ("", "no, such file")
    rows = list(csv.DictReader(windows.open()))
    assert [(row["stem"], row["second"], row["sdr"]) for row in rows] == [
        ("drums", "0", "1.00000"), ("drums", "1", ""),
        ("vocals", "0", "2.00000"), ("vocals", "1", "3.00000"),
    ]  # fmt: skip
    found.save(tmp_path / "r.json")
    assert write_sheets(Results.load(tmp_path / "r.json"), tmp_path / "s") == [tmp_path / "s.csv"]
