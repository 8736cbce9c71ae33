"""What the figures of the two studies say where a part of their numbers is missing."""

import json

import pytest

from tests.unit.graphing import ROOT, call

import blind_quality  # isort: skip
import distil_trial  # isort: skip

RESULTS = ROOT / "demucs_results"


def test_a_trial_without_some_results_is_drawn_and_says_so(tmp_path, monkeypatch):
    trial = json.loads((RESULTS / "distil_trial" / "trial.json").read_text())
    first, second = list(trial["students"].values())[:2]
    del first["nsdr"]
    next(iter(second["nsdr"].values()))["mean"] = float("nan")
    path, drawn = tmp_path / "trial.json", []
    path.write_text(json.dumps(trial))
    monkeypatch.setattr(distil_trial, "save", lambda figure, *_: drawn.append(figure))
    assert call(distil_trial, path) == 0
    told = drawn[0].get_supxlabel()
    for one in (first, second):
        assert f"{one['arm']} (seed {one['seed']})" in told


@pytest.mark.parametrize("content", ['{"students": {}}', '{"students": {"a": {}}}', "[]", "{"])
def test_no_trial_ends_with_a_message(tmp_path, content, capsys):
    path = tmp_path / "trial.json"
    path.write_text(content)
    assert call(distil_trial, path) == 1
    assert str(path) in capsys.readouterr().err


def test_a_study_that_lacks_a_part_has_its_other_figures(tmp_path, monkeypatch):
    study = json.loads((RESULTS / "blind_study" / "study.json").read_text())
    for condition in study["targets"]["nsdr"]["conditions"].values():
        del condition["songs"]["risk"]
    path, drawn = tmp_path / "study.json", {}
    path.write_text(json.dumps(study))
    monkeypatch.setattr(blind_quality, "save", lambda figure, _, name: drawn.update({name: figure}))
    records = RESULTS / "blind_study" / "records.tar.xz"
    assert call(blind_quality, path, "--records", records) == 0
    assert "the study lacks 'risk'" in drawn["risk_nsdr"].axes[0].texts[0].get_text()
    assert len(drawn["predicted_nsdr"].axes) == 16
    raw = drawn["raw_nsdr"].axes
    assert len(raw) == 16
    assert sum(len(line.get_xdata()) for line in raw[0].lines) == 144


def test_wrong_records_end_with_a_message(tmp_path, capsys):
    (tmp_path / "x.tar").write_bytes(b"none")
    study = RESULTS / "blind_study" / "study.json"
    for path, message in ((tmp_path, "has no records"), (tmp_path / "x.tar", "cannot be read")):
        assert call(blind_quality, study, "--records", path) == 1
        assert message in capsys.readouterr().err
