"""Distillation, from files to scores: what is found, what is skipped and why, what is kept."""

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from distil_support import RATE, PeakJudge, make_scoring, noise, score, write
from hypothesis import given, settings
from hypothesis import strategies as st

from demucs.blind.distil.entry import Entry, path_of
from demucs.blind.distil.excerpts import cut, excerpts
from demucs.blind.distil.licences import UNKNOWN, licence_of
from demucs.blind.distil.place import run_of, take_place
from demucs.blind.distil.sources import distinct, find_sources
from demucs.blind.distil.stages import Part, entries_of
from demucs.errors import ConfigError, DatasetError
from demucs.process.signals import Interrupted
from demucs.release.provenance import file_sha256


def entry_of(music: Path, out: Path, name: str) -> Entry:
    (file,) = [one for one in find_sources(music) if one.file == name]
    entry = Entry.load(path_of(out, file.key))
    assert entry is not None
    return entry


def test_files_are_found_at_any_depth_and_named_by_their_path(tmp_path: Path) -> None:
    for name in (
        "b.wav", "Artist/Album/01 Song.mp3", "Artist/.hidden.wav", ".git/x.wav", "notes.txt",
        "out/train/x/mixture.wav", "Song/mixture.wav", "Song/drums.wav",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    found = find_sources(tmp_path, skip=tmp_path / "out")
    assert {one.file: one.name for one in found} == {
        "b.wav": "b",
        "Artist/Album/01 Song.mp3": "Artist - Album - 01 Song",
        "Song/mixture.wav": "Song",
    }
    assert [set(one.stems) for one in found if one.name == "Song"] == [{"drums"}]


def test_names_differ_even_without_capitals_and_never_look_like_an_excerpt(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac", "A.ogg", "b_0001.wav", "b.wav", "c:d?.wav", f"{'ü' * 100}.wav"):
        (tmp_path / name).write_bytes(name.encode())
    names = {one.file: one.name for one in find_sources(tmp_path)}
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert names["b.wav"] == "b"
    assert names["b_0001.wav"].startswith("b_0001-")
    assert names["c:d?.wav"] == "c_d_"
    assert max(len(name.encode()) for name in names.values()) <= 150
    assert names == {one.file: one.name for one in find_sources(tmp_path)}


def test_a_file_under_two_names_counts_once(tmp_path: Path) -> None:
    for name, content in {"a.wav": b"one", "b.wav": b"two", "c.wav": b"one", "d.wav": b""}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "loop").symlink_to(tmp_path)
    kept, again = distinct(find_sources(tmp_path))
    assert [one.file for one in kept] == ["a.wav", "b.wav", "d.wav"]
    assert again == {"c.wav": "a.wav"}


@pytest.mark.parametrize(("name", "said"), [("no", "does not exist"), ("empty", "holds no audio")])
def test_a_folder_without_audio_is_told(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=said):
        find_sources(tmp_path / name)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 400), st.floats(0, 30), st.lists(st.integers(1, 90), min_size=1, max_size=9))
def test_excerpts_are_the_signal_whatever_its_blocks(
    length: int, seconds: float, sizes: list[int]
) -> None:
    wanted = excerpts(length, 2, seconds)
    signal = torch.arange(length, dtype=torch.float32)[None]
    edges = np.minimum(np.cumsum([0, *sizes, length]), length)
    blocks = [signal[:, a:b] for a, b in pairwise(edges)]
    found = list(cut(blocks, wanted))
    assert [one for one, _ in found] == wanted
    assert torch.equal(torch.cat([wave for _, wave in found], -1), signal)
    lengths = [one.frames for one in wanted]
    assert max(lengths) - min(lengths) <= 1
    assert not seconds or max(lengths) <= max(1, np.ceil(2 * seconds))
    some = wanted[1::2]
    assert [one for one, _ in cut(blocks, some)] == some


def test_bad_files_are_skipped_each_with_its_reason(tmp_path: Path) -> None:
    music, out = tmp_path / "music", tmp_path / "out"
    write(music / "good.wav", noise(4))
    write(music / "mono.wav", noise(4, channels=1, seed=1))
    write(music / "six.wav", noise(4, channels=6, seed=2))
    write(music / "other rate.wav", noise(6, seed=3), rate=11025)
    write(music / "short.wav", noise(1, seed=4))
    write(music / "silent.wav", 1e-4 * noise(4, seed=5))
    bad = noise(4, seed=6)
    bad[100] = np.nan
    write(music / "nan.wav", bad, subtype="FLOAT")
    (music / "text.mp3").write_text("no audio")
    (music / "empty.wav").write_bytes(b"")
    cut_off = write(music / "cut.wav", noise(4, seed=7)).read_bytes()
    (music / "cut.wav").write_bytes(cut_off[: len(cut_off) // 2])
    score(music, make_scoring(out))
    said = {name: entry_of(music, out, name).skipped for name in os.listdir(music)}
    good = {name for name, reason in said.items() if reason is None}
    assert good == {"good.wav", "mono.wav", "six.wav", "other rate.wav"}
    for name, word in {
        "short.wav": "too short: 1.00 s, and 3 s are needed",
        "silent.wav": "silent",
        "nan.wav": "NaN or infinite",
        "text.mp3": "cannot be decoded",
        "empty.wav": "empty (0 bytes)",
        "cut.wav": "cut short",
    }.items():
        reason = said[name]
        assert reason is not None
        assert word in reason
        assert str(tmp_path) not in reason
    seconds = {name: entry_of(music, out, name).seconds for name in said}
    assert (seconds["short.wav"], seconds["silent.wav"], seconds["text.mp3"]) == (1, 4, None)
    assert all(entry_of(music, out, name).sha256 == file_sha256(music / name) for name in said)
    assert entry_of(music, out, "mono.wav").notes == ("mono: copied to 2 channels",)
    assert entry_of(music, out, "six.wav").notes == ("6 channels: the first 2 are taken",)
    (note,) = entry_of(music, out, "other rate.wav").notes
    assert "from 11025 Hz to 8000 Hz" in note


def test_long_files_are_judged_in_excerpts_and_silent_ones_left_out(tmp_path: Path) -> None:
    wave = noise(40)
    wave[10 * RATE : 20 * RATE] = 0
    write(tmp_path / "music" / "long.wav", wave)
    judge = PeakJudge()
    score(tmp_path / "music", make_scoring(tmp_path / "out", judge, excerpt=10))
    entry = entry_of(tmp_path / "music", tmp_path / "out", "long.wav")
    assert [one.excerpt.name("long") for one in entry.excerpts] == [
        "long_0001", "long_0002", "long_0003", "long_0004",
    ]  # fmt: skip
    assert [one.skipped is None for one in entry.excerpts] == [True, False, True, True]
    assert judge.count == 3


def test_shares_together_are_the_whole_and_do_nothing_twice(tmp_path: Path) -> None:
    music = tmp_path / "music"
    for number in range(5):
        write(music / f"{number}.wav", noise(3 + number % 3, seed=number))
    alone, shared = PeakJudge(), PeakJudge()
    files = score(music, make_scoring(tmp_path / "alone", alone))
    for rank in range(3):
        scoring = make_scoring(tmp_path / "shared", shared)
        _, missing = entries_of(files, scoring)
        assert missing
        score(music, scoring, Part(rank, 3))
    assert shared.count == alone.count == 5
    for file in files:
        paths = [path_of(tmp_path / out, file.key) for out in ("alone", "shared")]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert entries_of(files, make_scoring(tmp_path / "shared"))[1] == []


def test_what_is_scored_is_kept_and_what_has_changed_is_not(tmp_path: Path) -> None:
    music, out = tmp_path / "music", tmp_path / "out"
    for name in ("a", "b"):
        write(music / f"{name}.wav", noise(4, seed=ord(name)))
    judge = PeakJudge()
    score(music, make_scoring(out, judge))
    score(music, make_scoring(out, judge))
    assert judge.count == 2
    os.utime(music / "a.wav", (1, 1))  # touched, and the same
    score(music, make_scoring(out, judge))
    assert judge.count == 2
    write(music / "a.wav", noise(4, seed=9))
    score(music, make_scoring(out, judge))
    assert judge.count == 3
    score(music, make_scoring(out, judge, run="other settings"))
    assert judge.count == 5
    (file, _) = find_sources(music)
    path_of(out, file.key).write_text("{")
    score(music, make_scoring(out, judge, run="other settings"))
    assert judge.count == 6


@pytest.mark.parametrize("kind", [Interrupted, KeyboardInterrupt])
def test_a_stop_keeps_the_excerpts_that_are_judged(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    write(tmp_path / "music" / "long.wav", noise(40))

    def stop(count: int) -> None:
        if count == 3:
            raise kind

    with pytest.raises(kind):
        score(tmp_path / "music", make_scoring(tmp_path / "out", PeakJudge(stop), excerpt=10))
    entry = entry_of(tmp_path / "music", tmp_path / "out", "long.wav")
    assert (len(entry.excerpts), entry.complete) == (2, False)
    scoring = make_scoring(tmp_path / "out", judge := PeakJudge(), excerpt=10)
    (file,) = find_sources(tmp_path / "music")
    assert scoring.known(file) is None
    score(tmp_path / "music", scoring)
    assert judge.count == 2
    whole = make_scoring(tmp_path / "whole", excerpt=10)
    score(tmp_path / "music", whole)
    assert path_of(tmp_path / "out", file.key).read_bytes() == (
        path_of(tmp_path / "whole", file.key).read_bytes()
    )


def test_a_judge_that_fails_skips_an_excerpt_but_not_a_wrong_choice(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav", noise(12))

    def fail(count: int) -> None:
        if count == 1:
            raise DatasetError("no such luck")

    score(tmp_path / "music", make_scoring(tmp_path / "out", PeakJudge(fail), excerpt=6))
    entry = entry_of(tmp_path / "music", tmp_path / "out", "a.wav")
    assert [one.skipped for one in entry.excerpts] == ["cannot be judged: no such luck", None]

    def refuse(count: int) -> None:
        raise ConfigError("no such score")

    with pytest.raises(ConfigError):
        score(tmp_path / "music", make_scoring(tmp_path / "no", PeakJudge(refuse)))


def test_true_stems_are_compared_excerpt_by_excerpt(tmp_path: Path) -> None:
    song = tmp_path / "music" / "song"
    mixture = noise(12)
    write(song / "mixture.wav", mixture, subtype="FLOAT")
    write(song / "low.wav", 0.5 * mixture, subtype="FLOAT")
    high = 0.25 * mixture
    high[6 * RATE :] = 0
    write(song / "high.wav", high, subtype="FLOAT")
    scoring = make_scoring(tmp_path / "out", excerpt=6, truth=True)
    score(tmp_path / "music", scoring)
    first, second = entry_of(tmp_path / "music", tmp_path / "out", "song/mixture.wav").excerpts
    assert first.truth is not None
    assert second.truth is not None
    assert first.truth["nsdr"][0] > 40  # the truth, but for half of the mean
    assert first.truth["nsdr"][1] == pytest.approx(0, abs=1e-3)  # twice as loud as the truth
    assert second.truth["level"][1] < -100
    (song / "high.wav").unlink()
    score(tmp_path / "music", make_scoring(tmp_path / "without", excerpt=6, truth=True))
    entry = entry_of(tmp_path / "music", tmp_path / "without", "song/mixture.wav")
    assert entry.excerpts[0].truth is None


def test_licences_come_from_beside_the_file_or_the_command_line(tmp_path: Path) -> None:
    inner = tmp_path / "album" / "cd"
    inner.mkdir(parents=True)
    song = inner / "song.mp3"
    assert licence_of(song, tmp_path) == UNKNOWN
    assert licence_of(song, tmp_path, "CC0") == "CC0"
    other = tmp_path / "two"
    other.mkdir()
    (other / "LICENSE.txt").write_text("\n  CC BY 4.0  \nmore")
    assert licence_of(other / "x.wav", tmp_path, "CC0") == "CC BY 4.0"
    table = tmp_path / "three"
    table.mkdir()
    (table / "licences.json").write_text(json.dumps({"cd/a.wav": "mine", "*": "theirs"}))
    assert licence_of(table / "cd" / "a.wav", tmp_path) == "mine"
    assert licence_of(table / "b.wav", tmp_path) == "theirs"
    broken = tmp_path / "four"
    broken.mkdir()
    (broken / "licences.json").write_text("[]")
    with pytest.raises(DatasetError, match="move it away"):
        licence_of(broken / "a.wav", tmp_path)


def test_scores_of_other_settings_are_refused_or_made_anew(tmp_path: Path) -> None:
    old = {"teacher": "a", "judge": {"by": "noise"}, "excerpt": 60.0}
    new = {"teacher": "a", "judge": {"by": "members"}, "excerpt": 30.0}
    assert take_place(tmp_path / "out", old) == []
    assert take_place(tmp_path / "out", old) == []
    (tmp_path / "out" / "scores").mkdir()
    assert take_place(tmp_path / "out", new) == [], "nothing was scored yet"
    assert take_place(tmp_path / "out", old) == []
    (tmp_path / "out" / "scores" / "song.json").touch()
    with pytest.raises(ConfigError, match=r"excerpt: 60.0 → 30.0; judge.by: noise → members"):
        take_place(tmp_path / "out", new)
    assert len(take_place(tmp_path / "out", new, replace=True)) == 2
    assert take_place(tmp_path / "out", new) == []
    assert run_of(old) != run_of(new)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        take_place(tmp_path / "file", old)
