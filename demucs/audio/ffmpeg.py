"""ffmpeg as a decoder of what libsndfile cannot read: m4a, wma, webm, video files and so on."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from demucs.audio.endings import CutShortError, seems_cut, seems_damaged
from demucs.audio.layout import Link
from demucs.audio.sndfile import Samples
from demucs.errors import AudioError, MissingToolError

_CUT = re.compile(r"prematurely|incomplete|exhausted|too small|truncat", re.IGNORECASE)
# Containers that tell how long a stream is; of others ffprobe guesses by the first bytes.
_TIMED = ("mov", "matroska", "asf", "wv", "ape", "tta", "avi", "flv", "caf", "aiff", "w64", "tak")
_LATE = 1.0  # seconds that a container may tell of too many


@dataclass(frozen=True)
class Probe:
    """What ffprobe says of an audio stream: Hz, channels, and seconds where they can be trusted."""

    samplerate: int
    channels: int
    seconds: float | None


def ffmpeg_available() -> bool:
    """True if both `ffmpeg` and `ffprobe` are on PATH."""
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


def probe(path: Path, link: Link | None = None, stream: int = 0) -> Probe:
    """Format of an audio stream of a file.

    Args:
        path: the file.
        link: the part of it to look at; None is all of it.
        stream: number of the audio stream.

    Raises:
        MissingToolError: ffmpeg is not installed.
        AudioError: there is no such stream; the message is ffmpeg's own.
    """
    if not ffmpeg_available():
        raise MissingToolError(
            "ffmpeg and ffprobe, which read more formats, are not on PATH: install ffmpeg "
            "(such as `apt-get install ffmpeg`)"
        )
    command = ["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries"]
    command += ["stream=sample_rate,channels,duration:format=format_name,duration"]
    command += ["-of", "json", _name(path, link)]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    content: dict[str, Any] = json.loads(done.stdout or b"{}") if done.returncode == 0 else {}
    streams = content.get("streams", [])
    if not streams:
        raise AudioError(_last_line(done.stderr) or "no audio stream")
    if stream >= len(streams):
        raise AudioError(f"{len(streams)} audio streams, and none with number {stream}")
    chosen, container = streams[stream], content.get("format", {})
    if not int(chosen.get("channels", 0)):
        raise AudioError(_last_line(done.stderr) or "no audio stream")
    names = container.get("format_name", "").split(",")
    timed = any(name in _TIMED for name in names)
    seconds = chosen.get("duration", container.get("duration")) if timed else None
    return Probe(
        int(chosen["sample_rate"]),
        int(chosen["channels"]),
        None if seconds is None else float(seconds),
    )


class FfmpegDecoder:
    """Samples of one audio stream, which ffmpeg writes to a pipe.

    Args:
        path: the file.
        link: the part of it to decode; None is all of it.
        stream: number of the audio stream.
        start: the first sample to give, counted from the beginning.

    Attributes:
        samplerate: Hz.
        channels: of each block; the first two are left and right.
        frames: None: containers only estimate it.
        lossy, floating: as of `SndfileDecoder`.

    Raises:
        MissingToolError, AudioError: as `probe`.
    """

    lossy = True
    floating = True
    frames = None
    can_seek = False

    def __init__(
        self, path: Path, link: Link | None = None, stream: int = 0, start: int = 0
    ) -> None:
        self._probe = probe(path, link, stream)
        self.samplerate, self.channels = self._probe.samplerate, self._probe.channels
        self._path, self._start, self._count = path, start, 0
        command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i", _name(path, link)]
        command += ["-map", f"0:a:{stream}", "-af", self._filters(), "-f", "f32le", "pipe:1"]
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (a pipe would fill up meanwhile)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._messages
        )

    def _filters(self) -> str:
        """Skips what comes before `start`; keeps to the first format if it changes on the way."""
        layout = {1: ":channel_layouts=mono", 2: ":channel_layouts=stereo"}.get(self.channels, "")
        return f"aformat=sample_rates={self.samplerate}{layout},atrim=start_sample={self._start}"

    def read(self, frames: int) -> Samples:
        """The next `[T, C]`, fewer than `frames` only at the end.

        Raises:
            AudioError: ffmpeg failed; the message is its own.
        """
        assert self._process.stdout is not None
        size = 4 * self.channels
        data = self._process.stdout.read(frames * size)
        if len(data) < frames * size and (code := self._process.wait()):
            raise AudioError(_last_line(self._said()) or f"exit code {code}")
        samples = np.frombuffer(
            bytearray(data), dtype="<f4", count=len(data) // size * self.channels
        )
        self._count += len(data) // size
        return samples.reshape(-1, self.channels)

    def doubts(self) -> Iterator[str]:
        """What is to be said of the file, once all is read: by ffmpeg, or by its container.

        Raises:
            CutShortError: samples that a header counts are missing.
        """
        said = self._said().decode(errors="replace")
        if (
            "partial file" in said
        ):  # of m4a, mp4 and mov, whose header has the place of every sample
            raise CutShortError(self._path, "ffmpeg: partial file, of which a part is missing")
        lines = [re.sub(r"^\[[^]]*\] *", "", line.strip()) for line in said.splitlines()]
        cut = next((line for line in lines if _CUT.search(line)), None)
        seconds, announced = (self._start + self._count) / self.samplerate, self._probe.seconds
        if cut is not None:
            yield seems_cut(f"ffmpeg: {cut}")
        elif lines:
            yield seems_damaged(f"ffmpeg: {lines[0]}")
        elif announced is not None and seconds < announced - _LATE:
            yield seems_cut(f"{seconds:.2f} s of {announced:.2f} s")

    def _said(self) -> bytes:
        self._messages.seek(0)
        return self._messages.read()

    def close(self) -> None:
        with suppress(OSError):
            self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        self._messages.close()


def _name(path: Path, link: Link | None) -> str:
    """The file, or a part of it, as ffmpeg is told of it."""
    if link is None:
        return f"file:{path}"
    return f"subfile,,start,{link.start},end,{link.end},,:file:{path}"


def _last_line(message: bytes) -> str:
    lines = message.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
