"""Songs that models are tested on are known by their sound, and by name."""

from pathlib import Path

import numpy as np
import pytest
from distil_support import make_scoring, score, tune, write
from test_sources import entry_of

from demucs.audio import write_audio
from demucs.blind.distil.guard import Guard, make_guard, plain_name
from demucs.blind.distil.prepare import prepare
from demucs.blind.distil.sources import SourceFile, find_sources
from demucs.data.official import TEST_NAMES
from demucs.errors import DatasetError
from demucs.release.provenance import file_sha256

RATE = 16000


@pytest.fixture(scope="module")
def test_songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs of 40 s: one with a mixture, one of stems alone, one loose file."""
    folder = tmp_path_factory.mktemp("songs") / "test"
    write(folder / "First" / "mixture.wav", tune(40, 1), RATE)
    parts = [tune(40, 2), tune(40, 3)]
    write(folder / "Second" / "low.wav", parts[0], RATE)
    write(folder / "Second" / "high.wav", parts[1], RATE)
    write(folder / "Third.flac", tune(40, 4), RATE)
    return folder


@pytest.fixture(scope="module")
def guard(test_songs: Path) -> Guard:
    return make_guard([test_songs], sources=("low", "high"))


def sections(path: Path) -> list:
    return prepare(SourceFile(path, path.name, path.stem), RATE, 2).sections


def test_test_songs_are_known_whatever_was_done_to_them(
    tmp_path: Path, guard: Guard, test_songs: Path
) -> None:
    import torch

    first = tune(40, 1)
    mp3 = tmp_path / "mp3.mp3"
    trimmed = torch.from_numpy(0.3 * first[round(7.3131 * RATE) :].T).float().contiguous()
    write_audio(mp3, trimmed, RATE, mp3_bitrate=128)
    assert "'First'" in str(guard.by_sound(sections(mp3)))
    hidden = np.concatenate([tune(50, 11), first[: 30 * RATE], tune(50, 12)])
    said = guard.by_sound(sections(write(tmp_path / "hidden.wav", hidden, RATE)))
    assert "'First'" in str(said)
    mix = tune(40, 2) + tune(40, 3)
    assert "'Second'" in str(guard.by_sound(sections(write(tmp_path / "m.wav", 0.5 * mix, RATE))))
    rated = tmp_path / "rate.wav"
    write(rated, tune(40, 4, 22050), 22050)
    assert guard.by_sound(sections(write(tmp_path / "t.wav", tune(40, 4), RATE))) is not None


@pytest.mark.parametrize("seed", [20, 21, 22, 23])
def test_other_songs_are_not_taken_for_them(tmp_path: Path, guard: Guard, seed: int) -> None:
    for seconds in (5, 40):
        path = write(tmp_path / f"{seconds}.wav", tune(seconds, seed), RATE)
        assert guard.by_sound(sections(path)) is None


def test_a_copy_is_refused_and_the_reason_kept(
    tmp_path: Path, guard: Guard, test_songs: Path
) -> None:
    music = tmp_path / "music"
    write(music / "renamed.wav", 0.5 * tune(40, 1)[5 * RATE :], RATE)
    write(music / "first.wav", tune(8, 30), RATE)
    write(music / "other.wav", tune(8, 31), RATE)
    score(music, make_scoring(tmp_path / "out", guard=guard))
    said = {name: entry_of(music, tmp_path / "out", f"{name}.wav") for name in
            ("renamed", "first", "other")}  # fmt: skip
    assert said["renamed"].refused
    assert "sounds as the test song 'First'" in str(said["renamed"].skipped)
    assert said["first"].skipped == "named as the test song 'First'"
    assert said["other"].skipped is None
    assert (said["renamed"].seconds, said["first"].seconds) == (35, None)
    for name, entry in said.items():
        assert entry.sha256 == file_sha256(music / f"{name}.wav")


def test_another_guard_checks_again_without_judging_again(tmp_path: Path, guard: Guard) -> None:
    from distil_support import PeakJudge

    music, judge = tmp_path / "music", PeakJudge()
    write(music / "copy.wav", tune(20, 1), RATE)
    write(music / "other.wav", tune(20, 31), RATE)
    score(music, make_scoring(tmp_path / "out", judge))
    assert judge.count == 2
    guarded = make_scoring(tmp_path / "out", judge, guard=guard)
    assert [guarded.known(one) for one in find_sources(music)] == [None, None]
    score(music, guarded)
    assert judge.count == 2
    assert entry_of(music, tmp_path / "out", "copy.wav").refused
    assert entry_of(music, tmp_path / "out", "other.wav").skipped is None


@pytest.mark.parametrize(
    ("file", "known"),
    [
        ("Zeno - Signs.mp3", True),
        ("Zeno/Signs.flac", True),
        ("PR - Oh No/mixture.wav", True),
        ("05 ben_carrigan - well talk about it all tonight (live).mp3", True),
        ("Secretariat/Over The Top.ogg", True),
        ("PR - Oh Now.wav", False),
        ("The Signs of Zeno.wav", False),
    ],
)
def test_names_of_the_official_test_songs_are_known(file: str, known: bool) -> None:
    found = make_guard([]).by_name(SourceFile(Path(file), file, "x"))
    assert (found is not None) == known
    assert make_guard([], names=False).by_name(SourceFile(Path(file), file, "x")) is None


def test_there_are_fifty_official_test_songs_all_different() -> None:
    assert len(TEST_NAMES) == 50
    assert len({plain_name(name) for name in TEST_NAMES}) == 50


def test_fingerprints_are_kept_until_a_song_changes(
    tmp_path: Path, test_songs: Path, guard: Guard
) -> None:
    import shutil

    copied = tmp_path / "test"
    shutil.copytree(test_songs, copied)
    shown: list[int] = []

    def show(places):
        shown.append(len(list(places)))
        return places

    first = make_guard([copied], sources=("low", "high"), cache=tmp_path / "out", show=show)
    again = make_guard([copied], sources=("low", "high"), cache=tmp_path / "out", show=show)
    assert shown == [3]
    assert first.id == again.id
    assert [list(one.marks) for one in first.prints] == [list(one.marks) for one in again.prints]
    write(copied / "Third.flac", tune(20, 5), RATE)
    changed = make_guard([copied], sources=("low", "high"), cache=tmp_path / "out", show=show)
    assert shown == [3, 3]
    assert changed.id != first.id


def test_a_test_song_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.wav").write_bytes(b"no wav")
    with pytest.raises(DatasetError, match="nothing can be guarded"):
        make_guard([tmp_path / "test"])
    with pytest.raises(DatasetError, match="does not exist"):
        make_guard([tmp_path / "no"])
