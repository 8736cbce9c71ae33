"""Results: aggregates by their definitions, JSON there and back, and the table."""

import json
from statistics import mean, median

import pytest

from demucs.errors import ConfigError
from demucs.evaluation import DEFINITIONS, Results, TrackResult
from demucs.evaluation.results.table import results_text

SOURCES = ["drums", "mean", "vocals"]  # a stem may be called anything
TRACKS = {
    "one": {"drums": 4.0, "mean": 1.0, "vocals": -3.25},
    "two": {"drums": 6.0, "mean": None, "vocals": 0.5},
    "three": {"drums": 20.0, "mean": 3.0, "vocals": 1.0},
}


def make_results(**changes):
    tracks = {}
    for name, row in TRACKS.items():
        values = {metric: dict(row) for metric in ("nsdr", "sdr", "isr", "sir", "sar")}
        baseline = {"nsdr": dict.fromkeys(SOURCES, -5.0)}
        tracks[name] = TrackResult(2.0, values, baseline, [f"note on {name}"])
    tracks["bad"] = TrackResult(failed="no such file")
    values = {
        "model": {"name": "53288a8c", "signature": "53288a8c"},
        "settings": {"shifts": 1},
        "sources": SOURCES,
        "tracks": tracks,
        "versions": {"torch": "2"},
        "date": "2000-01-01T00:00:00+00:00",
    }
    return Results(**{**values, **changes})


def test_means_and_medians_over_tracks():
    found = make_results().aggregates()
    drums = [row["drums"] for row in TRACKS.values()]
    for metric in ("nsdr", "sdr", "isr", "sir", "sar"):
        assert found[metric]["stems"]["drums"] == pytest.approx(mean(drums))
        assert found[metric]["stems"]["mean"] == pytest.approx(2.0)
        assert found[metric]["tracks"] == {"drums": 3, "mean": 2, "vocals": 3}
        assert found[f"{metric}_med"]["stems"]["drums"] == median(drums)
    assert found["sdr_med"]["mean"] == pytest.approx((6 + 2 + 0.5) / 3)
    assert make_results().baseline()["nsdr"]["mean"] == -5


def test_summary_is_flat():
    flat = make_results().summary()
    assert flat["nsdr"] == pytest.approx((10 + 2 - 1.75 / 3) / 3)
    assert flat["sdr_med_drums"] == 6
    assert all(isinstance(value, float) for value in flat.values())


def test_json_round_trip(tmp_path):
    path = tmp_path / "deep" / "results.json"
    make_results().save(path)
    assert Results.load(path) == make_results()
    assert Results.load(path).to_dict() == make_results().to_dict()
    content = json.loads(path.read_text())
    assert content["schema"] == "demucs-evaluation-2"
    assert content["definitions"] == DEFINITIONS
    assert content["tracks"]["two"]["values"]["sdr"]["mean"] is None
    assert content["failed"] == {"bad": "no such file"}
    assert content["complete"] is True
    assert "NaN" not in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "other"}', '{"schema": 1, "tracks'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.json is not the results of an evaluation"):
        Results.load(path)
    with pytest.raises(ConfigError, match="nothing"):
        Results.load(tmp_path / "nothing.json")


def test_table_has_every_number_and_every_definition():
    table = results_text(make_results())
    lines = table.splitlines()
    assert lines[0] == "53288a8c on 3 tracks, in dB"
    header = lines[2].split()
    assert header == ["stem", "mixture", "nSDR", "nSDR", "SDR", "sdr_med", "ISR", "SIR", "SAR"]
    drums = next(line for line in lines if line.startswith("drums")).split()
    assert drums[1:] == ["-5.00", "10.00", "10.00", "6.00", "10.00", "10.00", "10.00"]
    assert lines[-1].strip() != ""
    squeezed = " ".join(table.split())
    for name in (
        "nsdr",
        "baseline",
        "sdr",
        "sdr_med",
        "isr",
        "sir",
        "sar",
        "med",
        "mean",
        "interval",
    ):
        assert DEFINITIONS[name] in squeezed
    assert all(len(line) <= 90 for line in lines)


def test_missing_values_are_dashes():
    tracks = {"one": TrackResult(1.0, {"nsdr": dict.fromkeys(SOURCES)})}
    table = results_text(make_results(tracks=tracks))
    assert next(line for line in table.splitlines() if line.startswith("drums")).split()[1] == "–"
    assert "BSS Eval" not in table  # nothing is defined that is not shown
