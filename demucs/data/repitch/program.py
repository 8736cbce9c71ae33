"""Stretching through SoundTouch's command line program, soundstretch, by pipes."""

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demucs.data.augment import Stretch
from demucs.errors import AudioError

LOCAL_BUILD = os.path.join(".", "soundtouch", "build")
REMEDY = "apt install soundstretch, or set augment.repitch.proba=0"
FULL_SCALE = np.float32(2.0**31)
BYTES = 4  # of a sample
PROCESSES = 8  # at once


@dataclass(frozen=True)
class SoundStretch:
    """The engine that starts the program at `program`, once for each stem."""

    program: str

    @classmethod
    def find(cls) -> "SoundStretch | None":
        """Looks for soundstretch in ./soundtouch/build, then on PATH."""
        path = os.pathsep.join([LOCAL_BUILD, os.environ.get("PATH", os.defpath)])
        program = shutil.which("soundstretch", path=path)
        return cls(os.path.abspath(program)) if program is not None else None

    def at_once(self, threads: int) -> int:
        """Many: they wait for processes of their own."""
        return PROCESSES

    def describe(self) -> str:
        """What it is, for the log."""
        return f"the program {self.program} in processes of its own"

    def stretch(
        self,
        wav: NDArray[np.float32],
        samplerate: int,
        stretch: Stretch,
        frames: int,
        *,
        speech: bool,
    ) -> NDArray[np.float32]:
        """Stretches `[T, C]` within ±0.5 to at most `[frames, C]`.

        Raises:
            AudioError: the program cannot be started, failed, or gave something else than audio.
        """
        command = [self.program, "stdin", "stdout"]
        command += [f"-tempo={stretch.tempo:.6f}", f"-pitch={stretch.pitch}"]
        command += ["-speech"] if speech else []
        try:
            done = subprocess.run(
                command, input=_encode(wav, samplerate), capture_output=True, check=False
            )
        except OSError as error:
            raise AudioError(f"{self.program} cannot be started ({error}): {REMEDY}") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            reason = said[-1].strip() if said else "no message"
            raise AudioError(
                f"{' '.join(command)} failed with exit code {done.returncode} ({reason}): {REMEDY}"
            )
        return _decode(done.stdout, wav.shape[1])[:frames]


def _encode(wav: NDArray[np.float32], samplerate: int) -> bytes:
    """32-bit integer wav, the widest that soundstretch reads (it takes floats for integers)."""
    body: bytes = (wav * FULL_SCALE).astype("<i4").tobytes()
    frame = BYTES * wav.shape[1]
    layout = struct.pack(
        "<HHIIHH", 1, wav.shape[1], samplerate, samplerate * frame, frame, 8 * BYTES
    )
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"data" + struct.pack("<I", len(body))
    return b"".join(
        [b"RIFF", struct.pack("<I", 4 + len(chunks) + len(body)), b"WAVE", chunks, body]
    )


def _decode(data: bytes, channels: int) -> NDArray[np.float32]:
    """Samples of a wav from a pipe, `[T, C]`.

    Its sizes say zero, and the header that a seek would have overwritten stands once more at the
    end, so both are cut off by its length.
    """
    header = data.find(b"data") + 8
    if header < 8 or len(data) < 2 * header:
        raise AudioError(f"soundstretch gave {len(data)} bytes that are not a wav: {REMEDY}")
    count = (len(data) - 2 * header) // (BYTES * channels) * channels
    samples = np.frombuffer(data, dtype="<i4", count=count, offset=header).astype(np.float32)
    samples /= FULL_SCALE
    return samples.reshape(-1, channels)
