"""The quality network as it is typed: collected, trained, stopped, gone on with, and used."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from demucs.blind.network import load_network, predict
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release
from tests.integration import warm

REPOSITORY = Path(__file__).resolve().parents[2]
RATE = 8000
STEMS = ["drums", "bass", "other", "vocals"]
TINY = ["network.channels=2", "network.hidden=4", "network.bands=8", "network.high=3500",
        "segment=2", "batch_size=2", "misc.num_prints=9"]  # fmt: skip


def command(folder: Path, *arguments: str) -> dict[str, Any]:
    """Arguments of `subprocess`."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "DEMUCS_OUTPUTS": str(folder / "outputs"),
        "DEMUCS_MUSDB": str(folder / "songs"),
        "DEMUCS_ESTIMATES": str(folder / "estimates"),
    }
    words = [sys.executable, "-m", *arguments]
    return {"args": words, "env": environment, "cwd": REPOSITORY}


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return warm.run(**command(folder, *arguments))


def teacher(folder: Path, name: str, seed: int) -> None:
    sizes = {"channels": 4, "nfft": 256, "depth": 4, "samplerate": RATE, "segment": 2.0}
    spec = ModelSpec(name="hdemucs", kwargs={"sources": STEMS, **sizes})
    torch.manual_seed(seed)
    info = ReleaseInfo(signature=name, spec=spec, config={}, provenance={})
    folder.mkdir(exist_ok=True)
    save_release(folder / f"{name}.safetensors", build_model(spec).state_dict(), info)


@pytest.mark.long
def test_collected_trained_stopped_resumed_and_used(tmp_path: Path) -> None:
    for seed, name in enumerate(("a_1", "a_2")):
        teacher(tmp_path / "releases", name, seed)
    songs = run(tmp_path, "tools.demo_songs", str(tmp_path / "songs"), "--train", "3", "--valid",
                "4", "--test", "0", "--seconds", "4", "--samplerate", str(RATE))  # fmt: skip
    assert songs.returncode == 0, songs.stderr
    collected = run(tmp_path, "tools.blind_estimates", str(tmp_path / "estimates"), "--repo",
                    str(tmp_path / "releases"), "-n", "a_1,a_2", "--songs",
                    str(tmp_path / "songs"), "--kind", "demo")  # fmt: skip
    assert collected.returncode == 0, collected.stderr
    assert collected.stdout.startswith("14 estimates in ")

    overrides = [*TINY, f"metadata={tmp_path / 'metadata'}", "epochs=40"]
    log = tmp_path / "log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            stdout=output, stderr=output, **command(tmp_path, "demucs.train_quality", *overrides)
        )
        deadline = time.monotonic() + 300
        while "epoch 1/" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 85, log.read_text()
    assert "and saved; the same command continues" in log.read_text()
    (experiment,) = (tmp_path / "outputs" / "quality" / "xps").iterdir()
    before = len(json.loads((experiment / "history.json").read_text()))
    assert 1 <= before < 40

    # By Dora this time, which finds the same experiment.
    done = run(tmp_path, "dora", "-P", "demucs", "--main_module", "train_quality", "run",
               *overrides)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"resuming after {before} epochs" in done.stdout
    path = experiment / "quality.safetensors"
    assert str(path) in done.stdout
    history = json.loads((experiment / "history.json").read_text())
    assert len(history) == 40
    assert history[-1]["train"]["loss"] < history[0]["train"]["loss"]

    trained = load_network(path)
    assert trained.facts["signature"] == experiment.name
    assert set(trained.facts["teachers"]) == {"a_1", "a_2"}
    wav = 0.1 * torch.randn(4, 2, 3 * 44100)
    quality = predict(trained, wav.sum(0), wav, 44100)
    assert quality.sources == tuple(STEMS)
    assert quality.windows.shape == (4, 3)


def test_what_cannot_work_ends_with_one_message(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for overrides, word in (
        (["epochs=0"], "epochs=0"),
        (["epoch=3"], "conf/quality.yaml"),
        ([f"estimates={tmp_path / 'nowhere'}"], "tools.blind_estimates"),
    ):
        done = run(tmp_path, "demucs.train_quality", *overrides)
        assert done.returncode == 1, done.stdout
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert word in line
    checked = run(tmp_path, "demucs.train_quality", "--check", "epochs=40")
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.strip()) == 8
