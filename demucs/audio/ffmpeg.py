"""ffmpeg as a decoder of what libsndfile cannot read: m4a, wma, webm, video files and so on."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from demucs.audio.endings import CutShortError, is_cut_short, warn_of_cut, warn_of_damage
from demucs.errors import AudioError, MissingToolError

_CUT = re.compile(r"prematurely|incomplete|exhausted|too small|truncat", re.IGNORECASE)
_BLOCK = 1 << 20  # bytes


def ffmpeg_available() -> bool:
    """True if both `ffmpeg` and `ffprobe` are on PATH."""
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


def ffmpeg_format(path: Path) -> tuple[int, int]:
    """Sample rate (Hz) and channels of the first audio stream of `path`.

    Raises:
        MissingToolError: ffmpeg is not installed.
        AudioError: no audio stream; the message is ffmpeg's own.
    """
    if not ffmpeg_available():
        raise MissingToolError(
            "ffmpeg and ffprobe, which read more formats, are not on PATH: install ffmpeg "
            "(such as `apt-get install ffmpeg`)"
        )
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "a:0",
        "-show_entries",
        "stream=sample_rate,channels",
        "-of",
        "json",
        f"file:{path}",
    ]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    streams = json.loads(done.stdout or b"{}").get("streams", []) if done.returncode == 0 else []
    if not streams or not int(streams[0].get("channels", 0)):
        raise AudioError(_last_line(done.stderr) or "no audio stream")
    return int(streams[0]["sample_rate"]), int(streams[0]["channels"])


def ffmpeg_frames(path: Path, channels: int) -> int:
    """Frames of the first audio stream, by decoding it all: containers only estimate it."""
    with _decoder(path, 0, None) as stream:
        size = sum(len(block) for block in iter(lambda: stream.read(_BLOCK), b""))
    return size // (4 * channels)


def ffmpeg_read(path: Path, channels: int, start: int, frames: int | None) -> Tensor:
    """Samples `[C, T]` of the first audio stream, cut at exact frames."""
    with _decoder(path, start, frames, check=start == 0 and frames is None) as stream:
        data = bytearray(stream.read())
    usable = len(data) // (4 * channels) * 4 * channels
    samples = np.frombuffer(data, dtype="<f4", count=usable // 4)
    return torch.from_numpy(samples.reshape(-1, channels).T.copy())


def ffmpeg_blocks(path: Path, channels: int, frames: int, *, check: bool) -> Iterator[Tensor]:
    """The first audio stream in blocks of `frames` frames, `[C, n]`; the last may be shorter.

    With `check` a file that ends too early is an error or a warning, see `demucs.audio.endings`.
    """
    with _decoder(path, 0, None, check=check) as stream:
        while data := stream.read(4 * channels * frames):
            usable = len(data) // (4 * channels) * 4 * channels
            samples = np.frombuffer(data, dtype="<f4", count=usable // 4)
            yield torch.from_numpy(samples.reshape(-1, channels).T.copy())


@contextmanager
def _decoder(
    path: Path, start: int, frames: int | None, *, check: bool = False
) -> Iterator[IO[bytes]]:
    """The interleaved little-endian float32 samples that ffmpeg writes to a pipe."""
    end = f":end_sample={start + frames}" if frames is not None else ""
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-i",
        f"file:{path}",
        "-map",
        "0:a:0",
        "-af",
        f"atrim=start_sample={start}{end}",
        "-f",
        "f32le",
        "pipe:1",
    ]
    with tempfile.TemporaryFile() as messages:  # a pipe would fill up while we read the other
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages
        ) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
            except BaseException:
                process.kill()
                raise
        messages.seek(0)
        said = messages.read()
        if process.returncode != 0:
            raise AudioError(_last_line(said) or f"exit code {process.returncode}")
        if check:
            _check_messages(path, said.decode(errors="replace"))


def _check_messages(path: Path, said: str) -> None:
    """Raises CutShortError, or warns, if ffmpeg says of a file that something is wrong."""
    if is_cut_short(path):  # a caf file, which libsndfile then does not open
        raise CutShortError(path)
    if "partial file" in said:  # of m4a, mp4 and mov, whose header has the place of every sample
        raise CutShortError(path)
    lines = [re.sub(r"^\[[^]]*\] *", "", line.strip()) for line in said.splitlines()]
    for line in lines:
        if _CUT.search(line):
            warn_of_cut(path, f"ffmpeg: {line}")
            return
    if lines:
        warn_of_damage(path, f"ffmpeg: {lines[0]}")


def _last_line(message: bytes) -> str:
    lines = message.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
