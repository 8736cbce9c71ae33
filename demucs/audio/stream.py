"""The decoder of audio files: one stream of samples, whatever the file consists of.

libsndfile decodes, and ffmpeg what it does not know or would not read to the end. A file is read
from its first sample to its last, through all the streams that it consists of, and what came out is
held against what the file tells of itself.
"""

import logging
import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from demucs.audio.convert import BlockResampler
from demucs.audio.endings import CutShortError, check_header, cut_off, doubts, seems_damaged
from demucs.audio.ffmpeg import FfmpegDecoder
from demucs.audio.layout import Link, examine
from demucs.audio.sndfile import Samples, SndfileDecoder
from demucs.errors import AudioError, MissingToolError

BLOCK = 2**18  # frames decoded at a time
_FEW = 4608  # frames that a decoder may give fewer than a header of a lossy format promises
_log = logging.getLogger(__name__)

Decoder = SndfileDecoder | FfmpegDecoder


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
        doubts: what is wrong with the file though it was read, known at its end.

    Raises:
        AudioError: the file is missing, empty or unreadable, or ends before its header tells.
        MissingToolError: a `track` is asked for, and ffmpeg is not installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, track: int | None = None, warn: bool = True
    ) -> None:
        self.path = checked(path)
        self._track, self._warn, self._reason = track, warn, ""
        self.doubts: list[str] = []
        layout = examine(self.path)
        self._links, self._whole = layout.links, layout.is_whole
        if track is not None:
            self._links, self._whole = (Link(start=0, end=self.path.stat().st_size),), True
        decoders = [self._open(self._links[0])]
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
        self._from_start = True
        self._blocks = self._converted()

    def read(self, frames: int) -> Samples:
        """The next `[T, C]`; fewer than `frames` only at the end, then none.

        Raises:
            AudioError: the rest cannot be decoded, or samples that a header counts are missing.
        """
        parts, count = [self._rest], len(self._rest)
        while count < frames:
            self._wanted = min(BLOCK, frames - count)
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            count += len(block)
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
        if first is not None and first.can_seek and len(self._links) == 1 and frames:
            assert first.frames is not None
            assert isinstance(first, SndfileDecoder)
            first.seek(min(frames, first.frames))
            self._from_start = False
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

    def _open(self, link: Link) -> Decoder:
        if self._track is not None:
            return FfmpegDecoder(self.path, stream=self._track)
        decoder: Decoder
        try:
            decoder = SndfileDecoder(self.path, link, self._whole)
        except (RuntimeError, TypeError) as error:
            _log.debug("libsndfile cannot read %s (%s): trying ffmpeg", self.path, error)
            decoder = self._by_ffmpeg(link, str(error))
        try:
            check_header(self.path, link, decoder.frames, decoder.samplerate)
        except CutShortError:
            decoder.close()
            raise
        return decoder

    def _by_ffmpeg(self, link: Link, reason: str, start: int = 0) -> FfmpegDecoder:
        self._reason = reason
        try:
            return FfmpegDecoder(self.path, None if self._whole else link, start=start)
        except (AudioError, MissingToolError) as error:
            raise undecodable(self.path, reason, error) from None

    def _open_others(self) -> list[Decoder]:
        """Decoders of the links after the first, which are closed again."""
        others = [self._open(link) for link in self._links[1:]]
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
        for number, link in enumerate(self._links):
            decoder = self._first if self._first is not None else self._open(link)
            self._first = None
            resampler = None
            if decoder.samplerate != self.samplerate:
                resampler = BlockResampler(decoder.samplerate, self.samplerate)
            last = number == len(self._links) - 1
            for block in self._decoded(link, decoder, last):
                widened = _widened(block, self.channels)
                if resampler is not None:
                    widened = _resampled(resampler.push(torch.from_numpy(widened.T.copy())))
                yield widened
            if resampler is not None:
                yield _resampled(resampler.finish())

    def _decoded(self, link: Link, decoder: Decoder, last: bool) -> Iterator[Samples]:
        """The blocks of one link, by ffmpeg from where libsndfile fails or stops too early."""
        try:
            count, failure = yield from self._drained(decoder)
            if isinstance(decoder, SndfileDecoder) and self._is_short(
                link, decoder, count, failure
            ):
                if link.is_counted:
                    reason = cut_off(count, decoder.frames or count, decoder.samplerate)
                    raise CutShortError(self.path, reason)
                sign = failure or f"libsndfile stops after {count / decoder.samplerate:.2f} s"
                decoder.close()
                decoder = self._by_ffmpeg(link, str(sign), start=count)
                more, failure = yield from self._drained(decoder)
                count += more
                if more:
                    self._doubt(seems_damaged(str(sign)))
            if failure is not None:
                raise undecodable(self.path, self._reason, failure)
            self._check(link, decoder, count, last)
        finally:
            decoder.close()

    def _drained(self, decoder: Decoder) -> Generator[Samples, None, tuple[int, Exception | None]]:
        """The blocks of a decoder; returns how many samples there were, and what it failed of."""
        count = 0
        try:
            while len(block := decoder.read(self._wanted)):
                count += len(block)
                yield block
        except (RuntimeError, AudioError) as error:
            return count, error
        return count, None

    def _is_short(
        self, link: Link, decoder: SndfileDecoder, count: int, failure: Exception | None
    ) -> bool:
        if failure is not None:
            return True
        if not self._from_start or link.is_counted or link.mp3 is not None:
            return False
        return decoder.frames is not None and count < decoder.frames - _FEW

    def _check(self, link: Link, decoder: Decoder, count: int, last: bool) -> None:
        """Holds what was decoded of a link, from its first sample, against what the file tells."""
        if not self._from_start:
            return
        if isinstance(decoder, FfmpegDecoder):
            self._doubt(*decoder.doubts())
        rate = decoder.samplerate
        self._doubt(*doubts(self.path, link, count, decoder.frames, rate, last=last))

    def _doubt(self, *sentences: str) -> None:
        self.doubts += sentences
        for sentence in sentences if self._warn else ():
            _log.warning("%s %s.", self.path, sentence)


def _widened(samples: Samples, channels: int) -> Samples:
    """`[T, c]` to `[T, channels]`: mono is left and right, and missing channels are silent."""
    present = samples.shape[1]
    if present == channels:
        return samples
    wide = np.zeros((len(samples), channels), np.float32)
    wide[:, : 2 if present == 1 else present] = samples
    return wide


def _resampled(wav: Tensor) -> Samples:
    samples: Samples = wav.numpy().T
    return samples


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


def undecodable(path: Path, sndfile: str, ffmpeg: Exception) -> AudioError:
    """What is said of a file that neither decoder reads."""
    return AudioError(
        f"{path} cannot be decoded. libsndfile: {sndfile.rstrip('.')}. ffmpeg: "
        f"{str(ffmpeg).rstrip('.')}. Check that it is an audio file and that it is complete."
    )
