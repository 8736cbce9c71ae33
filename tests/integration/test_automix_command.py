"""tools.automix: new songs in step and in key, resumed, the same from the same seed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy import signal as filters

from demucs.data import find_tracks
from demucs.data.automix.analysis import analyse
from demucs.data.automix.key import chroma
from demucs.data.automix.onsets import onset_envelope
from demucs.demo_songs import write_demo_songs
from demucs.demo_songs.music import MODES, PITCH_NAMES

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "unit"))

from automix_songs import RATE, STEMS, write_songs  # noqa: E402

from tests.integration import warm  # noqa: E402

PITCHED = ("bass", "other", "vocals")


def command(dataset: Path, out: Path, *args: object) -> list[str]:
    known = ["--samplerate", RATE, "--min-seconds", 6, "--no-progress", *args]
    return [sys.executable, "-m", "tools.automix", str(dataset), str(out), *map(str, known)]


def automix(dataset: Path, out: Path, *args: object) -> "subprocess.CompletedProcess[str]":
    return warm.run(command(dataset, out, *args), cwd=REPOSITORY)


def manifest(out: Path) -> list[dict[str, Any]]:
    lines = (out / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a valid folder, so that all of train is used."""
    root = write_songs(tmp_path_factory.mktemp("songs"))
    shutil.copytree(root / "train" / "0 at 100", root / "valid" / "for validation")
    shutil.copytree(root / "train" / "0 at 100", root / "test" / "for testing")
    return root


@pytest.fixture(scope="module")
def made(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("automix") / "out"
    done = automix(dataset, out, "--per-song", 2, "--mixture", "-j", 2)
    assert done.returncode == 0, done.stderr
    assert "10 songs in" in done.stdout
    assert "10 of them new" in done.stdout
    return out


def read(folder: Path) -> dict[str, np.ndarray]:
    """`[T, C]` integers of each file of a song."""
    return {file.stem: soundfile.read(str(file), dtype="int16")[0] for file in folder.glob("*.wav")}


def test_each_stem_is_from_another_training_song_and_the_mixture_is_the_sum(
    dataset: Path, made: Path
) -> None:
    names = {folder.name for folder in (dataset / "train").iterdir()}
    songs = manifest(made)
    assert len(songs) == 10
    for song in songs:
        parts = song["recipe"]["parts"]
        assert [part["stem"] for part in parts] == list(STEMS)
        assert len({part["song"] for part in parts} & names) == 4
        assert all(len(part["fingerprint"]) == 64 for part in parts)
        wavs = read(made / "train" / song["song"])
        assert {len(wav) for wav in wavs.values()} == {song["frames"]}
        total = sum(wavs[stem].astype(int) for stem in STEMS)
        np.testing.assert_array_equal(total, wavs["mixture"])
        assert all(np.abs(wav).max() > 300 for wav in wavs.values())
    tracks = find_tracks(made, "train", sources=STEMS, samplerate=RATE)
    valid = find_tracks(made, "valid", sources=STEMS, samplerate=RATE)
    assert len(tracks) + len(valid) == 10


def test_the_beats_of_stems_from_different_songs_coincide(made: Path) -> None:
    for song in manifest(made):
        wavs = read(made / "train" / song["song"])
        onsets = {}
        for stem in STEMS:
            onsets[stem], rate = onset_envelope(wavs[stem].mean(1).astype(np.float32), RATE)
        half = int(30 / song["recipe"]["tempo"] * rate)
        for stem in PITCHED:
            alike = filters.correlate(onsets["drums"], onsets[stem], "same")
            middle = len(alike) // 2
            lag = int(np.argmax(alike[middle - half : middle + half + 1])) - half
            assert abs(lag) / rate <= 0.030, (song["song"], stem)


def test_stems_are_in_one_key_that_were_not(made: Path) -> None:
    gains = []
    for song in manifest(made):
        wavs = read(made / "train" / song["song"])
        classes = {s: chroma(wavs[s].mean(1).astype(np.float32), RATE) for s in ("bass", "other")}
        steps = {part["stem"]: part["semitones"] for part in song["recipe"]["parts"]}
        before = {stem: np.roll(classes[stem], -steps[stem]) for stem in classes}
        now, then = (np.corrcoef(c["bass"], c["other"])[0, 1] for c in (classes, before))
        assert now > 0.7, song["song"]
        if steps["bass"] != steps["other"]:
            gains.append(now - then)
    assert len(gains) > 4
    assert min(gains) > 0.2


def test_the_same_call_gives_the_same_songs_and_another_seed_others(
    dataset: Path, made: Path, tmp_path: Path
) -> None:
    again = automix(dataset, tmp_path, "--per-song", 1, "--mixture", "-j", 1)
    assert again.returncode == 0, again.stderr
    for folder in (tmp_path / "train").iterdir():
        for file in folder.iterdir():
            same = (made / "train" / folder.name / file.name).read_bytes()
            assert file.read_bytes() == same, file
    other = automix(dataset, tmp_path, "--seed", 1)
    assert "5 songs in" in other.stdout, other.stderr
    parts = [json.dumps(song["recipe"]["parts"]) for song in manifest(tmp_path)]
    assert len(parts) == 10  # those of both seeds, all different
    assert len(set(parts)) == 10


def test_a_second_call_makes_what_is_missing_and_no_more(
    dataset: Path, made: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(made, tmp_path / "out")
    first, second, *rest = sorted((out / "train").iterdir())
    expected = {name: read(folder) for name, folder in (("1", first), ("2", second))}
    shutil.rmtree(first)
    (second / "drums.wav").unlink()
    times = {file: file.stat().st_mtime_ns for folder in rest for file in folder.iterdir()}
    done = automix(dataset, out, "--per-song", 2, "--mixture")
    assert "10 songs in" in done.stdout
    assert "2 of them new" in done.stdout
    assert {file: file.stat().st_mtime_ns for file in times} == times
    for name, folder in (("1", first), ("2", second)):
        for stem, wav in read(folder).items():
            np.testing.assert_array_equal(wav, expected[name][stem])


@pytest.mark.long
def test_an_interrupt_leaves_whole_songs_and_the_next_call_goes_on(
    dataset: Path, tmp_path: Path
) -> None:
    args = command(dataset, tmp_path, "--per-song", 12, "-j", 2)
    running = subprocess.Popen(
        args, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    train = tmp_path / "train"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and running.poll() is None:
        if train.is_dir() and any(not f.name.startswith(".") for f in train.iterdir()):
            break
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    _, said = running.communicate(timeout=300)
    assert running.returncode == 130, said
    assert "interrupted; the same command continues from here" in said
    assert "Traceback" not in said
    whole = list(train.iterdir())
    assert 0 < len(whole) < 60
    assert all(len(list(folder.iterdir())) == 5 for folder in whole)
    done = automix(dataset, tmp_path, "--per-song", 12, "-j", 2)
    assert f"{60 - len(whole)} of them new" in done.stdout, done.stderr


def test_errors_are_messages(dataset: Path, tmp_path: Path) -> None:
    for args, message in (
        ([dataset, tmp_path / "a", "--split", "test"], "Songs for testing are never used"),
        ([dataset, dataset / "a"], "give a folder outside"),
        ([tmp_path / "nowhere", tmp_path / "a"], "nowhere"),
        ([dataset, tmp_path / "a", "--tempo", "0"], "No song can be made"),
        ([dataset, tmp_path / "a", "--sources", "drums,flute"], "flute"),
    ):
        done = automix(*args)
        assert done.returncode == 1, done.stderr
        assert message in done.stderr
        assert "error: " in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.long
def test_tempo_and_key_of_demo_songs(tmp_path: Path) -> None:
    """Measured on 20 songs of 30 s: all tempos right, 19 keys off by one tone at most."""
    write_demo_songs(tmp_path, train=8, valid=1, test=0, seconds=20, seed=7, progress=False)
    right = 0
    tracks = find_tracks(tmp_path, "train", sources=STEMS)
    for track in tracks:
        facts = json.loads((tmp_path / "train" / track.name / "demo.json").read_text())["music"]
        found = analyse(track, tmp_path / "cache")
        assert found.tempo == pytest.approx(float(facts["tempo"].split()[0]), rel=0.02)
        right += len(_tones(facts["key"]) & _tones(found.key)) >= 6
    assert right >= 7


def _tones(key: str) -> set[int]:
    tonic, mode = key.split()
    return {(PITCH_NAMES.index(tonic) + step) % 12 for step in MODES[mode]}
