"""Writing audio files: wav, flac and mp3, whole or block by block, never half of one."""

import os
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import lameenc
import numpy as np
import soundfile
import torch
from torch import Tensor

from demucs.audio.levels import prevent_clipping
from demucs.errors import AudioError, ConfigError
from demucs.files import atomic_path

FORMATS = (".wav", ".flac", ".mp3")


class AudioWriter(AbstractContextManager["AudioWriter"]):
    """Writes a file block by block; it appears under its name once the `with` block succeeds.

    Args:
        path: .wav, .flac or .mp3.
        samplerate: Hz.
        channels: of every block.
        bits: 16, 24 or (wav only) 32 bits an integer sample; an mp3 has none.
        float32: samples as 32-bit floats, exactly as they are given; wav only.
        mp3_bitrate: kbit/s.
        mp3_preset: 2 (best) to 7 (fastest).

    Raises:
        ConfigError: a format that cannot hold what is asked of it.
        AudioError: the file cannot be written, or a sample is infinite or not a number.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        samplerate: int,
        channels: int,
        *,
        bits: int = 16,
        float32: bool = False,
        mp3_bitrate: int = 320,
        mp3_preset: int = 2,
    ) -> None:
        self.path = Path(path)
        self.samplerate, self.channels = samplerate, channels
        self.suffix = self.path.suffix.lower()
        self.bits = 16 if self.suffix == ".mp3" else bits
        self.float32 = float32
        self.mp3_bitrate, self.mp3_preset = mp3_bitrate, mp3_preset
        self._check()
        self._stack = ExitStack()
        self._file: Any = None

    def _check(self) -> None:
        if self.suffix not in FORMATS:
            raise ConfigError(
                f"Cannot write {self.path}: the name must end in one of {', '.join(FORMATS)}."
            )
        if self.bits not in (16, 24, 32):
            raise ConfigError(f"bits={self.bits}: choose 16, 24 or 32.")
        if self.suffix == ".flac" and (self.float32 or self.bits == 32):
            raise ConfigError(
                f"Cannot write {self.path}: flac holds integers of 16 or 24 bits; "
                "write wav for 32 bits."
            )
        if self.suffix == ".mp3" and (self.float32 or self.channels > 2):
            raise ConfigError(
                f"Cannot write {self.path}: mp3 holds one or two channels "
                f"(here {self.channels}) and no floats; write wav."
            )
        if self.suffix == ".flac" and self.channels > 8:
            raise ConfigError(
                f"Cannot write {self.path}: flac holds at most 8 channels "
                f"(here {self.channels}); write wav."
            )

    def __enter__(self) -> "AudioWriter":
        try:
            temporary = self._stack.enter_context(atomic_path(self.path))
            self._file = self._stack.enter_context(self._open(temporary))
        except Exception as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise self._unwritable(error) from error
        return self

    def _open(self, temporary: Path) -> AbstractContextManager[Any]:
        if self.suffix == ".mp3":
            return _Mp3File(
                temporary, self.samplerate, self.channels, self.mp3_bitrate, self.mp3_preset
            )
        subtype = "FLOAT" if self.float32 else f"PCM_{self.bits}"
        kind = "FLAC" if self.suffix == ".flac" else "WAVEX" if self.channels > 2 else "WAV"
        sound: AbstractContextManager[Any] = soundfile.SoundFile(
            str(temporary), "w", self.samplerate, self.channels, subtype, format=kind
        )
        return sound

    def write(self, block: Tensor) -> None:
        """Appends `block` `[C, T]`. Integers saturate at full scale; floats are kept."""
        if block.dim() != 2 or block.shape[0] != self.channels:
            raise ConfigError(
                f"Cannot write samples of shape {list(block.shape)} to {self.path}: "
                f"give [{self.channels} channels, samples]."
            )
        block = block.detach().cpu()
        if not torch.isfinite(block).all():
            raise AudioError(
                f"Not writing {self.path}: it would hold NaN or infinite samples. "
                "The model has diverged, or its input is far too loud."
            )
        samples = block.float().numpy() if self.float32 else quantise(block, self.bits)
        try:
            self._file.write(np.ascontiguousarray(samples.T))
        except Exception as error:
            raise self._unwritable(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
        except Exception as failure:
            if failure is error:
                raise
            raise self._unwritable(failure) from failure

    def _unwritable(self, error: Exception) -> AudioError:
        reason = getattr(error, "strerror", None) or str(error)
        return AudioError(
            f"Cannot write {self.path}: {reason}. Check the folder, its "
            "permissions and the space on the disk."
        )


class _Mp3File(AbstractContextManager["_Mp3File"]):
    """An mp3 encoder with the few methods of a `SoundFile` that we use."""

    def __init__(
        self, path: Path, samplerate: int, channels: int, bitrate: int, preset: int
    ) -> None:
        self.file: IO[bytes] = path.open("wb")
        self.encoder = lameenc.Encoder()
        self.encoder.silence()
        self.encoder.set_bit_rate(bitrate)
        self.encoder.set_in_sample_rate(samplerate)
        self.encoder.set_channels(channels)
        self.encoder.set_quality(preset)

    def write(self, samples: "np.ndarray[Any, np.dtype[Any]]") -> None:
        self.file.write(self.encoder.encode(samples.tobytes()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.file:
            if kind is None:
                self.file.write(self.encoder.flush())


def quantise(block: Tensor, bits: int) -> "np.ndarray[Any, np.dtype[Any]]":
    """Integers of `bits` bits, in int16 or in the upper bits of int32, as soundfile takes them.

    Full scale is 2^(bits - 1), as when reading, so integers that were read are written unchanged.
    """
    full = 2 ** (bits - 1)
    rounded = (block.double() * full).round_().clamp_(-full, full - 1)
    integers = rounded.to(torch.int16) if bits == 16 else rounded.to(torch.int32) << (32 - bits)
    samples: np.ndarray[Any, np.dtype[Any]] = integers.numpy()
    return samples


def write_audio(
    path: str | os.PathLike[str],
    wav: Tensor,
    samplerate: int,
    *,
    bits: int = 16,
    float32: bool = False,
    clip: str = "rescale",
    mp3_bitrate: int = 320,
    mp3_preset: int = 2,
) -> None:
    """Writes `wav` `[C, T]` as wav, flac or mp3, by the suffix of `path`, atomically.

    Args:
        clip: "rescale", "clamp", "tanh" or "none" (`prevent_clipping`), for this signal alone;
            the stems of a track want one `common_gain`. Floats are written as they are, whatever
            it says: they cannot clip.

    The other arguments are those of `AudioWriter`.

    Raises:
        ConfigError: an unknown format or clip mode, or a format that cannot hold what is asked.
        AudioError: the file cannot be written, or the samples are none or not finite.
    """
    if wav.dim() != 2 or wav.shape[-1] == 0:
        raise AudioError(
            f"Not writing {path}: samples of shape {list(wav.shape)} are not "
            "[channels, samples] with at least one sample."
        )
    fitted = prevent_clipping(wav.detach(), clip)
    with AudioWriter(
        path,
        samplerate,
        wav.shape[0],
        bits=bits,
        float32=float32,
        mp3_bitrate=mp3_bitrate,
        mp3_preset=mp3_preset,
    ) as writer:
        writer.write(wav if float32 else fitted)
