"""Parts of files for training: straight from libsndfile where it finds each sample in the file.

Of a file that has been looked at once with `part_info`, parts are read without looking again.
"""

from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from demucs.audio.layout import examine
from demucs.audio.reading import AudioInfo, audio_info
from demucs.audio.sndfile import sndfile_name
from demucs.audio.stream import AudioStream, checked
from demucs.errors import AudioError
from demucs.files import QUICK_SUFFIXES


def part_info(path: Path) -> AudioInfo:
    """Format and exact length of a file of which parts will be read.

    Raises:
        AudioError: the file is missing, empty, unreadable or cut short, or it is of a kind whose
            parts are found by its header, which is wrong.
    """
    info = audio_info(path)
    if problem := misplaced(path):
        raise AudioError(
            f"{path} {problem}: parts of it cannot be found; copy it again, or write it anew "
            "(ffmpeg -i IN OUT.wav)"
        )
    return info


def misplaced(path: Path) -> str:
    """Why samples are not where the header of a readable file has them; empty if they are."""
    if not _is_quick(path):
        return ""
    layout = examine(path)
    flac = layout.links[0].flac
    if flac is not None and flac.after is None:
        return "is cut off or damaged, as its last frame is not complete"
    if layout.is_whole and (flac is None or flac.is_plain):
        return ""
    return (
        "has a header that does not fit what it holds, as it was cut, joined, or written to a pipe"
    )


def read_part(
    path: Path, start: int = 0, frames: int | None = None, *, track: int | None = None
) -> Tensor:
    """Reads `[C, T]` float32 from sample `start` on, `T <= frames`; nothing from beyond the end.

    Args:
        path: the file.
        start: first sample.
        frames: samples; None reads to the end.
        track: number of the audio stream, as of `AudioStream`.

    Raises:
        AudioError: the file cannot be read.
        MissingToolError: a `track` is asked for, and ffmpeg is not installed.
    """
    if track is None and _is_quick(path):
        return _quick(path, start, frames)
    with AudioStream(path, track=track, warn=False) as stream:
        stream.skip(start)
        blocks = list(stream.blocks(frames))
        return torch.cat(blocks, dim=-1) if blocks else torch.zeros(stream.channels, 0)


def _quick(path: Path, start: int, frames: int | None) -> Tensor:
    try:
        with soundfile.SoundFile(sndfile_name(path)) as file:
            start = file.seek(min(start, file.frames))
            rest = file.frames - start
            count = rest if frames is None else min(frames, rest)
            samples = file.read(count, dtype=_decoded(file.subtype), always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        checked(path)
        raise AudioError(f"{path} cannot be decoded: {error}: copy or convert it again") from error
    if len(samples) < count:
        raise AudioError(
            f"{path} is cut off after {start + len(samples)} frames: copy or convert it again"
        )
    return _planar(samples)


def _is_quick(path: Path) -> bool:
    return path.suffix.lower() in QUICK_SUFFIXES


def _decoded(subtype: str) -> str:
    """As what samples are taken from libsndfile: 16 bits as they are, which we scale quicker."""
    return "int16" if subtype == "PCM_16" else "float32"


def _planar(samples: NDArray[np.int16] | NDArray[np.float32]) -> Tensor:
    """`[T, C]` to `[C, T]` floats; 16-bit integers are scaled to ±1, as libsndfile does it."""
    wav = np.empty(samples.shape[::-1], dtype=np.float32)
    scale = np.float32(2.0**-15 if samples.dtype == np.int16 else 1.0)
    for channel, row in enumerate(wav):  # quicker than a transposed copy
        np.multiply(samples[:, channel], scale, out=row)
    return torch.from_numpy(wav)
