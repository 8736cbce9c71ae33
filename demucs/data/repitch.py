"""Tempo and pitch changes through SoundTouch's command line program, by pipes.

The augmentation of Cohen-Hadria et al. (2019), as Demucs uses it: WSOLA time stretching, tuned
for speech on the voice.
"""

import io
import os
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional as F

from demucs.data.augment import Stretch
from demucs.errors import AudioError, MissingToolError

LOCAL_BUILD = os.path.join(".", "soundtouch", "build")
VOICES = frozenset({"vocals"})  # sources for which soundstretch is told that it hears speech
HEADROOM = 0.5  # peak of what is sent: the program clips at 1, and stretching can raise peaks
MARGIN = 1024  # frames read beyond the need, so that the end is music and not the flushed tail


@dataclass(frozen=True)
class Repitcher:
    """Stretches excerpts with the program at `program`."""

    program: str

    @classmethod
    def find(cls) -> "Repitcher":
        """Looks for soundstretch in ./soundtouch/build, then on PATH.

        Raises:
            MissingToolError: it is in neither.
        """
        path = os.pathsep.join([LOCAL_BUILD, os.environ.get("PATH", os.defpath)])
        program = shutil.which("soundstretch", path=path)
        if program is None:
            raise MissingToolError(
                "soundstretch, which changes tempo and pitch, is neither in ./soundtouch/build "
                "nor on PATH: apt install soundstretch, or set augment.repitch.proba=0"
            )
        return cls(os.path.abspath(program))

    @staticmethod
    def frames_needed(frames: int, stretch: Stretch) -> int:
        """Frames of input that give `frames` of output."""
        return int(np.ceil(frames * (1 + stretch.tempo / 100))) + MARGIN

    def __call__(
        self, wav: Tensor, samplerate: int, stretch: Stretch, frames: int, *, speech: bool = False
    ) -> Tensor:
        """Stretches `[C, T]` and cuts or pads the result with zeros to `[C, frames]`.

        Raises:
            AudioError: the program failed.
        """
        peak = float(wav.abs().max()) if wav.numel() else 0.0
        if peak == 0:
            return torch.zeros(wav.shape[0], frames)
        gain = HEADROOM / peak
        command = [self.program, "stdin", "stdout"]
        command += [f"-tempo={stretch.tempo:.6f}", f"-pitch={stretch.pitch}"]
        command += ["-speech"] if speech else []
        done = subprocess.run(
            command, input=_encode(wav * gain, samplerate), capture_output=True, check=False
        )
        if done.returncode != 0:
            reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise AudioError(
                f"{' '.join(command)} failed with exit code {done.returncode} {reason}: "
                "apt install soundstretch, or set augment.repitch.proba=0"
            )
        stretched = _decode(done.stdout, wav.shape[0])[:, :frames] / gain
        return F.pad(stretched, (0, frames - stretched.shape[1]))


def _encode(wav: Tensor, samplerate: int) -> bytes:
    """32-bit integer wav, the widest that soundstretch reads (it takes floats for integers)."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wav.T.numpy(), samplerate, format="WAV", subtype="PCM_32")
    return buffer.getvalue()


def _decode(data: bytes, channels: int) -> Tensor:
    """Samples of a wav from a pipe, `[C, T]`.

    Its sizes say zero, and the header that a seek would have overwritten stands once more at the
    end, so both are cut off by its length.
    """
    header = data.find(b"data") + 8
    if header < 8 or len(data) < 2 * header:
        raise AudioError(
            f"soundstretch gave {len(data)} bytes that are not a wav: apt install soundstretch "
            "or set augment.repitch.proba=0"
        )
    body = data[header:-header]
    samples = np.frombuffer(body[: len(body) // (4 * channels) * 4 * channels], dtype="<i4")
    return torch.from_numpy(samples.reshape(-1, channels).T.astype(np.float32) / 2.0**31)
