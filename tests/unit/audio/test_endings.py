"""Files that end too early: refused where a header counts the samples, else read with a warning."""

import functools
import logging
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.audio import AudioSource, audio_info, read_audio
from demucs.audio.mp3 import read_header, read_mp3
from demucs.errors import AudioError

RATE = 44100
LENGTH = 3 * RATE


def sound(path: Path) -> np.ndarray:
    """Three seconds, quiet and then loud, so that a varying bitrate varies."""
    wav = np.random.default_rng(0).normal(size=(LENGTH, 2)) * 0.1
    wav[: RATE // 2] *= 1e-4
    soundfile.write(path, wav, RATE)
    return wav


def by_soundfile(format: str, subtype: str | None = None) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        wav = sound(path.with_name("plain.wav"))
        soundfile.write(path, wav, RATE, format=format, subtype=subtype)

    return make


def by_ffmpeg(*arguments: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        plain = path.with_name("plain.wav")
        sound(plain)
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(plain), *arguments, str(path)]
        subprocess.run(command, check=True)

    return make


# Their headers count the samples, or have the place of each.
COUNTED = {
    "a.wav": by_soundfile("WAV"),
    "float.wav": by_soundfile("WAV", "FLOAT"),
    "rf64.wav": by_soundfile("RF64"),
    "a.flac": by_soundfile("FLAC"),
    "a.aiff": by_soundfile("AIFF"),
    "a.w64": by_soundfile("W64"),
    "a.caf": by_soundfile("CAF"),
    "a.au": by_soundfile("AU"),
    "float.aiff": by_soundfile("AIFF", "FLOAT"),  # AIFF-C
    "fast.m4a": by_ffmpeg("-movflags", "+faststart"),
    "fast.mp4": by_ffmpeg("-c:a", "alac", "-movflags", "+faststart"),
}
# Theirs do not; what the warning says of them.
UNCOUNTED = {
    "a.ogg": (by_soundfile("OGG", "VORBIS"), "last page of an ogg stream is missing"),
    "a.opus": (by_ffmpeg("-c:a", "libopus"), "last page of an ogg stream is missing"),
    "flac.oga": (by_ffmpeg("-c:a", "flac"), "last page of an ogg stream is missing"),
    "plain.mp3": (by_ffmpeg("-write_xing", "0"), "last frame of an mp3 is not complete"),
    "vbr.mp3": (by_ffmpeg("-write_xing", "0", "-q:a", "4"), "last frame of an mp3"),
    "slow.mp3": (by_ffmpeg("-write_xing", "0", "-ar", "22050"), "last frame of an mp3"),
    "a.aac": (by_ffmpeg(), "ffmpeg: .*exhausted"),
    "a.mkv": (by_ffmpeg("-c:a", "aac"), "ffmpeg: File ended prematurely"),
    "a.webm": (by_ffmpeg("-c:a", "libopus"), "ffmpeg: File ended prematurely"),
}


@functools.cache  # ffmpeg takes a third of a second, and each is cut in several ways
def whole(name: str) -> bytes:
    """What a file of this name holds that ends where it should."""
    make = COUNTED[name] if name in COUNTED else UNCOUNTED[name][0]
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder, name))
        return Path(folder, name).read_bytes()


def both(path: Path) -> tuple[float, float]:
    """Seconds of a file, as a whole and in blocks, each read once."""
    wav, rate = read_audio(path)
    source = AudioSource(path, RATE, 2)
    assert sum(block.shape[-1] for block in source.blocks()) == source.length
    return wav.shape[-1] / rate, source.length / RATE


def cut(path: Path, share: float) -> None:
    """The beginning of the file of this name."""
    content = whole(path.name)
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("name", [*COUNTED, *UNCOUNTED])
def test_whole_files_are_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    (tmp_path / name).write_bytes(whole(name))
    with caplog.at_level(logging.WARNING):
        seconds = both(tmp_path / name)
    assert seconds == pytest.approx((3, 3), abs=0.1)
    assert audio_info(tmp_path / name).seconds == pytest.approx(3, abs=0.1)
    assert not caplog.records


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("name", COUNTED)
def test_with_a_count_the_cut_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    cut(path, share)
    for read in (read_audio, lambda path: AudioSource(path, RATE, 2)):
        with pytest.raises(AudioError, match=rf"^\S*{name} is damaged or cut short: .*Copy or dow"):
            read(path)


@pytest.mark.parametrize("share", [0.503, 0.903])
@pytest.mark.parametrize("name", UNCOUNTED)
def test_without_a_count_it_is_read_as_far_as_it_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, share: float
) -> None:
    import re

    _, said = UNCOUNTED[name]
    path = tmp_path / name
    cut(path, share)
    with caplog.at_level(logging.WARNING):
        seconds = both(path)
    assert all(0.5 < one < 2.95 for one in seconds)
    assert seconds[0] == pytest.approx(seconds[1], rel=0.01)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2  # once for each time that it was read
    for one in told:
        assert re.search(f"{name} seems to be cut short .*{said}.*: it is read as far as it g", one)


def test_an_mp3_that_counts_is_refused_or_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.mp3"
    by_ffmpeg()(path)
    content = path.read_bytes()
    (mp3,) = read_mp3(path)
    assert mp3.told == mp3.found
    assert both(path) == pytest.approx((3, 3), abs=0.1)
    assert not caplog.records
    path.write_bytes(content[: int(len(content) * 0.96)])
    assert all(2.8 < one < 2.95 for one in both(path))
    assert "samples): it is read as far as it goes" in caplog.text
    path.write_bytes(content[: int(len(content) * 0.8)])
    with pytest.raises(AudioError, match="cut short"):
        read_audio(path)


def test_an_mp3_of_varying_bitrate_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(whole("vbr.mp3"))
    assert soundfile.info(path).frames < LENGTH - RATE // 4  # libsndfile trusts the first frame
    assert audio_info(path).frames >= LENGTH
    wav, _ = read_audio(path)
    assert wav.shape[-1] >= LENGTH
    assert wav[:, -RATE:].abs().max() > 0.2
    part, _ = read_audio(path, start=LENGTH - RATE, frames=1000)
    assert torch.equal(part, wav[:, LENGTH - RATE : LENGTH - RATE + 1000])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=r"its length is not told.*install ffmpeg"):
        read_audio(path)


def test_frames_of_an_mp3_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    by_ffmpeg("-write_xing", "0", "-b:a", "128k")(path)
    content = path.read_bytes()
    (frames,) = read_mp3(path)
    assert frames.told is None
    assert frames.is_whole
    assert frames.found == read_audio(path)[0].shape[-1]
    start = content.index(b"\xff\xfb")
    bare = content[start:]
    first = read_header(bare[:4])
    assert first is not None
    second = read_header(bare[first.length : first.length + 4])
    assert second is not None
    two = first.length + second.length
    tags = b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little")
    ape = tags + bytes(4) + (1).to_bytes(4, "little") + bytes(8) + b"\xff\xfb\x90\0" * 8
    for name, one in {
        "bare": bare,
        "id3v1": bare + b"TAG" + b"\xff\xfb\x90\0" * 31 + b"\0",
        "junk before": b"junk \xff\xfb\x90\0 junk" + bare,
        "junk between": bare[:two] + b"\xff" * 50 + bare[two:],
        "ape": bare + ape.ljust(1968 + 32, b"\0")[:1968]
        + b"APETAGEX" + (2000).to_bytes(4, "little") + (2000).to_bytes(4, "little")
        + bytes(4) + (0).to_bytes(4, "little") + bytes(8),
    }.items():  # fmt: skip
        path.write_bytes(one)
        (found,) = read_mp3(path)
        assert (found.told, found.found, found.is_whole) == (None, frames.found, True), name
    path.write_bytes(bare[:-9])
    (found,) = read_mp3(path)
    assert (found.told, found.found, found.is_whole) == (None, frames.found - 1152, False)
    path.write_bytes(b"\xff" * 5000)
    assert read_mp3(path) == ()


def test_an_ogg_file_cut_at_a_page_is_known_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.ogg"
    content = whole("a.ogg")
    path.write_bytes(content[: content.rindex(b"OggS")])
    read_audio(path)
    assert "last page" in caplog.text
    caplog.clear()
    path.write_bytes(content + bytes(200_000))  # what a download may leave
    read_audio(path)
    assert "last page" in caplog.text
