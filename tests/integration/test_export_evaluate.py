"""From a checkpoint to a release to a table: the real command lines on tiny data."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.evaluation import DEFINITIONS, Results
from demucs.nn import ModelSpec, build_model
from demucs.pretrained import get_model
from demucs.release.checkpoint import save_checkpoint
from tests.integration import warm
from tools import export, test_pretrained

ROOT = Path(__file__).resolve().parents[2]
SIG = "0a1b2c3d"
RATE = 8000
SOURCES = ["drums", "vocals"]
SPEC = ModelSpec(
    name="hdemucs",
    kwargs={"sources": SOURCES, "channels": 4, "nfft": 256, "depth": 4, "samplerate": RATE,
            "segment": 1.0},
)  # fmt: skip


def write_tracks(folder, names):
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        stems = {source: 0.2 * rng.standard_normal((2 * RATE, 2)) for source in SOURCES}
        for part, wav in {**stems, "mixture": sum(stems.values())}.items():
            soundfile.write(folder / name / f"{part}.wav", wav, RATE, subtype="FLOAT")


def write_checkpoint(folder, musdb, **changes):
    torch.manual_seed(1)
    best = {"state": build_model(SPEC).state_dict(), "epoch": 4, "metric": 0.25, "name": "loss"}
    content = {
        "signature": SIG,
        "spec": SPEC.to_dict(),
        "config": {"dset": {"musdb": str(musdb)}, "test": {"shifts": 0, "overlap": 0.5}},
        "epoch": 5,
        "history": [],
        "best": best,
    }
    (folder / "xps" / SIG).mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / "xps" / SIG / "checkpoint.th", {**content, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder as after training: outputs, a data set, and the release."""
    root = tmp_path_factory.mktemp("made")
    write_tracks(root / "musdb" / "test", ["Böse Nacht", "Two"])
    write_tracks(root / "musdb" / "valid", ["Three"])
    write_checkpoint(root / "outputs", root / "musdb")
    done = run(root, "tools.export", SIG)
    assert done.returncode == 0, done.stderr
    assert f"wrote: release_models/{SIG}.safetensors" in done.stdout
    return root


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy to work in."""
    shutil.copytree(made / "outputs", tmp_path / "outputs")
    (tmp_path / "release_models").mkdir()
    shutil.copy(made / "release_models" / f"{SIG}.safetensors", tmp_path / "release_models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEMUCS_MUSDB", raising=False)
    monkeypatch.delenv("DEMUCS_OUTPUTS", raising=False)
    return tmp_path


def run(folder, module, *arguments, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("DEMUCS_")}
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return warm.run([sys.executable, "-m", module, *map(str, arguments)], cwd=folder, env=env)


def test_release_is_the_best_state_with_its_provenance(made):
    model = get_model(SIG, made / "release_models")
    torch.manual_seed(1)
    for name, tensor in build_model(SPEC).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
    info = model.release
    assert (info.signature, info.spec, info.config["test"]["shifts"]) == (SIG, SPEC, 0)
    found = info.provenance
    assert found["best"] == {"epoch": 4, "metric": 0.25, "name": "loss"}
    assert found["epochs"] == 5
    assert found["data"] == {"musdb": "musdb"}
    assert found["test_set_seen"] == "no"
    assert set(found["versions"]) == {"demucs", "torch", "python"}
    assert re.fullmatch(r"[0-9a-f]{64}", found["checkpoint_sha256"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["date"])


def test_the_command_line_as_it_is_typed(made):
    """As a cluster job types it; the data set is the one of the training."""
    done = run(
        made, "tools.test_pretrained", "--repo", "./release_models", "-n", SIG, "test.workers=1"
    )
    assert done.returncode == 0, done.stderr
    for word in ("drums", "vocals", "mean", "mixture nSDR", "sdr_med", "SAR"):
        assert word in done.stdout
    squeezed = " ".join(done.stdout.split())
    for name in DEFINITIONS.keys() - {"windows"}:
        assert DEFINITIONS[name] in squeezed
    results = Results.load(made / "release_models" / f"evaluation_{SIG}.json")
    assert list(results.tracks) == ["Böse Nacht", "Two"]
    assert results.complete
    assert results.model["name"] == results.model["signature"] == SIG
    assert results.model["test_set_seen"] == "no"
    settings = results.settings
    assert (settings["shifts"], settings["overlap"], settings["split"]) == (0, 0.5, True)
    assert results.aggregates()["sdr_med"]["stems"]["drums"] is not None
    assert results.aggregates()["log_wmse"]["stems"]["vocals"] is not None
    assert results.data["left_out"] == []
    assert results.data["name"] == "musdb"
    assert results.warnings() == []
    names = sorted(path.name for path in (made / "release_models").iterdir())
    ends = (".csv", ".json", "_windows.csv")
    assert names == [f"{SIG}.safetensors", *(f"evaluation_{SIG}{end}" for end in ends)]
    assert results.baseline()["nsdr"]["mean"] == pytest.approx(0, abs=1)


def test_exporting_again(here, capsys):
    path = here / "release_models" / f"{SIG}.safetensors"
    before = path.read_bytes()
    assert export.main([SIG]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert path.read_bytes() == before
    for options in (["--half"], ["--licence", "CC-BY-4.0"]):
        assert export.main([SIG, *options]) == 1
        assert "give --force to replace it" in capsys.readouterr().err
        assert path.read_bytes() == before
    assert export.main([SIG, "--half", "--licence", "CC-BY-4.0", "--force"]) == 0
    assert "float16" in capsys.readouterr().out
    assert path.stat().st_size < 0.75 * len(before)
    assert get_model(SIG).release.licence == "CC-BY-4.0"
    path.write_bytes(before[:-1])
    assert export.main([SIG]) == 1
    assert export.main([SIG, "--force"]) == 0
    assert get_model(SIG).release.provenance["precision"] == "float32"


def test_export_under_another_name_and_folder(here, monkeypatch):
    monkeypatch.setenv("DEMUCS_OUTPUTS", str(here / "moved"))
    (here / "outputs").rename(here / "moved")
    assert export.main([SIG, "--name", "mine", "--out", "a/b"]) == 0
    assert get_model("mine", "a/b").release.signature == SIG


@pytest.mark.parametrize("name", ["../mine", "a/b", ".x"])
def test_export_refuses_names_that_lead_elsewhere(here, capsys, name):
    assert export.main([SIG, "--name", name]) == 1
    assert "give a plain name" in capsys.readouterr().err


def test_export_of_unknown_runs(here, capsys):
    for signature in ("0a1b2c3e", "../xps/0a1b2c3d", ""):
        assert export.main([signature]) == 1
        message = capsys.readouterr().err
        assert "There is no training run" in message
        assert str(here / "outputs" / "xps") in message
        assert SIG in message
    (here / "outputs" / "xps" / "ffff0000").mkdir()
    assert export.main(["ffff0000"]) == 1
    assert "no checkpoint.th" in capsys.readouterr().err
    assert export.main([SIG, "--dora_dir", "nowhere"]) == 1
    assert "No run has a checkpoint" in capsys.readouterr().err


def test_export_of_corrupted_and_unfinished_checkpoints(here, capsys):
    path = here / "outputs" / "xps" / SIG / "checkpoint.th"
    path.write_bytes(path.read_bytes()[:-100])
    assert export.main([SIG, "--out", "new"]) == 1
    assert "corrupted" in capsys.readouterr().err
    write_checkpoint(here / "outputs", "x", best={})
    assert export.main([SIG, "--out", "new"]) == 1
    assert "train at least one epoch" in capsys.readouterr().err
    for value, options, message in (
        (float("nan"), [], "has diverged"),
        (1e6, ["--half"], "too large for float16"),
    ):
        state = build_model(SPEC).state_dict()
        state[next(iter(state))].fill_(value)
        write_checkpoint(here / "outputs", "x", best={"state": state})
        assert export.main([SIG, "--out", "new", *options]) == 1
        assert message in capsys.readouterr().err
    write_checkpoint(here / "outputs", "x", best={"state": {"weight": torch.zeros(1)}})
    assert export.main([SIG, "--out", "new"]) == 1
    assert "does not fit its model" in capsys.readouterr().err
    assert not (here / "new").exists()


def test_export_uses_the_checkpoint_before_a_corrupted_one(here, caplog):
    write_checkpoint(here / "outputs", "x")  # the first one becomes checkpoint.prev.th
    path = here / "outputs" / "xps" / SIG / "checkpoint.th"
    path.write_bytes(path.read_bytes()[:-100])
    assert export.main([SIG, "--out", "new"]) == 0
    assert "using the one before it" in caplog.text
    assert get_model(SIG, "new").release.signature == SIG


def test_a_bad_file_in_a_track_leaves_the_others(here, tmp_path, capsys):
    songs = tmp_path / "some songs"
    write_tracks(songs / "test", ["Bad", "Good"])
    (songs / "test" / "Bad" / "drums.wav").write_bytes(b"junk")
    assert evaluate("--no-sdr", "--musdb", str(songs), "--out", str(tmp_path / "r.json")) == 1
    assert "left out: " in capsys.readouterr().err
    assert list(Results.load(tmp_path / "r.json").tracks) == ["Good"]
    (songs / "test" / "Good" / "vocals.wav").write_bytes(b"junk")
    assert evaluate("--no-sdr", "--musdb", str(songs)) == 1
    assert "no test track is left" in capsys.readouterr().err


def test_continued_runs_say_so(here):
    config = {"continue_from": "53288a8c"}
    write_checkpoint(here / "outputs", "x", config=config)
    assert export.main([SIG, "--out", "new"]) == 0
    seen = get_model(SIG, "new").release.provenance["test_set_seen"]
    assert seen == "unknown: it was continued from 53288a8c"


def evaluate(*arguments):
    return test_pretrained.main(["-n", SIG, *map(str, arguments)])


def test_options_of_the_evaluation(made, here, capsys):
    musdb = made / "musdb"
    assert evaluate("--no-sdr", "--musdb", musdb, "--tracks", "Two", "test.shifts=1") == 0
    results = Results.load(here / "release_models" / f"evaluation_{SIG}_subset.json")
    assert list(results.tracks) == ["Two"]
    assert results.settings["shifts"] == 1
    assert results.settings["metrics"] == ["nsdr"]
    assert "BSS Eval" not in capsys.readouterr().out
    assert evaluate("--split", "valid", f"dset.musdb={musdb}", "test.sdr=false") == 0
    assert (here / "release_models" / f"evaluation_{SIG}_valid.json").is_file()
    out = here / "x" / "mine.json"
    options = ["--max-tracks", "1", "+test.save=true", "--out", out, "--no-sdr"]
    assert evaluate("test.split=false", *options, "test.overlap=0.1") == 0
    assert Results.load(out).settings["split"] is False
    assert (here / "x" / "mine" / "Böse Nacht" / "drums.wav").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["test.shift=2"], r"'test.shift=2' is no setting.*test\.shifts="),
        (["shifts"], "'shifts' is no setting"),
        (["test.shifts=two"], "give a whole number"),
        (["test.overlap=x"], "give a number"),
        (["test.split=maybe"], "give true or false"),
        (["test.overlap=1.5", "--no-sdr"], "overlap=1.5"),
        (["--musdb", "nowhere"], "no folder nowhere.*--musdb"),
        (["--tracks", "Three", "test.shifts=1"], "no track 'Three'.*Two"),
        (["--max-tracks", "0"], "at least 1"),
        (["--repo", "nowhere"], "nowhere does not exist"),
    ],
)
def test_bad_input_is_one_message(here, capsys, arguments, message):
    assert evaluate(*arguments) == 1
    printed = capsys.readouterr()
    assert re.search(message, printed.err, re.DOTALL)
    assert printed.err.count("error: ") == 1
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert [p.name for p in (here / "release_models").iterdir()] == [f"{SIG}.safetensors"]


def test_a_release_without_a_data_set(here, capsys):
    write_checkpoint(here / "outputs", "x", config={})
    assert export.main([SIG, "--force"]) == 0
    assert evaluate() == 1
    assert "No data set to evaluate on" in capsys.readouterr().err


def test_corrupted_release(here, capsys):
    path = here / "release_models" / f"{SIG}.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    assert evaluate() == 1
    assert f"{SIG}.safetensors cannot be read" in capsys.readouterr().err


def test_a_failed_track_fails_the_command_after_the_others(made, here, capsys, monkeypatch):
    from demucs.data import Track

    load = Track.load

    def broken(track):
        if track.name == "Two":
            raise OSError("bad block")
        return load(track)

    monkeypatch.setattr(Track, "load", broken)
    assert evaluate("--no-sdr") == 1
    printed = capsys.readouterr()
    assert "error: Two: OSError: bad block" in printed.err
    assert "on 1 tracks" in printed.out
    content = json.loads((here / "release_models" / f"evaluation_{SIG}.json").read_text())
    assert content["failed"] == {"Two": "OSError: bad block"}
    assert content["aggregates"]["nsdr"]["tracks"] == {"drums": 1, "vocals": 1}
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert evaluate("--no-sdr") == 0  # tries the failed one again, and only that
    assert "on 2 test songs, 1 done before" in capsys.readouterr().err
