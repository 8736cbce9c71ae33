"""The command line of tools.distil, on a tiny model with real scores."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from demucs.data import tracks_in
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release
from tests.integration import warm

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
SOURCES = ["drums", "vocals"]
SPEC = ModelSpec(
    name="hdemucs",
    kwargs={"sources": SOURCES, "channels": 4, "nfft": 256, "depth": 4, "samplerate": RATE,
            "segment": 1.0},
)  # fmt: skip


def write_song(path: Path, seed: int, seconds: float = 4.0) -> None:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    time_ = np.arange(int(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * (100 + 50 * seed) * time_)[:, None]
    soundfile.write(path, tone + 0.1 * rng.standard_normal((len(time_), 2)), RATE)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A release, four songs, a file that is none, and a test song that is among them."""
    for number in range(4):
        write_song(tmp_path / "music" / f"song {number}.wav", number)
    (tmp_path / "music" / "broken.mp3").write_text("no audio")
    write_song(tmp_path / "musdb" / "test" / "song 3" / "mixture.wav", 9)
    torch.manual_seed(1)
    info = ReleaseInfo(
        signature="abc", spec=SPEC, config={}, provenance={"test_set_seen": "yes: by hand"}
    )
    save_release(
        tmp_path / "release_models" / "abc.safetensors", build_model(SPEC).state_dict(), info
    )
    return tmp_path


def command(here: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """The command, its folder and its environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DEMUCS_", "SLURM_"))}
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    words = [sys.executable, "-m", "tools.distil", "music", "out", "-n", "abc", *arguments]
    return {"args": words, "cwd": here, "env": env}


def start(here: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        **command(here, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(here: Path, *arguments: str, code: int = 0, **environment: str) -> tuple[str, str]:
    done = warm.run(**command(here, *arguments, **environment))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def manifest_of(here: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((here / "out" / "manifest.json").read_text())
    return content


def test_a_folder_becomes_a_dataset_and_a_second_call_does_nothing_anew(here: Path) -> None:
    words = ["--by", "polarity", "--budget", "2"]
    musdb = {"DEMUCS_MUSDB": str(here / "musdb")}
    out, err = run(here, *words, **musdb)
    assert "5 files: 2 kept, 1 not selected, 1 skipped, 1 refused as test songs" in out
    assert "warning: the teacher abc has perhaps seen the test set (yes: by hand)" in err
    assert "licence of 2 files is unknown" in err
    manifest = manifest_of(here)
    status = {one["file"]: one["status"] for one in manifest["files"]}
    assert status["song 3.wav"] == "refused"
    assert status["broken.mp3"] == "skipped"
    assert all(one["sha256"] for one in manifest["files"])
    assert manifest["teacher"]["test_set_seen"] == "yes: by hand"
    assert manifest["judge"]["kind"] == "score"
    for path in here.glob("out/train/*/distilled.json"):
        assert json.loads(path.read_text())["judge"]["by"] == "polarity"
    assert len(tracks_in(here / "out" / "train", sources=SOURCES, samplerate=RATE)) == 2
    times = {path: path.stat().st_mtime_ns for path in here.glob("out/*/*/*.wav")}
    times |= {path: path.stat().st_mtime_ns for path in here.glob("out/scores/*")}
    _, err = run(here, *words, "--licence", "mine", **musdb)
    assert "] " not in err
    assert {path: path.stat().st_mtime_ns for path in times} == times
    kept = [song for one in manifest_of(here)["files"] for song in one.get("songs", ())]
    assert {song["licence"] for song in kept} == {"mine"}
    _, err = run(here, "--by", "polarity", "--budget", "1", code=1, **musdb)
    assert "--prune" in err
    _, err = run(here, "--by", "noise", "--budget", "1", code=1, **musdb)
    assert "judge.by: polarity → noise" in err
    run(here, "--by", "polarity", "--budget", "1", "--prune", **musdb)
    assert len(list((here / "out" / "train").iterdir())) == 1


@pytest.mark.long
def test_shares_and_stages_give_what_one_call_gives(here: Path) -> None:
    score = ["--by", "polarity", "--stage", "score"]
    write = ["--by", "polarity", "--stage", "write", "--budget", "50%"]
    out, _ = run(here, *score, "--shard", "1/2")
    assert "of 5 files are not" in out
    _, err = run(here, *write, code=1)
    assert "of 5 files are not scored: python3 -m tools.distil music out -n abc" in err
    task = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "0"}
    out, _ = run(here, *score, **task)
    assert "all 5 files are scored" in out
    run(here, *write, "--shard", "1/2")
    run(here, *write, "--shard", "2/2")
    shared = {path.relative_to(here / "out"): path.read_bytes()
              for path in here.glob("out/train/*/*.wav")}  # fmt: skip
    assert len(shared) == 2 * 3
    (here / "out").rename(here / "shared")
    run(here, "--by", "polarity", "--budget", "50%")
    assert {name: (here / "out" / name).read_bytes() for name in shared} == shared


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 85), (signal.SIGINT, 130)])
def test_a_signal_ends_it_and_the_same_command_goes_on(
    here: Path, number: signal.Signals, code: int
) -> None:
    for seed in range(4, 12):
        write_song(here / "music" / f"song {seed}.wav", seed)
    words = ["--by", "polarity", "--stage", "score"]
    process = start(here, *words)
    deadline = time.monotonic() + 300
    while len(list(here.glob("out/scores/*.json"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "the same command continues" in err
    assert "Traceback" not in err
    done = {path: path.stat().st_mtime_ns for path in here.glob("out/scores/*.json")}
    assert 2 <= len(done) < 13
    out, _ = run(here, *words)
    assert "all 13 files are scored" in out
    assert {path: path.stat().st_mtime_ns for path in done} == done


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--by", "polarity"], 2, "--select score needs --threshold DB or --budget"),
        (["--budget", "1h"], 2, "give --calibration FILE.json"),
        (["--by", "x", "--budget", "1h"], 1, "--by x: give one of reseparation"),
        (["--by", "gain", "--budget", "1h"], 1, "not the better for more of it"),
        (["--by", "members", "--budget", "1h"], 1, "abc is no bag of two models or more"),
        (["--network", "no", "--budget", "1h"], 1, "there is no quality network no"),
        (["--by", "polarity", "--budget", "1h", "--shard", "3/2"], 2, "--shard 3/2: give K/N"),
        (["--by", "polarity", "--budget", "1h", "--use", "low"], 2, "has no interval"),
        (["--by", "polarity", "--budget", "1h", "--excerpt", "4"], 2, "at least twice"),
        (["--by", "polarity", "--budget", "1h", "--min-seconds", "0"], 2, "give at least 1"),
        (["--by", "polarity", "--budget", "1h", "--excerpt", "-1"], 2, "or 0 for whole files"),
        (
            ["--by", "polarity", "--budget", "1h", "--sources", "drums,bass"], 1,
            "the student has the stems drums, bass, and the teacher abc gives drums, vocals",
        ),
        (["--by", "polarity", "--budget", "1h", "--guard", "none"], 1, "none does not exist"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_at_once(
    here: Path, words: list[str], code: int, said: str
) -> None:
    _, err = run(here, *words, code=code)
    assert said in err
    assert not list(here.glob("out/scores/*"))
    assert not (here / "out" / "settings.json").exists()
