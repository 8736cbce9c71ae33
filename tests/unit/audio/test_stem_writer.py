"""The stems of a track as files: one gain, all or none, long files."""

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor

from demucs.audio import AudioWriter, Encoding, StemFile, StemWriter, read_audio, write_audio
from demucs.audio import encoding as encoding_module
from demucs.audio import stems as stems_module
from demucs.audio.tags import write_tags
from demucs.errors import AudioError, ConfigError
from demucs.files import atomic_paths

RATE = 44100
STEMS = {"drums": 0.5, "vocals": 1.5}


def noise(gain: float = 1.0, length: int = 5000) -> Tensor:
    wav = torch.rand(2, length, generator=torch.Generator().manual_seed(2)) - 0.5
    return wav / wav.abs().max() * gain


def write(folder: Path, suffix: str, clip: str = "rescale", **encoding: Any) -> float:
    """Writes both stems in blocks; returns the gain."""
    files = {
        name: StemFile(folder / "new" / f"{name}{suffix}", Encoding(**encoding)) for name in STEMS
    }
    with StemWriter(files, RATE, 2, 5000, clip) as writer:
        for begin in range(0, 5000, 700):
            writer.write({n: noise(gain)[:, begin : begin + 700] for n, gain in STEMS.items()})
        assert not list((folder / "new").glob("[!.]*"))
    assert sorted(os.listdir(folder / "new")) == [f"{name}{suffix}" for name in STEMS]
    return writer.gain


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("options", [{}, {"bits": 24}])
def test_all_stems_have_one_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(stems_module, "BLOCK", 999)
    gain = write(tmp_path, suffix, **options)
    assert gain == pytest.approx(1 / (1.01 * 1.5))
    for name, level in STEMS.items():
        wav = read_audio(tmp_path / "new" / f"{name}{suffix}")[0]
        torch.testing.assert_close(wav, noise(level) * gain, rtol=0, atol=2**-15)


def test_quiet_stems_are_not_scaled(tmp_path: Path) -> None:
    files = {"a": StemFile(tmp_path / "a.wav", Encoding(bits=24))}
    with StemWriter(files, RATE, 2, 5000) as writer:
        writer.write({"a": noise(0.9)})
    assert writer.gain == 1
    torch.testing.assert_close(read_audio(tmp_path / "a.wav")[0], noise(0.9), rtol=0, atol=2**-23)


@pytest.mark.parametrize("clip", ["rescale", "clamp", "tanh", "none"])
def test_floats_are_exact(tmp_path: Path, clip: str) -> None:
    assert write(tmp_path, ".wav", clip, float32=True) == 1
    assert torch.equal(read_audio(tmp_path / "new" / "vocals.wav")[0], noise(1.5))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("clip", ["rescale", "clamp", "tanh", "none"])
def test_blocks_are_what_the_whole_would_be(tmp_path: Path, suffix: str, clip: str) -> None:
    gain = write(tmp_path, suffix, clip)
    for name, level in STEMS.items():
        write_audio(tmp_path / f"whole{suffix}", noise(level) * gain, RATE,
                    clip="none" if clip == "rescale" else clip)  # fmt: skip
        assert (tmp_path / "new" / f"{name}{suffix}").read_bytes() == (
            tmp_path / f"whole{suffix}"
        ).read_bytes()


@pytest.mark.parametrize("clip", ["rescale", "none"])
@pytest.mark.parametrize("when", ["first", "second", "never"])
def test_all_or_none(tmp_path: Path, clip: str, when: str) -> None:
    files = {name: StemFile(tmp_path / "x" / f"{name}.wav", Encoding()) for name in STEMS}
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "drums.wav").write_text("old")
    broken = noise()
    broken[0, 5] = torch.inf

    blocks = {"first": [broken, noise()], "second": [noise(), broken], "never": [noise()] * 2}

    def go() -> None:
        with StemWriter(files, RATE, 2, 10_000, clip) as writer:
            for vocals in blocks[when]:
                writer.write({"drums": noise(), "vocals": vocals})
            raise KeyboardInterrupt

    expected = KeyboardInterrupt if when == "never" else AudioError
    with pytest.raises(expected, match=None if when == "never" else r"vocals\.wav.*NaN or inf"):
        go()
    assert os.listdir(tmp_path / "x") == ["drums.wav"]
    assert (tmp_path / "x" / "drums.wav").read_text() == "old"


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may be larger than 20 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("clip", ["rescale", "clamp"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, suffix: str, clip: str) -> None:
    files = {name: StemFile(tmp_path / "n" / f"{name}{suffix}", Encoding()) for name in STEMS}

    def go() -> None:
        with StemWriter(files, RATE, 2, 100_000, clip) as writer:
            for _ in range(20):
                writer.write({name: noise(gain) for name, gain in STEMS.items()})

    with pytest.raises(AudioError, match=rf"Cannot write .*{suffix}.*space on the disk"):
        go()
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "vocals.wav").mkdir()
    files = {name: StemFile(tmp_path / f"{name}.wav", Encoding()) for name in STEMS}
    with (
        pytest.raises(AudioError, match=r"Cannot write .*vocals\.wav: there is a folder"),
        StemWriter(files, RATE, 2, 10),
    ):
        pass
    assert os.listdir(tmp_path) == ["vocals.wav"]


@pytest.mark.parametrize(("suffix", "options", "clip", "said"), [
    (".ogg", {}, "rescale", "must end in"),
    (".flac", {"float32": True}, "rescale", "16 or 24 bits"),
    (".wav", {"bits": 12}, "rescale", "bits=12"),
    (".wav", {}, "soft", "clip mode 'soft'"),
])  # fmt: skip
def test_limits_are_told_at_once(
    tmp_path: Path, suffix: str, options: dict[str, Any], clip: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        StemWriter({"a": StemFile(tmp_path / f"a{suffix}", Encoding(**options))}, RATE, 2, 1, clip)


def test_a_failing_rename_takes_back_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    trouble = [True]

    def refuse(old: Path, new: Path) -> None:
        if new.name == "b" and trouble:
            trouble.clear()  # what stood there can be put back
            raise OSError(errno.EIO, "Input/output error")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    with (
        pytest.raises(OSError, match="Input"),
        atomic_paths([tmp_path / "n" / name for name in "abc"]),
    ):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "n").mkdir()
    for name in "abc":
        (tmp_path / "n" / name).write_text(f"old {name}")
    trouble.append(True)
    with (
        pytest.raises(OSError, match="Input"),
        atomic_paths([tmp_path / "n" / name for name in "abc"]),
    ):
        pass
    monkeypatch.undo()
    left = {path.name: path.read_text() for path in (tmp_path / "n").iterdir()}
    assert left == {name: f"old {name}" for name in "abc"}
    with atomic_paths([tmp_path / "n" / name for name in "abc"]) as files:
        for file in files:
            file.write_text("new")
    left = {path.name: path.read_text() for path in (tmp_path / "n").iterdir()}
    assert left == dict.fromkeys("abc", "new")


def test_wav_files_have_no_limit_of_4_gib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoding_module.RIFF_LIMIT < 2**32
    with AudioWriter(tmp_path / "small.wav", RATE, 2, frames=5000) as writer:
        writer.write(noise(0.5))
    monkeypatch.setattr(encoding_module, "RIFF_LIMIT", 15_000)
    write_audio(tmp_path / "large.wav", noise(0.5), RATE)
    assert soundfile.info(tmp_path / "small.wav").format == "WAV"
    assert (tmp_path / "large.wav").read_bytes()[:4] == b"RF64"
    small, large = (read_audio(tmp_path / f"{n}.wav")[0] for n in ("small", "large"))
    assert torch.equal(small, large)
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=duration_ts", "-of", "csv=p=0"]
    told = subprocess.run([*probe, tmp_path / "large.wav"], capture_output=True, check=True).stdout
    assert int(told) == 5000
    write(tmp_path, ".wav", float32=True)  # 40 kB a stem
    assert soundfile.info(tmp_path / "new" / "drums.wav").format == "RF64"
    with (
        pytest.raises(AudioError, match=r"longer than 4 GiB.*number of frames"),
        AudioWriter(tmp_path / "unknown.wav", RATE, 2) as unknown,
    ):
        unknown.write(noise())


TAGS = {"title": ["Übung"], "artist": ["A", "B"], "album": ["音楽"], "date": ["1999"]}


def test_a_tag_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"no flac")

    def tag(path: Path) -> None:
        write_tags(tmp_path / "a.flac", TAGS, "drums", "note")

    files = {"a": StemFile(tmp_path / "b.flac", Encoding(), tag)}
    with (
        pytest.raises(AudioError, match=r"Cannot write .*b\.flac"),
        StemWriter(files, RATE, 2, 5000) as writer,
    ):
        writer.write({"a": noise()})
    assert os.listdir(tmp_path) == ["a.flac"]
