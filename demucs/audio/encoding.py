"""Encoders of wav, flac and mp3: a file at a time, block by block."""

import errno
import os
from collections.abc import Container
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from demucs.audio.mp3_file import Mp3File
from demucs.audio.sndfile import sndfile_name
from demucs.errors import AudioError, ConfigError

FORMATS = (".wav", ".flac", ".mp3")
MP3_BITRATES, MP3_PRESETS = range(8, 321), range(2, 8)
RIFF_LIMIT = 2**32 - 2**16  # bytes of samples that a plain wav file can hold, beside its header


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How samples are kept in a file.

    Args:
        bits: 16, 24 or (wav only) 32 bits an integer sample; an mp3 has none.
        float32: samples as 32-bit floats, exactly as they are given; wav only.
        mp3_bitrate: 8 to 320 kbit/s; the encoder takes the nearest that mp3 has at the rate.
        mp3_preset: 2 (best) to 7 (fastest).
    """

    bits: int = 16
    float32: bool = False
    mp3_bitrate: int = 320
    mp3_preset: int = 2

    def check(self, path: Path, channels: int) -> None:
        """Raises ConfigError if a file of that name cannot hold what is asked of it."""
        suffix = path.suffix.lower()
        if suffix not in FORMATS:
            raise ConfigError(
                f"Cannot write {path}: the name must end in one of {', '.join(FORMATS)}."
            )
        _check_number("bits", self.bits, (16, 24, 32), "16, 24 or 32")
        if suffix == ".mp3":
            _check_number("mp3_bitrate", self.mp3_bitrate, MP3_BITRATES, "8 to 320 kbit/s")
            _check_number("mp3_preset", self.mp3_preset, MP3_PRESETS, "2 (best) to 7 (fastest)")
        if suffix == ".flac" and (self.float32 or self.bits == 32):
            raise ConfigError(
                f"Cannot write {path}: flac holds integers of 16 or 24 bits; write wav for 32 bits."
            )
        if suffix == ".mp3" and (self.float32 or channels > 2):
            raise ConfigError(
                f"Cannot write {path}: mp3 holds one or two channels "
                f"(here {channels}) and no floats; write wav."
            )
        if suffix == ".flac" and channels > 8:
            raise ConfigError(
                f"Cannot write {path}: flac holds at most 8 channels (here {channels}); write wav."
            )


def _check_number(name: str, value: object, allowed: Container[int], told: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value not in allowed:
        raise ConfigError(f"{name}={value!r}: choose a whole number, {told}.")


class Encoder(AbstractContextManager["Encoder"]):
    """Writes one file, block by block, complete once the `with` block ends.

    Args:
        path: what the file is called in messages; its suffix is the format.
        file: where it is written meanwhile.
        samplerate: Hz.
        channels: of every block.
        encoding: how.
        frames: how many there will be, if that is known. A wav file of more than 4 GiB is an
            RF64 file, which has to be known at its beginning.

    Raises:
        ConfigError: a format that cannot hold what is asked of it.
        AudioError: the file cannot be written, or a sample is infinite or not a number.
    """

    def __init__(
        self,
        path: Path,
        file: Path,
        samplerate: int,
        channels: int,
        encoding: Encoding,
        frames: int | None = None,
    ) -> None:
        encoding.check(path, channels)
        self.path, self._temporary = path, file
        self.samplerate, self.channels = samplerate, channels
        self._encoding, self._frames = encoding, frames
        self._suffix = path.suffix.lower()
        self._written = 0
        self._stack = ExitStack()
        self._file: Any = None

    def __enter__(self) -> "Encoder":
        try:
            self._file = self._stack.enter_context(self._open())
        except Exception as error:
            raise unwritable(self.path, error) from error
        return self

    def _open(self) -> AbstractContextManager[Any]:
        how = self._encoding
        if self._suffix == ".mp3":
            return Mp3File(
                self._temporary, self.samplerate, self.channels, how.mp3_bitrate, how.mp3_preset
            )
        subtype = "FLOAT" if how.float32 else f"PCM_{how.bits}"
        if self._suffix == ".flac":
            kind = "FLAC"
        elif self._is_too_much(self._frames or 0):
            kind = "RF64"
        else:
            kind = "WAVEX" if self.channels > 2 else "WAV"
        sound: AbstractContextManager[Any] = soundfile.SoundFile(
            sndfile_name(self._temporary), "w", self.samplerate, self.channels, subtype, format=kind
        )
        return sound

    def _is_too_much(self, frames: int) -> bool:
        """True if so many frames do not fit into a plain wav file."""
        width = 4 if self._encoding.float32 else self._encoding.bits // 8
        return self._suffix == ".wav" and frames * self.channels * width > RIFF_LIMIT

    def write(self, block: Tensor) -> None:
        """Appends `block` `[C, T]`. Integers saturate at full scale; floats are kept."""
        if block.dim() != 2 or block.shape[0] != self.channels:
            raise ConfigError(
                f"Cannot write samples of shape {list(block.shape)} to {self.path}: "
                f"give [{self.channels} channels, samples]."
            )
        block = block.detach().cpu()
        check_finite(self.path, block)
        self._written += block.shape[-1]
        if self._frames is None and self._is_too_much(self._written):
            raise AudioError(
                f"Cannot write {self.path}: it is longer than 4 GiB, and a wav file as long as "
                "that has to tell so at its beginning: give the number of frames, or write flac."
            )
        bits = 16 if self._suffix == ".mp3" else self._encoding.bits
        samples = block.float().numpy() if self._encoding.float32 else quantise(block, bits)
        try:
            self._file.write(np.ascontiguousarray(samples.T))
        except Exception as error:
            raise unwritable(self.path, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
            if kind is None and self._suffix != ".mp3":
                self._check_frames()
        except Exception as failure:
            if failure is error:
                raise
            raise unwritable(self.path, failure) from failure

    def _check_frames(self) -> None:
        """libsndfile does not always tell that a disk was full at the last block."""
        if soundfile.info(sndfile_name(self._temporary)).frames != self._written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def unwritable(path: Path, error: BaseException) -> AudioError:
    """What is told of a file that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return AudioError(
        f"Cannot write {path}: {reason.rstrip('.')}. Check the folder, its "
        "permissions and the space on the disk."
    )


def check_finite(path: Path, block: Tensor) -> None:
    """Raises AudioError if a file would hold samples that are no numbers."""
    if not torch.isfinite(block).all():
        raise AudioError(
            f"Not writing {path}: it would hold NaN or infinite samples. "
            "The model has diverged, or its input is far too loud."
        )


def quantise(block: Tensor, bits: int) -> "np.ndarray[Any, np.dtype[Any]]":
    """Integers of `bits` bits, in int16 or in the upper bits of int32, as soundfile takes them.

    Full scale is 2^(bits - 1), as when reading, so integers that were read are written unchanged.
    """
    full = 2 ** (bits - 1)
    rounded = (block.double() * full).round_().clamp_(-full, full - 1)
    integers = rounded.to(torch.int16) if bits == 16 else rounded.to(torch.int32) << (32 - bits)
    samples: np.ndarray[Any, np.dtype[Any]] = integers.numpy()
    return samples
