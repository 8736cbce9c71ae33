"""Audio files read once, from their beginning to their end, block by block."""

import json
import re
import shutil
import struct
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from demucs.data.doctor.places import Source
from demucs.errors import AudioError, MissingToolError

Samples = NDArray[np.float32]
_UNCOUNTED = ("MP3", "MPEG", "OGG")  # formats of libsndfile whose headers do not count the frames


class Stream(Protocol):
    """An open file. `lossy`: it was coded so that it is not the samples that were put in."""

    samplerate: int
    channels: int
    lossy: bool
    floating: bool

    def read(self, frames: int) -> Samples:
        """The next samples `[T, C]`; fewer than `frames` at the end, then none.

        Raises:
            AudioError: the rest cannot be decoded.
        """

    def close(self) -> None: ...


def open_stream(source: Source) -> Stream:
    """Opens a file with libsndfile, or with ffmpeg where that does not know it.

    Raises:
        AudioError: it cannot be read at all; the message is the reason alone.
        MissingToolError: it needs ffmpeg, which is not installed.
    """
    path = source.path
    try:
        if path.stat().st_size == 0:
            raise AudioError("empty (0 bytes)")
    except OSError as error:
        raise AudioError(error.strerror or str(error)) from error
    if source.stream is not None:
        return FfmpegStream(path, source.stream)
    try:
        return SoundfileStream(path)
    except (soundfile.SoundFileError, OSError) as error:
        if path.suffix.lower() in (".wav", ".flac"):
            raise AudioError(_reason(error)) from error
        return FfmpegStream(path, 0)


class SoundfileStream:
    """A file that libsndfile reads: wav, flac, mp3, ogg."""

    def __init__(self, path: Path) -> None:
        self._file = soundfile.SoundFile(str(path))
        self.samplerate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.lossy = self._file.format in _UNCOUNTED
        self.floating = self.lossy or self._file.subtype in ("FLOAT", "DOUBLE")
        self._done = 0
        self._lost = lost_bytes(path)

    def read(self, frames: int) -> Samples:
        try:
            samples: Samples = self._file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise AudioError(f"damaged after {self._seconds()}: {_reason(error)}") from error
        self._done += len(samples)
        if len(samples) < frames:
            if self._lost:
                raise AudioError(f"cut off after {self._seconds()}: {self._lost} bytes are missing")
            if not self.lossy and self._done < self._file.frames:
                whole = self._file.frames / self.samplerate
                raise AudioError(f"damaged or cut off after {self._seconds()} of {whole:.2f} s")
        return samples

    def close(self) -> None:
        self._file.close()

    def _seconds(self) -> str:
        return f"{self._done / self.samplerate:.2f} s"


class FfmpegStream:
    """One audio stream of a file that ffmpeg decodes to a pipe."""

    lossy = True
    floating = True

    def __init__(self, path: Path, stream: int) -> None:
        if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
            raise MissingToolError(
                f"Reading {path.suffix} files needs ffmpeg and ffprobe on PATH: apt install ffmpeg"
            )
        self.samplerate, self.channels = _probe(path, stream)
        command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i", f"file:{path}"]
        command += ["-map", f"0:a:{stream}", "-f", "f32le", "pipe:1"]
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._messages
        )

    def read(self, frames: int) -> Samples:
        assert self._process.stdout is not None
        size = 4 * self.channels
        data = self._process.stdout.read(frames * size)
        if len(data) < frames * size:
            code = self._process.wait()
            self._messages.seek(0)
            said = self._messages.read().decode(errors="replace").strip().splitlines()
            if code or said:
                last = re.sub(r"^\[[^]]*\] *", "", said[-1]) if said else f"exit code {code}"
                raise AudioError(f"ffmpeg: {last}")
        samples = np.frombuffer(data, dtype="<f4", count=len(data) // size * self.channels)
        return samples.reshape(-1, self.channels).astype(np.float32)

    def close(self) -> None:
        with suppress(OSError):
            self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        self._messages.close()


def lost_bytes(path: Path) -> int:
    """Bytes of sound that a wav file announces and does not have; 0 for other formats.

    libsndfile takes a wav file that was cut off for a short one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return 0
        while len(chunk := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", chunk)
            if kind == b"data":
                # Writers to a pipe cannot know the length, and put the largest there, or none.
                unknown = length >= 0xFFFFFFFF - 0xFFFF
                return 0 if unknown else max(0, file.tell() + length - size)
            file.seek(length + length % 2, 1)
    return 0


def _probe(path: Path, stream: int) -> tuple[int, int]:
    """Hz and channels of an audio stream."""
    command = ["ffprobe", "-v", "error", "-select_streams", "a"]
    command += ["-show_entries", "stream=sample_rate,channels", "-of", "json", f"file:{path}"]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    found: list[dict[str, Any]] = []
    if done.returncode == 0:
        found = json.loads(done.stdout or b"{}").get("streams", [])
    if not found:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise AudioError(f"ffmpeg: {said[-1] if said else 'no audio stream'}")
    if stream >= len(found):
        raise AudioError(f"{len(found)} audio streams, and none with number {stream}")
    return int(found[stream]["sample_rate"]), int(found[stream]["channels"])


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].rpartition(": ")[2] if lines else type(error).__name__
