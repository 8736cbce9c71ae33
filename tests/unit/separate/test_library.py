"""Many tracks: folders, what is done already, the summary, pipes, tags, sums."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from mutagen.flac import FLAC, Picture
from torch import Tensor, nn

from demucs import api
from demucs.audio import read_audio, write_audio
from demucs.audio.covers import read_cover
from demucs.audio.tags import read_tags
from demucs.console import clock
from demucs.nn import allocator
from demucs.separate import main
from demucs.separate.progress import Progress

RATE = 8000


class Split(nn.Module):
    """A third and a half: together less than the mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = ["drums", "vocals"]
        self.audio_channels, self.samplerate, self.segment = 2, RATE, 0.5

    def forward(self, mix: Tensor) -> Tensor:
        return torch.stack([mix / 3, mix / 2], dim=1)


def noise(gain: float = 0.5, length: int = 9000) -> Tensor:
    return (torch.rand(2, length, generator=torch.Generator().manual_seed(1)) - 0.5) * 2 * gain


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(folder / name, noise(), RATE)


def run(*line: str) -> int:
    try:
        main(["-n", "fake", "-d", "cpu", *line])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def results(folder: Path) -> list[str]:
    """The folders of tracks that have stems."""
    base = folder / "separated/fake"
    return sorted({str(path.parent.relative_to(base)) for path in base.rglob("drums.*")})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(api, "_load", lambda *_: Split())
    monkeypatch.setattr(allocator, "return_large_blocks", lambda: False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    logging.getLogger("demucs").setLevel(logging.NOTSET)


def test_of_a_folder_the_audio_files_are_taken(place: Path) -> None:
    make(place, "in/b.wav", "in/a.flac", "in/.hidden.wav", "in/deep/c.wav")
    (place / "in/cover.jpg").write_bytes(b"jpeg")
    assert run("in") == 0
    assert results(place) == ["a", "b"]


def test_recursion_keeps_the_folders(place: Path) -> None:
    make(place, "in/A/1/x.wav", "in/A/2/x.WAV", "in/y.wav", "in/.git/z.wav", "other/y.flac")
    (place / "in/A/again").symlink_to(place / "in")
    assert run("-r", "in", "other/y.flac", "--filename", "{track}-{trackext}/{stem}.{ext}") == 0
    assert results(place) == ["A/1/x-wav", "A/2/x-WAV", "y-flac", "y-wav"]


def test_former_results_are_no_tracks(place: Path) -> None:
    make(place, "song.wav")
    for _ in range(2):
        assert run("-r", ".") == 0
        assert results(place) == ["song"]
    assert run("-r", ".", "-o", "elsewhere") == 0  # not known to be results, so are tracks
    assert len(list((place / "elsewhere").rglob("*.wav"))) == 6


def test_the_root_of_files_that_are_named(place: Path) -> None:
    make(place, "in/A/x.wav", "in/B/x.wav", "out.wav", "in/..odd/x.wav")
    line = ["in/A/x.wav", str(place / "in/B/x.wav"), "out.wav", "in/..odd/x.wav"]
    assert run("--root", "in", *line) == 0
    assert results(place) == ["..odd/x", "A/x", "B/x", "out"]


def test_resume_leaves_out_what_is_done(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(place, "in/a.wav", "in/b.wav", "in/c.wav")
    assert run("--resume", "in") == 0
    stems = {name: place / f"separated/fake/{name}/vocals.wav" for name in "abc"}
    before = {name: path.stat().st_mtime_ns for name, path in stems.items()}
    stems["b"].unlink()
    os.utime(place / "in/c.wav", ns=(before["c"] + 1, before["c"] + 1))
    capsys.readouterr()
    assert run("--resume", "in", "--json", "summary.json") == 0
    said = capsys.readouterr().out
    assert "Skipping track in/a.wav" in said
    assert "Separating track in/b.wav" in said
    assert "Separating track in/c.wav" in said
    after = {name: path.stat().st_mtime_ns for name, path in stems.items()}
    assert after["a"] == before["a"]
    assert after["b"] > before["b"]
    assert after["c"] > before["c"]
    told = json.loads((place / "summary.json").read_text())
    assert [track["status"] for track in told["tracks"]] == ["skipped", "done", "done"]
    os.utime(place / "in/a.wav", ns=(before["a"], before["a"]))  # not older than its stems
    assert run("--resume", "in") == 0
    assert stems["a"].stat().st_mtime_ns > before["a"]


def test_the_summary(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(place, "good.wav")
    write_audio(place / "loud.wav", noise(5), RATE, float32=True)
    (place / "bad.wav").write_bytes(b"bad")
    assert run("--json", "-", "good.wav", "loud.wav", "bad.wav", "empty") == 1
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert "Separating track good.wav" in captured.err
    assert (told["model"], told["out"], told["complete"]) == ("fake", "separated/fake", True)
    assert (told["done"], told["skipped"], told["failed"]) == (2, 0, 2)
    good, loud, bad, missing = told["tracks"]
    assert good["track"] == "good.wav"
    assert good["stems"]["drums"] == "separated/fake/good/drums.wav"
    assert (good["seconds"], good["gain"]) == (1.125, 1.0)
    assert good["elapsed"] < told["elapsed"]
    assert loud["gain"] == pytest.approx(1 / (1.01 * 2.5), rel=0.01)
    assert bad["track"] == "bad.wav"
    assert "cannot be decoded" in bad["error"]
    assert "does not exist" in missing["error"]


def test_the_summary_is_unicode_whatever_the_names(place: Path) -> None:
    make(place, "caf\udce9.wav", "übung 音.wav")
    (place / "bad\udcff.wav").write_bytes(b"bad")
    line = ["caf\udce9.wav", "übung 音.wav", "bad\udcff.wav"]
    assert run("--json", "s\udcfe.json", "-o", "out\udce4", *line) == 1
    told = json.loads((place / "s\udcfe.json").read_bytes())
    json.dumps(told, ensure_ascii=False).encode()  # no lone surrogates, which jq and others refuse
    good, plain, bad = told["tracks"]
    assert good["track"] == r"caf\udce9.wav"  # as on the terminal
    assert good["stems"]["drums"] == r"out\udce4/fake/caf\udce9/drums.wav"
    assert plain["track"] == "übung 音.wav"
    assert bad["track"] == r"bad\udcff.wav"
    assert r"bad\udcff.wav cannot be decoded" in bad["error"]
    assert told["out"] == r"out\udce4/fake"
    assert (place / "out\udce4/fake/caf\udce9/drums.wav").exists()


def test_a_file_named_in_several_ways_is_done_once(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(place, "in/a.wav", "other/a.wav")
    (place / "link").symlink_to(place / "in")
    (place / "in/alias.wav").symlink_to(place / "in/a.wav")
    names = ["in/a.wav", str(place / "in/a.wav"), "in/../in/a.wav", "link/a.wav", "in/a.wav"]
    assert run(*names, "in", "--json", "s.json") == 0
    told = json.loads((place / "s.json").read_text())
    assert [track["track"] for track in told["tracks"]] == ["in/a.wav", "in/alias.wav"]
    assert results(place) == ["a", "alias"]  # two names of results, so both are done
    said = capsys.readouterr()
    for name in names[1:4]:
        assert f"{name} is the same file as in/a.wav, and is separated once" in said.out
    assert said.out.count("is the same file") == 3
    assert "twice" not in said.err
    assert run("in/a.wav", "other/a.wav") == 1  # two files
    assert "other/a.wav: not writing separated/fake/a/drums.wav twice" in capsys.readouterr().err
    assert run("--filename", "{stem}.{ext}", "in/a.wav", "in/alias.wav", "-v") == 0
    assert "in/alias.wav is the same file as in/a.wav" in capsys.readouterr().out


def test_an_interrupted_run_has_a_summary(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(place, "a.wav", "b.wav")

    class Stopping(Split):
        calls = 0

        def forward(self, mix: Tensor) -> Tensor:
            Stopping.calls += 1
            if Stopping.calls > 4:
                raise KeyboardInterrupt
            return super().forward(mix)

    monkeypatch.setattr(api, "_load", lambda *_: Stopping())
    assert run("--json", "s.json", "--shifts", "0", "a.wav", "b.wav") == 130
    told = json.loads((place / "s.json").read_text())
    assert not told["complete"]
    assert [track["track"] for track in told["tracks"]] == ["a.wav"]
    assert results(place) == ["a"]
    assert os.listdir(place / "separated/fake") == ["a"]


@pytest.mark.parametrize("flags", [["--float32"], ["--int24"], ["--float32", "--two-stems=drums"]])
@pytest.mark.parametrize("gain", [0.5, 20.0])
def test_consistent_stems_sum_to_the_mixture(place: Path, flags: list[str], gain: float) -> None:
    write_audio(place / "a.wav", noise(gain), RATE, float32=True)
    assert run("--consistency", "--json", "s.json", *flags, "a.wav") == 0
    told = json.loads((place / "s.json").read_text())["tracks"][0]
    stems = [read_audio(path)[0] for path in told["stems"].values()]
    assert len(stems) == 2
    assert (told["gain"] < 1) == (gain > 1 and "--int24" in flags)
    scaled = noise(gain) * told["gain"]
    torch.testing.assert_close(sum(stems), scaled, rtol=0, atol=2e-6 * max(1, told["gain"] * gain))
    if "--two-stems=drums" in flags:
        return
    # What was lacking, a sixth of the mixture less its mean, is shared equally.
    torch.testing.assert_close(
        stems[0] / told["gain"], noise(gain) * 5 / 12, rtol=0.1, atol=gain / 50
    )
    assert run(*flags, "a.wav") == 0  # without the flag they do not sum to it
    stems = [read_audio(path)[0] for path in told["stems"].values()]
    assert (sum(stems) - scaled).abs().max() > 0.01


@pytest.mark.parametrize("flag", ["--mp3", "--flac"])
def test_tags_go_with_the_stems(place: Path, flag: str) -> None:
    make(place, "plain.flac")
    tags = ["-metadata", "title=Übung", "-metadata", "artist=The 音", "-metadata", "album=A"]
    encode = ["ffmpeg", "-v", "error", "-i", "plain.flac", *tags, "song.mp3"]
    subprocess.run(encode, check=True)
    assert run(flag, "song.mp3") == 0
    stem = place / f"separated/fake/song/drums.{flag.strip('-')}"
    assert read_tags(stem) == {"title": ["Übung"], "artist": ["The 音"], "album": ["A"]}
    probe = ["ffprobe", "-v", "error", "-show_entries", "format_tags", str(stem)]
    seen = subprocess.run(probe, capture_output=True, text=True, check=True).stdout
    assert "drums of song.mp3, separated by Demucs (fake)" in seen


@pytest.mark.parametrize("flag", ["--mp3", "--flac", "--int24"])
def test_tags_of_a_wav_and_covers_go_with_the_stems(place: Path, flag: str) -> None:
    make(place, "plain.flac")
    encode = ["ffmpeg", "-v", "error", "-i", "plain.flac", "-metadata", "title=Übung", "a.wav"]
    subprocess.run(encode, check=True)
    song: Any = FLAC(place / "plain.flac")
    picture = Picture()
    picture.type, picture.mime, picture.data = 3, "image/png", b"\x89PNG and so on"
    song.add_picture(picture)
    song.save()
    assert run(flag, "a.wav", "plain.flac") == 0
    suffix = "wav" if flag == "--int24" else flag.strip("-")
    for stem in ("drums", "vocals"):
        tagged = place / f"separated/fake/a/{stem}.{suffix}"
        assert read_tags(tagged) == {"title": ["Übung"]}
        probe = ["ffprobe", "-v", "error", "-show_entries", "format_tags", str(tagged)]
        seen = subprocess.run(probe, capture_output=True, text=True, check=True).stdout
        assert "title=Übung" in seen
        assert f"comment={stem} of a.wav, separated by Demucs (fake)" in seen
        cover = read_cover(place / f"separated/fake/plain/{stem}.{suffix}")
        assert (cover and cover.data) == (None if suffix == "wav" else picture.data)


@pytest.mark.parametrize("flag", ["--mp3", "--flac", "--int24"])
def test_broken_tags_and_names_stop_nothing(place: Path, flag: str) -> None:
    make(place, "caf\udce9.wav", "broken.mp3")
    tag = b"ID3\x04\0\0\0\0\0\x50APIC\0\0\0\x50\0\0" + b"\1" * 70
    (place / "broken.mp3").write_bytes(tag + (place / "broken.mp3").read_bytes())
    content = (place / "caf\udce9.wav").read_bytes()
    (place / "broken.wav").write_bytes(content + b"LIST\xff\xff\0\0INFOINAM\xff\xff\xff\x7f\xff")
    assert run(flag, "caf\udce9.wav", "broken.mp3", "broken.wav", "-o", "separated") == 1
    assert results(place) == ["broken", "caf\udce9"]  # two of one name
    assert run(flag, "broken.wav") == 0


class Pipe(io.TextIOWrapper):
    """Standard input or output of a process in a pipe."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(io.BytesIO(content))

    @property
    def content(self) -> bytes:
        buffer: Any = self.buffer
        return bytes(buffer.getvalue())


def test_from_standard_input_to_standard_output(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(place, "a.wav")
    assert run("--two-stems", "drums", "--other-method", "none", "a.wav") == 0
    expected = (place / "separated/fake/a/drums.wav").read_bytes()
    out = Pipe()
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", Pipe((place / "a.wav").read_bytes()))
    monkeypatch.setattr(sys, "stdout", out)
    assert run("-o", "-", "--two-stems", "drums", "--other-method", "none", "-") == 0
    assert out.content == expected
    assert "Separating track -" in capsys.readouterr().err


def test_standard_input_into_a_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(place, "a.flac")
    for _ in range(2):  # what was piped in is not known to be done
        monkeypatch.setattr(sys, "stdin", Pipe((place / "a.flac").read_bytes()))
        assert run("--resume", "--json", "s.json", "-") == 0
        told = json.loads((place / "s.json").read_text())["tracks"][0]
        assert (told["track"], told["status"]) == ("-", "done")
    assert results(place) == ["stdin"]


def test_warnings_call_standard_input_so(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    soundfile.write(place / "a.ogg", noise(length=60_000).T.numpy(), RATE)
    content = (place / "a.ogg").read_bytes()
    monkeypatch.setattr(sys, "stdin", Pipe(content[: len(content) // 2]))
    assert run("-") == 0
    assert "standard input seems to be cut short" in caplog.text
    assert results(place) == ["stdin"]


def test_terminals_are_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(place, "a.wav")

    class Terminal(Pipe):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert run("-") == 1
    assert "standard input is a terminal: pipe" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert run("-o", "-", "--two-stems=drums", "--other-method=none", "a.wav") == 1
    assert "standard output is a terminal: pipe it" in capsys.readouterr().err


def test_float_flac_has_one_gain(place: Path) -> None:
    write_audio(place / "a.wav", noise(20.0), RATE, float32=True)
    assert run("--flac", "--float32", "a.wav") == 0
    drums, vocals = (
        read_audio(place / f"separated/fake/a/{stem}.flac")[0] for stem in ("drums", "vocals")
    )
    assert soundfile.info(place / "separated/fake/a/drums.flac").subtype == "PCM_24"
    assert float(drums.norm() / vocals.norm()) == pytest.approx(2 / 3, rel=1e-3)


def test_the_time_left_of_all(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(place, "a.wav", "b.wav", "c.wav")
    now = [0.0]
    monkeypatch.setattr("demucs.separate.progress.time.monotonic", lambda: now[0])
    progress = Progress([(place / f"{name}.wav", f"{name}.wav") for name in "abc"])
    progress.next()  # left out
    progress.next()
    now[0] = 10.0
    with progress.bar():
        assert progress._overall(0.5) == "all: 50%, 0:30 left"
    progress.next()
    now[0] = 20.0
    assert progress._overall(0.0) == "all: 67%, 0:20 left"
    assert clock(3725) == "1:02:05"


def test_progress_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(place, "a.wav", "b.wav")
    assert run("a.wav", "b.wav") == 0
    told = capsys.readouterr().err
    assert "[1/2] a.wav: 100%" in told
    assert "[2/2] b.wav: 100%" in told
    assert "all: 100%, 0:00 left" in told
