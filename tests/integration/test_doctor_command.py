"""The dataset doctor's command: demo songs are clean, and a MUSDB18 stem file is read."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs.audio.ffmpeg import ffmpeg_available
from demucs.demo_songs import synthesize_song, write_demo_songs
from tests.integration import warm

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS, RATE, SEED = 6.0, 22050, 4
DOCTOR = [sys.executable, "-m", "tools.doctor"]
ASKED = ["--samplerate", str(RATE), "--segment", "5"]


def call(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    # Processes of pytest may have a $COLUMNS, by which the table would be shortened.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return warm.run([*DOCTOR, *map(str, arguments)], cwd=REPOSITORY, env=environment)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("songs")
    write_demo_songs(
        root, train=5, valid=1, test=1, seconds=SECONDS, samplerate=RATE, seed=SEED, progress=False
    )
    return root


def test_demo_songs_are_clean(songs: Path) -> None:
    done = call(songs, *ASKED, "-j", "2", "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 tracks" in done.stdout
    assert "no problems" in done.stdout
    assert "100%" in done.stderr  # the progress bar


def test_an_mp3_of_a_training_song_is_found_beside_the_dataset(songs: Path, tmp_path: Path) -> None:
    mixture = synthesize_song(SEED, "train", 2, SECONDS, RATE)["mixture"]
    late = np.concatenate([np.zeros((9000, 2), np.float32), 0.5 * mixture.T])
    soundfile.write(str(tmp_path / "found.mp3"), late, RATE)
    done = call(songs, *ASKED, "--against", tmp_path, "--json", tmp_path / "doctor.json")
    assert done.returncode == 1, done.stdout + done.stderr
    (one,) = json.loads((tmp_path / "doctor.json").read_text())["findings"]
    assert (one["check"], one["severity"]) == ("overlap", "error")
    assert one["track"].startswith("train/Demo 003")
    assert "found.mp3" in one["value"]
    assert one["value"] in done.stdout


def test_a_folder_that_is_no_dataset_is_a_usage_error(tmp_path: Path) -> None:
    command = [*DOCTOR, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no folder train, valid, test" in done.stderr


@pytest.fixture(scope="module")
def excerpt() -> Path:
    if not ffmpeg_available():
        pytest.skip("ffmpeg is not installed; it decodes the .stem.mp4 that stempeg ships")
    import stempeg

    return Path(stempeg.example_stem_path())


def test_stem_files_are_read_and_cut_ones_found(excerpt: Path, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    shutil.copy(excerpt, tmp_path / "train" / "song.stem.mp4")
    asked = ["--segment", "5", "--no-progress"]
    done = call(tmp_path, *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bass, drums, other, vocals: no problems" in done.stdout
    cut = tmp_path / "train" / "song.stem.mp4"
    cut.write_bytes(cut.read_bytes()[:100_000])
    done = call(tmp_path, *asked)
    assert done.returncode == 1
    assert "unreadable" in done.stdout
    assert "ffmpeg" in done.stdout
