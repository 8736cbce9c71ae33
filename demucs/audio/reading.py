"""Reading audio files: any format that libsndfile or ffmpeg knows, whole or in part."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from demucs.audio.stream import AudioStream
from demucs.errors import AudioError


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds: `frames` samples in each of `channels`, at its own `samplerate` (Hz)."""

    samplerate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        return self.frames / self.samplerate


def audio_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Format and length of an audio file.

    The length is counted by decoding where no header tells it.

    Raises:
        AudioError: the file is missing, empty, unreadable, cut short, or holds no audio.
    """
    with AudioStream(path, warn=False) as stream:
        frames = stream.frames
        if frames is None:
            frames = sum(block.shape[-1] for block in stream.blocks())
        return AudioInfo(stream.samplerate, stream.channels, frames)


def read_audio(
    path: str | os.PathLike[str], *, start: int = 0, frames: int | None = None
) -> tuple[Tensor, int]:
    """Reads an audio file, or `frames` frames of it from frame `start`.

    Args:
        path: the file.
        start: first frame to read.
        frames: frames to read, fewer at the end of the file; None reads to the end.

    Returns:
        Samples `[C, T]`, float32 with full scale at 1, and the file's sample rate in Hz.

    Raises:
        AudioError: the file is missing, empty, unreadable or truncated, has no frame at `start`,
            or holds samples that are infinite or not numbers.
    """
    if start < 0 or (frames is not None and frames <= 0):
        raise AudioError(
            f"Cannot read frames={frames} from start={start} of {path}: "
            "start counts from 0 and frames from 1."
        )
    with AudioStream(path, warn=start == 0 and frames is None) as stream:
        stream.skip(start)
        blocks = list(stream.blocks(frames))
        wav = torch.cat(blocks, dim=-1) if blocks else torch.zeros(stream.channels, 0)
        check_samples(stream.path, wav.shape[-1], count_bad(wav), start)
        return wav, stream.samplerate


def count_bad(wav: Tensor) -> int:
    """How many samples are NaN or infinite."""
    return wav.numel() - int(torch.isfinite(wav).sum())


def check_samples(path: Path, frames: int, bad: int, start: int = 0) -> None:
    """Raises AudioError if there are no frames from `start` on, or `bad` samples are no numbers."""
    if frames == 0:
        where = f" from frame {start} on" if start else ""
        raise AudioError(f"{path} holds no samples{where}: there is nothing to read.")
    if bad:
        raise AudioError(
            f"{path} holds {bad} samples that are NaN or infinite: "
            "export it again, or repair it in an audio editor."
        )
