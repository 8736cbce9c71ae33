"""The decoder of audio files: one stream of samples, whatever the file consists of.

libsndfile decodes, and ffmpeg what it does not know or would not read to the end. A file is read
from its first sample to its last, through all the streams that it consists of, and what came out is
held against what the file tells of itself.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from demucs.audio.convert import BlockResampler
from demucs.audio.links import Decoder, Links
from demucs.audio.sndfile import Samples, SndfileDecoder
from demucs.errors import AudioError

BLOCK = 2**18  # frames decoded at a time


class AudioStream(AbstractContextManager["AudioStream"]):
    """An open audio file, as samples `[T, C]`, float32 with full scale at 1.

    A file of several streams, as of files that were joined end to end, has the highest of their
    rates and the most of their channels.

    Args:
        path: the file.
        track: number of the audio stream of a file that ffmpeg decodes, as a stem file; None is the
            first of any file.
        warn: log what is doubtful; false where it was said before, or only a part is wanted.

    Attributes:
        samplerate: Hz.
        channels: left and right come first.
        frames: samples that there should be; None if only decoding tells.
        lossy: coded so that these are not the samples that were put in.
        floating: samples beyond full scale are possible.

    Raises:
        AudioError: the file is missing, empty or unreadable, or ends before its header tells.
        MissingToolError: a `track` is asked for, and ffmpeg is not installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, track: int | None = None, warn: bool = True
    ) -> None:
        self.path = checked(path)
        self._links = Links(self.path, track, warn)
        decoders = [self._links.open(self._links.links[0])]
        try:
            decoders += self._open_others()
            self.samplerate = max(decoder.samplerate for decoder in decoders)
            self.channels = max(decoder.channels for decoder in decoders)
            self.frames = self._length(decoders)
            self.lossy, self.floating = decoders[0].lossy, decoders[0].floating
        except BaseException:
            decoders[0].close()
            raise
        self._first: Decoder | None = decoders[0]
        self._wanted, self._rest = BLOCK, np.zeros((0, self.channels), np.float32)
        self._skipped = 0  # samples of the only link that were not decoded
        self._blocks = self._converted()

    @property
    def doubts(self) -> list[str]:
        """What is wrong with the file though it was read, known at its end."""
        return self._links.doubts

    def read(self, frames: int) -> Samples:
        """The next `[T, C]`; fewer than `frames` only at the end, then none.

        Raises:
            AudioError: the rest cannot be decoded, or samples that a header counts are missing.
        """
        parts, count = [self._rest] if len(self._rest) else [], len(self._rest)
        while count < frames:
            self._wanted = min(BLOCK, frames - count)
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            count += len(block)
        if not parts:
            return self._rest
        joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self._rest = joined[frames:]
        return joined[:frames]

    def blocks(self, frames: int | None = None) -> Iterator[Tensor]:
        """The next `frames`, or the rest, in blocks `[C, T]`. Errors are those of `read`."""
        while frames is None or frames > 0:
            samples = self.read(BLOCK if frames is None else min(frames, BLOCK))
            if not len(samples):
                return
            frames = None if frames is None else frames - len(samples)
            yield torch.from_numpy(samples.T.copy())

    def skip(self, frames: int) -> None:
        """Goes forward by `frames` samples from the first, or to the end."""
        first = self._first
        if first is not None and first.can_seek and len(self._links.links) == 1 and frames:
            assert first.frames is not None
            assert isinstance(first, SndfileDecoder)
            self._skipped = min(frames, first.frames)
            first.seek(self._skipped)
            return
        while frames > 0 and (count := len(self.read(min(frames, BLOCK)))):
            frames -= count

    def close(self) -> None:
        """Ends what decodes; what was not read is not held against the header."""
        self._blocks.close()
        if self._first is not None:
            self._first.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_others(self) -> list[Decoder]:
        """Decoders of the links after the first, which are closed again."""
        others = [self._links.open(link) for link in self._links.links[1:]]
        for decoder in others:
            decoder.close()
        return others

    def _length(self, decoders: list[Decoder]) -> int | None:
        lengths = [
            None if decoder.frames is None
            else decoder.frames * self.samplerate // decoder.samplerate
            for decoder in decoders
        ]  # fmt: skip
        return None if None in lengths else sum(length or 0 for length in lengths)

    def _converted(self) -> Generator[Samples, None, None]:
        """All links, at one rate and with as many channels each."""
        for link in self._links.links:
            decoder = self._first if self._first is not None else self._links.open(link)
            self._first = None
            rate = decoder.samplerate
            blocks = self._links.decoded(link, decoder, lambda: self._wanted, lambda: self._skipped)
            widened = (_widened(block, self.channels) for block in blocks)
            yield from (
                widened
                if rate == self.samplerate
                else _resampled(widened, BlockResampler(rate, self.samplerate))
            )


def _widened(samples: Samples, channels: int) -> Samples:
    """`[T, c]` to `[T, channels]`: mono is left and right, and missing channels are silent."""
    present = samples.shape[1]
    if present == channels:
        return samples
    wide = np.zeros((len(samples), channels), np.float32)
    wide[:, : 2 if present == 1 else present] = samples
    return wide


def _resampled(blocks: Iterator[Samples], resampler: BlockResampler) -> Iterator[Samples]:
    pushed = False
    for block in blocks:
        pushed = True
        yield resampler.push(torch.from_numpy(block.T.copy())).numpy().T
    if pushed:
        yield resampler.finish().numpy().T


def checked(path: str | os.PathLike[str]) -> Path:
    """`path` if it is a file with something in it that we may read."""
    path = Path(path)
    try:
        if path.is_dir():
            raise AudioError(f"{path} is a folder, not an audio file: name the files in it.")
        if path.exists() and not path.is_file():
            raise AudioError(
                f"{path} is a pipe or a device, and files are read twice: copy what it gives to a "
                "file (the command reads a pipe where the track is -)."
            )
        if path.stat().st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes): copy or download it again.")
        with path.open("rb"):
            return path
    except FileNotFoundError:
        raise AudioError(f"{path} does not exist: check the name and the folder.") from None
    except PermissionError:
        raise AudioError(f"{path} cannot be read: you have no permission (chmod +r).") from None
    except (OSError, ValueError) as error:
        raise AudioError(f"{str(path)!r} cannot be read: {error}. Check the name.") from None
