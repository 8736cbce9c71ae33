"""tools.test_pretrained over a cluster's accidents: kills, shares, changed settings, odd data."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.evaluation import Results
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release
from demucs.release.provenance import song_mark
from tests.integration import warm

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
SOURCES = ["drums", "vocals"]
SPEC = ModelSpec(
    name="hdemucs",
    kwargs={"sources": SOURCES, "channels": 4, "nfft": 256, "depth": 4, "samplerate": RATE,
            "segment": 1.0},
)  # fmt: skip
NAMES = [f"song {k}" for k in range(5)]


def write_song(folder, seed, seconds=2.0):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for source in SOURCES:
        wav = 0.2 * rng.standard_normal((int(seconds * RATE), 2))
        soundfile.write(folder / f"{source}.wav", wav, RATE, subtype="FLOAT")


def write_release(folder, seed=1, **provenance):
    torch.manual_seed(seed)
    info = ReleaseInfo(signature="abc", spec=SPEC, config={"test": {"shifts": 0}},
                       provenance={"test_set_seen": "no", **provenance})  # fmt: skip
    save_release(
        folder / "release_models" / "abc.safetensors", build_model(SPEC).state_dict(), info
    )


@pytest.fixture
def here(tmp_path):
    """A release and a folder of songs, as any user may have it: no `test` folder, no mixtures."""
    for k, name in enumerate(NAMES):
        write_song(tmp_path / "songs" / name, k, 1.0 + k)
    write_release(tmp_path)
    return tmp_path


def command(folder, *arguments, **environment):
    """The command, its folder and its environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DEMUCS_", "SLURM_"))}
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    words = [sys.executable, "-m", "tools.test_pretrained", "-n", "abc", "--musdb", "songs"]
    return {"args": [*words, *map(str, arguments)], "cwd": folder, "env": env}


def run(folder, *arguments, code=0, **environment):
    done = warm.run(**command(folder, *arguments, **environment))
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def results(folder):
    return Results.load(folder / "release_models" / "evaluation_abc.json")


def parts(folder):
    return list((folder / "release_models").glob("*.parts-*/[!.]*.json"))


def values(found):
    return {name: track.values for name, track in found.tracks.items()}


@pytest.mark.long
def test_a_folder_of_songs_without_a_test_folder(here):
    out, err = run(here, "--metrics", "nsdr", "sdr", "fullness", "test.workers=2")
    found = results(here)
    assert sorted(found.tracks) == NAMES
    assert list(found.tracks[NAMES[0]].values) == [
        "nsdr", "sdr", "isr", "sir", "sar", "bleedless", "fullness",
    ]  # fmt: skip
    assert [line.split(":")[0] for line in err.splitlines() if line.startswith("[")] == [
        f"[{k + 1}/5] {name}" for k, name in enumerate(NAMES)
    ]
    assert "left)" in err
    assert parts(here) == []
    assert all(len(one.audio) == 16 for one in found.tracks.values())
    out, err = run(here, "--metrics", "nsdr", "sdr", "fullness")
    assert "has these results already" in err
    assert "sdr_med" in out
    assert "song 0" not in err
    run(here, "--metrics", "nsdr", "sdr", "fullness", "--again")
    assert values(results(here)) == values(found)


def test_killed_and_started_again(here):
    """SIGKILL in the middle: what is measured is not measured again, to the same numbers."""
    run(here, "--metrics", "nsdr", "si_sdr")
    whole = results(here)
    (here / "release_models" / "evaluation_abc.json").unlink()
    words = command(here, "--metrics", "nsdr", "si_sdr", "test.shifts=0")
    pipe = subprocess.PIPE
    process = subprocess.Popen(**words, stdout=pipe, stderr=pipe, text=True)
    deadline = time.monotonic() + 300
    while len(parts(here)) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(parts(here))
    assert done >= 2
    assert not (here / "release_models" / "evaluation_abc.json").exists()
    _, err = run(here, "--metrics", "nsdr", "si_sdr")
    assert f"on 5 test songs, {done} done before" in err
    assert sum(line.startswith("[") for line in err.splitlines()) == 5 - done
    assert values(results(here)) == values(whole)
    assert parts(here) == []


def test_other_settings_do_not_mix(here):
    run(here, "--metrics", "nsdr", SLURM_ARRAY_TASK_COUNT="2", SLURM_ARRAY_TASK_ID="0",
        SLURM_ARRAY_TASK_MIN="0")  # fmt: skip
    assert len(parts(here)) > 0
    _, err = run(here, "--metrics", "nsdr", "test.overlap=0.5")
    assert "done before" not in err
    write_release(here, seed=2)  # other weights of the same name
    _, err = run(here, "--metrics", "nsdr")
    assert "done before" not in err


@pytest.mark.long
def test_shares_come_together(here):
    """Tasks of a step, more than songs, in any order; the last one writes the results of all."""
    run(here, "--metrics", "nsdr", "sdr", "test.workers=0")
    whole = results(here)
    shutil.rmtree(here / "release_models")
    write_release(here)
    step = {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "6", "SLURM_LOCALID": "0"}
    options = ("--metrics", "nsdr", "sdr", "test.workers=0")
    for rank in (2, 0, 5, 4, 3):
        out, err = run(here, *options, **step, SLURM_PROCID=str(rank))
        assert f"share {rank + 1} of 6" in err
        assert "this share is done" in out
        assert not (here / "release_models" / "evaluation_abc.json").exists()
    out, _ = run(here, *options, **step, SLURM_PROCID="1")
    assert "results: " in out
    assert values(results(here)) == values(whole)
    assert list(results(here).tracks) == NAMES
    assert parts(here) == []
    sheet = (here / "release_models" / "evaluation_abc_windows.csv").read_text()
    assert all(name in sheet for name in NAMES)


def test_the_rest_of_a_lost_share_is_done_by_one(here):
    array = {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "2"}
    run(here, "--metrics", "nsdr", **array, SLURM_ARRAY_TASK_ID="1")
    done = len(parts(here))
    _, err = run(here, "--metrics", "nsdr")
    assert f"{done} done before" in err
    assert sorted(results(here).tracks) == NAMES


def test_songs_it_was_trained_on(here):
    marks = [song_mark(NAMES[1], 2 * RATE), song_mark(NAMES[2], 99)]  # the second has other samples
    write_release(here, data={"songs": marks})
    out, _ = run(here, "--no-sdr")
    assert "WARNING: the model was trained on 1 of these 5 songs (song 1)" in out
    content = json.loads((here / "release_models" / "evaluation_abc.json").read_text())
    assert content["tracks"]["song 1"]["seen"] is True
    assert content["tracks"]["song 2"]["seen"] is False
    assert len(content["warnings"]) == 1


@pytest.mark.long
def test_bad_songs_are_named_and_the_others_done(here):
    (here / "songs" / "song 0" / "drums.wav").unlink()
    short = np.zeros((100, 2))
    soundfile.write(here / "songs" / "song 1" / "drums.wav", short, RATE, subtype="FLOAT")
    silent = np.zeros((3 * RATE, 2))
    soundfile.write(here / "songs" / "song 2" / "drums.wav", silent, RATE, subtype="FLOAT")
    wav, _ = soundfile.read(here / "songs" / "song 3" / "vocals.wav")
    wav[77] = np.nan
    soundfile.write(here / "songs" / "song 3" / "vocals.wav", wav, RATE, subtype="FLOAT")
    out, err = run(here, code=1)
    content = json.loads((here / "release_models" / "evaluation_abc.json").read_text())
    assert sorted(content["tracks"]) == ["song 2", "song 4"]
    assert len(content["data"]["left_out"]) == 3
    for name, words in (("song 0", "drums.wav"), ("song 1", "100"), ("song 3", "not finite")):
        assert any(name in one and words in one for one in content["data"]["left_out"]), name
        assert any(name in line and words in line for line in err.splitlines()), name
    assert content["tracks"]["song 2"]["values"]["nsdr"]["drums"] is None
    assert "note: song 2: drums: the reference is silent, so it has no nSDR" in out


@pytest.mark.long
def test_a_model_that_gives_nan(here):
    torch.manual_seed(1)
    model = build_model(SPEC)
    with torch.no_grad():
        for parameter in list(model.parameters())[-2:]:
            parameter.fill_(float("nan"))
    info = ReleaseInfo(signature="abc", spec=SPEC, config={}, provenance={"test_set_seen": "no"})
    save_release(here / "release_models" / "abc.safetensors", model.state_dict(), info)
    out, _ = run(here)
    assert "the estimate holds NaN or infinity, so it has no nSDR, SI-SDR, SDR" in out
    assert results(here).complete


def test_published_rows(here):
    out, _ = run(here, "--metrics", "sdr", "--published")
    assert "no published rows for these stems" in out
    _, err = run(here, "--metrics", "sdr", "pesq", code=2)
    assert "--metrics pesq: give some of nsdr, sdr" in err


def test_results_measured_otherwise_are_kept(here):
    run(here, "--metrics", "nsdr", "si_sdr")
    first = results(here)
    _, err = run(here, "--metrics", "nsdr")
    assert "are now" in err
    kept = here / "release_models" / f"evaluation_abc-{first.data['run']}.json"
    assert values(Results.load(kept)) == values(first)
    assert kept.with_suffix(".csv").exists()
    assert list(results(here).tracks[NAMES[0]].values) == ["nsdr"]


def test_changed_audio_is_measured_again(here):
    run(here, "--metrics", "nsdr")
    before = results(here)
    path = here / "songs" / NAMES[1] / "vocals.wav"
    wav, _ = soundfile.read(path)
    soundfile.write(path, 0.1 * wav, RATE, subtype="FLOAT")
    _, err = run(here, "--metrics", "nsdr")
    assert "has these results" not in err
    after = results(here)
    changed = [n for n in NAMES if before.tracks[n].audio != after.tracks[n].audio]
    assert changed == [NAMES[1]]


@pytest.mark.long
def test_lost_sheets_are_made_again(here):
    run(here, "--metrics", "nsdr")
    sheet = here / "release_models" / "evaluation_abc_windows.csv"
    text = sheet.read_text()
    sheet.unlink()
    sheet.with_name("evaluation_abc.csv").unlink()
    run(here, "--metrics", "nsdr")
    assert sheet.read_text() == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "r.csv"], "give a file that ends in .json"),
        (["--out", "songs"], "ends in .json"),
        (["--out", "abc.txt/r.json"], "cannot be written there"),
        (["-d", "bogus"], "--device bogus cannot be used here"),
        (["-d", "cuda:9"], "--device cuda:9 cannot be used here"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_measured(here, options, message):
    (here / "abc.txt").write_text("a file")
    _, err = run(here, "--metrics", "nsdr", *options, code=1)
    assert message in err
    assert err.count("error") == 1
    assert "[1/" not in err
    names = [path.name for path in (here / "release_models").iterdir()]
    assert names == ["abc.safetensors"]
