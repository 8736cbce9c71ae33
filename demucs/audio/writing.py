"""Writing audio files: wav, flac and mp3, whole or block by block, never half of one."""

import os
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType

from torch import Tensor

from demucs.audio.encoding import Encoder, Encoding, unwritable
from demucs.audio.levels import prevent_clipping
from demucs.errors import AudioError
from demucs.files import atomic_path


class AudioWriter(AbstractContextManager["AudioWriter"]):
    """Writes a file block by block; it appears under its name once the `with` block succeeds.

    Args:
        path: .wav, .flac or .mp3.
        samplerate: Hz.
        channels: of every block.
        frames: how many there will be, if that is known; a wav file of more than 4 GiB (an RF64
            file) needs it.

    The other arguments are those of `demucs.audio.encoding.Encoding`.

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
        frames: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.samplerate, self.channels = samplerate, channels
        self._encoding = Encoding(
            bits=bits, float32=float32, mp3_bitrate=mp3_bitrate, mp3_preset=mp3_preset
        )
        self._encoding.check(self.path, channels)
        self._frames = frames
        self._stack = ExitStack()

    def __enter__(self) -> "AudioWriter":
        try:
            file = self._stack.enter_context(atomic_path(self.path))
        except OSError as error:
            raise unwritable(self.path, error) from error
        encoder = Encoder(
            self.path, file, self.samplerate, self.channels, self._encoding, self._frames
        )
        try:
            self._encoder = self._stack.enter_context(encoder)
        except Exception as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, block: Tensor) -> None:
        """Appends `block` `[C, T]`. Integers saturate at full scale; floats are kept."""
        self._encoder.write(block)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
        except OSError as failure:
            if failure is error:
                raise
            raise unwritable(self.path, failure) from failure


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
        frames=wav.shape[-1],
    ) as writer:
        writer.write(wav if float32 else fitted)
