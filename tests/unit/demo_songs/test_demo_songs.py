"""Demo songs: the same from the same arguments, exact sums, and safe on disk."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs.data import find_tracks
from demucs.demo_songs import STEMS, folders, synthesize_song, write, write_demo_songs
from demucs.demo_songs.folders import COLOURS, song_name
from demucs.demo_songs.ranges import VERSION
from demucs.demo_songs.tones import Wave
from demucs.errors import ConfigError, DatasetError
from tools.demo_songs import main

RATE = 44100
FILES = ("mixture", *STEMS)
SECONDS = 3.0


@pytest.fixture(scope="module")
def song() -> dict[str, Wave]:
    return synthesize_song(0, "train", 0, 4.0)


def write_two(root: Path, **changes: Any) -> list[Path]:
    """One song for training and one for testing, short and at a low rate."""
    arguments: dict[str, Any] = dict(
        train=1, valid=0, test=1, seconds=1.0, samplerate=8000, workers=1, progress=False
    )
    return write_demo_songs(root, **{**arguments, **changes})


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


# The sound


def test_a_song_has_stereo_stems_of_the_asked_length(song: dict[str, Wave]) -> None:
    assert set(song) == set(FILES)
    assert all(w.shape == (2, 4 * RATE) and w.dtype == np.float32 for w in song.values())
    for name in ("drums", "other", "vocals"):
        assert np.abs(song[name][0] - song[name][1]).max() > 0.01, f"{name} is mono"


def test_the_mixture_is_the_exact_sum_of_16_bit_stems(song: dict[str, Wave]) -> None:
    integers = {name: wave * 32768 for name, wave in song.items()}
    assert all(np.array_equal(wave, np.rint(wave)) for wave in integers.values())
    assert np.array_equal(integers["mixture"], sum(integers[name] for name in STEMS))


@pytest.mark.parametrize("index", range(3))
def test_the_master_is_loud_and_does_not_clip(index: int) -> None:
    mixture = synthesize_song(5, "valid", index, SECONDS)["mixture"]
    assert np.abs(mixture).max() < 10 ** (-0.5 / 20)
    assert -17 < 10 * np.log10(np.mean(mixture.astype(np.float64) ** 2)) < -8


@pytest.mark.long
def test_every_stem_plays_and_no_stem_drowns() -> None:
    for seed in range(3):
        made = synthesize_song(seed, "train", 0, 30.0, 22050)
        powers = {name: np.mean(made[name].astype(np.float64) ** 2, axis=0) for name in STEMS}
        total = sum(power.mean() for power in powers.values())
        for name, power in powers.items():
            seconds = power[: 30 * 22050].reshape(30, -1).mean(1)
            assert np.mean(seconds > 1e-6) > 0.3, f"{name} rests too long with seed {seed}"
            assert power.mean() > 0.03 * total, f"{name} is too quiet with seed {seed}"


def test_stems_lie_where_their_instruments_do(song: dict[str, Wave]) -> None:
    frequencies = np.fft.rfftfreq(4 * RATE, 1 / RATE)

    def share(name: str, low: float, high: float) -> float:
        power = np.abs(np.fft.rfft(song[name].mean(0))) ** 2
        return float(power[(frequencies >= low) & (frequencies < high)].sum() / power.sum())

    assert share("bass", 25, 400) > 0.8
    assert share("vocals", 80, 5000) > 0.8
    assert share("other", 100, 8000) > 0.8
    assert share("drums", 3000, 20000) > share("bass", 3000, 20000)


@pytest.mark.parametrize("samplerate", [8000, 48000])
@pytest.mark.parametrize("seconds", [1.0, 2.71])
def test_any_length_and_rate(samplerate: int, seconds: float) -> None:
    made = synthesize_song(1, "test", 2, seconds, samplerate)
    assert {wave.shape for wave in made.values()} == {(2, round(seconds * samplerate))}
    assert all(np.isfinite(wave).all() for wave in made.values())


# Determinism


def test_the_same_arguments_give_the_same_song(song: dict[str, Wave]) -> None:
    again = synthesize_song(0, "train", 0, 4.0)
    assert all(np.array_equal(song[name], again[name]) for name in FILES)


@pytest.mark.parametrize(
    "other", [(1, "train", 0), (0, "valid", 0), (0, "test", 0), (0, "train", 1)]
)
def test_another_seed_split_or_number_gives_another_song(
    song: dict[str, Wave], other: tuple[int, str, int]
) -> None:
    different = synthesize_song(*other, 4.0)
    assert all(not np.array_equal(song[name], different[name]) for name in FILES)


def test_songs_depend_neither_on_their_number_nor_on_processes(tmp_path: Path) -> None:
    write_two(tmp_path / "few", train=2, test=0)
    write_two(tmp_path / "many", train=4, valid=1, workers=3)
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    assert len(few) == 2 * 6
    assert few.items() <= many.items()


def test_names_are_unique_and_differ_between_splits() -> None:
    names = [song_name(3, split, index) for split in COLOURS for index in range(200)]
    assert len(set(names)) == len(names)
    words = [colour for colours in COLOURS.values() for colour in colours]
    assert len(set(words)) == len(words), "a colour in two splits could make a name twice"


# Files


def test_the_layout_is_that_of_musdb(tmp_path: Path) -> None:
    made = write_two(tmp_path, samplerate=RATE, seconds=SECONDS)
    assert [folder.parent.name for folder in made] == ["train", "test"]
    for folder in made:
        assert sorted(p.name for p in folder.iterdir()) == sorted(
            ["demo.json", *(f"{name}.wav" for name in FILES)]
        )
        info = soundfile.info(str(folder / "mixture.wav"))
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 2, "PCM_16")
        read = {name: soundfile.read(folder / f"{name}.wav", dtype="int16")[0] for name in FILES}
        assert np.array_equal(read["mixture"], sum(read[name] for name in STEMS))
    mixture, stems = find_tracks(tmp_path, "test", sources=STEMS)[0].load()
    assert mixture.equal(stems.sum(0))


def test_complete_songs_are_kept_and_broken_ones_made_again(tmp_path: Path) -> None:
    whole, broken = write_two(tmp_path)
    before, stamp = contents(tmp_path), (whole / "bass.wav").stat().st_mtime_ns
    (broken / "bass.wav").unlink()
    write_two(tmp_path)
    (broken / "drums.wav").write_bytes((broken / "drums.wav").read_bytes()[:5000])
    write_two(tmp_path)
    (broken / "demo.json").write_text("{")
    write_two(tmp_path)
    assert contents(tmp_path) == before
    assert (whole / "bass.wav").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("change", [{"seed": 1}, {"seconds": 1.5}, {"samplerate": 16000}])
def test_other_parameters_replace_the_songs(tmp_path: Path, change: dict[str, Any]) -> None:
    write_two(tmp_path)
    before = contents(tmp_path)
    made = write_two(tmp_path, **change)
    assert sorted(p for split in ("train", "test") for p in (tmp_path / split).iterdir()) == (
        sorted(made)
    )
    after = contents(tmp_path)
    assert all(after.get(name) != data for name, data in before.items())


def test_another_version_of_the_synthesiser_replaces_the_songs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_two(tmp_path)[0]
    monkeypatch.setattr(write, "VERSION", VERSION + 1)
    write_two(tmp_path)
    recorded = json.loads((folder / "demo.json").read_text())["recipe"]
    assert recorded["version"] == VERSION + 1


def test_fewer_songs_leave_fewer_and_touch_nothing_else(tmp_path: Path) -> None:
    mine = tmp_path / "train" / "My own song"
    mine.mkdir(parents=True)
    (mine / "mixture.wav").write_bytes(b"mine")
    write_two(tmp_path, train=2)
    kept = write_two(tmp_path, train=1, test=0)
    assert sorted(tmp_path.glob("*/*")) == sorted([mine, *kept])


def test_an_interrupted_song_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., None] = soundfile.write
    written: list[str] = []

    def interrupt(file: str, *arguments: Any) -> None:
        if len(written) == 8:  # in the middle of the second song
            raise KeyboardInterrupt
        written.append(file)
        real(file, *arguments)

    monkeypatch.setattr(soundfile, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_two(tmp_path)
    assert len(list(tmp_path.glob("train/*"))) == 1
    assert list((tmp_path / "test").iterdir()) == []


def test_what_a_killed_run_left_is_swept_once_it_is_old(tmp_path: Path) -> None:
    for name in (".old.x.partial", ".new.x.partial"):
        (tmp_path / "train" / name).mkdir(parents=True)
    os.utime(tmp_path / "train" / ".old.x.partial", (0, 0))
    write_two(tmp_path)
    assert [p.name for p in (tmp_path / "train").glob(".*")] == [".new.x.partial"]


# Errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": -1}, "train=-1"),
        ({"train": 0, "test": 0}, "No song"),
        ({"seconds": 0.5}, "seconds=0.5"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"seconds": 1e9}, "seconds=1000000000.0"),
        ({"seed": -1}, "seed=-1"),
        ({"samplerate": 100}, "samplerate=100"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_numbers_that_cannot_be(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write_two(tmp_path / "new", **change)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    stale, taken = write_two(tmp_path)
    (taken / "demo.json").unlink()
    (stale / "bass.wav").unlink()
    before = contents(tmp_path)
    with pytest.raises(DatasetError, match=r"no demo\.json"):
        write_two(tmp_path)
    assert contents(tmp_path) == before, "a song was removed although nothing could be written"


def test_a_full_disk_and_a_killed_process_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(DatasetError, match="disk with space"):
        write_two(tmp_path)

    def killed(*_: Any) -> None:
        raise BrokenExecutor

    monkeypatch.setattr(ProcessPoolExecutor, "submit", killed)
    with pytest.raises(DatasetError, match="fewer workers"):
        write_two(tmp_path, workers=2)


def test_the_command_makes_songs_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--train", "1", "--valid", "0", "--test", "0", "--seconds", "1"]
    options = [*sizes, "--samplerate", "8000", "--workers", "1", "--no-progress"]
    assert main([str(tmp_path), *options]) == 0
    assert capsys.readouterr().out == f"1 songs in {tmp_path}\n"
    assert len(list(tmp_path.glob("train/*/vocals.wav"))) == 1


def test_the_command_refuses_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for arguments in ([str(file)], [str(file / "below")], [str(tmp_path / "x"), "--seconds", "-3"]):
        assert main(arguments) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: ")
        assert said.err.count("\n") == 1
    assert file.read_text() == "mine"


def test_an_interrupted_command_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "write_song", interrupt)
    assert main([str(tmp_path), "--train", "1", "--workers", "1", "--no-progress"]) == 130
    assert "continues" in capsys.readouterr().err


def test_a_removed_song_is_made_again(tmp_path: Path) -> None:
    first = write_two(tmp_path)
    before = contents(tmp_path)
    shutil.rmtree(first[0])
    assert not folders.complete(first[0], folders.Recipe(1, 0, "train", 0, 1.0, 8000))
    assert write_two(tmp_path) == first
    assert contents(tmp_path) == before
