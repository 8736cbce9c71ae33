"""Benchmarks' numbers: written whole, and drawn with all their rounds."""

import json
import sys

import pytest

from tests.unit.graphing import ROOT, call

import speed  # isort: skip

sys.path.insert(0, str(ROOT / "benchmarks"))
import record  # isort: skip


@pytest.fixture
def drawn(monkeypatch):
    """Words of the figures that a call would have written."""
    words = []

    def keep(figure, folder, name):
        for axes in figure.axes:
            words.extend(text.get_text() for text in axes.texts)
            words.extend([axes.get_title(loc="left"), axes.get_xlabel()])
        words.append(" ".join(figure.get_supxlabel().split()))  # lines may break anywhere

    monkeypatch.setattr(speed, "save", keep)
    return words


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "bench.json"
    rounds = {"public": [4.0, 5.0, 4.4], "ours": [2.0, 2.2, 2.4]}
    more = {"ours": {"snr_db": 120.5}}
    record.write(path, "bench_made_up", [record.table("a pass", "s", rounds, "public", more)])
    return path


def test_the_record_has_all_rounds_and_the_machine(written):
    found = json.loads(written.read_text())
    public, ours = found["tables"][0]["rows"]
    assert public == {"label": "public", "median": 4.4, "rounds": [4.0, 5.0, 4.4], "ratio": 1.0}
    assert ours["ratio"] == 2.0
    assert ours["snr_db"] == 120.5
    assert found["machine"]["torch"]
    assert found["machine"]["processor"]
    assert found["machine"]["threads"] >= 1


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record.write(None, "bench", [])
    assert not list(tmp_path.iterdir())


def test_ratios_and_medians_are_drawn(written, drawn):
    assert call(speed, written) == 0
    assert {"1.00 ×", "2.00 ×", "4.4", "2.2"} <= set(drawn)
    assert "bench_made_up: a pass" in drawn
    assert "times as fast as public" in drawn
    assert "rounds: 3" in drawn[-1]


def test_figures_of_several(written, tmp_path):
    assert call(speed, written, written, "--out", tmp_path / "out") == 0
    assert (tmp_path / "out" / "speed.png").stat().st_size > 5000
    assert (tmp_path / "out" / "speed.svg").stat().st_size > 5000


@pytest.mark.parametrize("processor", ["ARM", "Intel(R) Xeon(R) Platinum 8488C", "AMD " * 20])
def test_no_reference_no_rounds_and_a_busy_machine_are_told(written, drawn, processor):
    found = json.loads(written.read_text())
    found["machine"]["processor"] = processor
    found["tables"][0]["reference"] = None
    found["tables"][0]["rows"][1]["rounds"] = [float("nan")]
    found["machine"] |= {"load_average": 9.5, "cores": 2}
    written.write_text(json.dumps(found))
    assert call(speed, written) == 0
    assert {"no reference to compare with", " not measured"} <= set(drawn)
    assert "load average 9.5 on 2 cores" in drawn[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "not a benchmark"),
        ('{"format": "demucs-benchmark-1", "tables": [{}]}', "lacks 'title'"),
        ('{"format": "demucs-benchmark-1", "tables": [], "benchmark": "x", '
         '"machine": {"processor": "p"}}', "has no rows"),
    ],
)  # fmt: skip
def test_a_wrong_file_leaves_the_others(written, drawn, tmp_path, content, message, capsys):
    wrong = tmp_path / "wrong.json"
    wrong.write_text(content)
    assert call(speed, wrong, written) == 1
    assert message in capsys.readouterr().err
    assert "2.00 ×" in drawn
