"""The streams of a file one by one: which decoder reads each, and what is to be said of it."""

import logging
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from demucs.audio.endings import CutShortError, check_header, doubts, seems_damaged
from demucs.audio.ffmpeg import FfmpegDecoder
from demucs.audio.layout import Layout, Link, examine
from demucs.audio.sndfile import Samples, SndfileDecoder
from demucs.errors import AudioError, MissingToolError

Decoder = SndfileDecoder | FfmpegDecoder

_FEW = 4608  # frames that a decoder may give fewer than a header of a lossy format promises
_log = logging.getLogger(__name__)


class Links:
    """The streams of a file.

    Args:
        path: the file.
        track: number of the audio stream that ffmpeg is to decode; None is the first of any file.
        warn: log what is doubtful.

    Attributes:
        links: the streams in their order.
        doubts: what is wrong with the file though it was read.
    """

    def __init__(self, path: Path, track: int | None, warn: bool) -> None:
        layout = examine(path)
        if track is not None:
            layout = Layout((Link(start=0, end=path.stat().st_size),), is_whole=True)
        self.links, self._whole = layout.links, layout.is_whole
        self.doubts: list[str] = []
        self._path, self._track, self._warn, self._reason = path, track, warn, ""

    def open(self, link: Link) -> Decoder:
        """The decoder of a link.

        Raises:
            AudioError: it cannot be decoded, or ends before its header tells.
            MissingToolError: a track is asked for, and ffmpeg is not installed.
        """
        if self._track is not None:
            return FfmpegDecoder(self._path, stream=self._track)
        decoder: Decoder
        try:
            decoder = SndfileDecoder(self._path, link, self._whole)
        except (RuntimeError, TypeError) as error:
            _log.debug("libsndfile cannot read %s (%s): trying ffmpeg", self._path, error)
            decoder = self._by_ffmpeg(link, str(error))
        try:
            check_header(self._path, link, decoder.frames, decoder.samplerate)
        except CutShortError:
            decoder.close()
            raise
        return decoder

    def _by_ffmpeg(self, link: Link, reason: str, start: int = 0) -> FfmpegDecoder:
        self._reason = reason
        try:
            return FfmpegDecoder(self._path, None if self._whole else link, start=start)
        except (AudioError, MissingToolError) as error:
            raise undecodable(self._path, reason, error) from None

    def decoded(
        self, link: Link, decoder: Decoder, wanted: Callable[[], int], skipped: Callable[[], int]
    ) -> Iterator[Samples]:
        """The blocks `[T, C]` of a link, by ffmpeg from where libsndfile fails or stops too early.

        Args:
            link: the stream.
            decoder: of it; is closed at the end.
            wanted: how many samples the next block should have.
            skipped: how many samples were passed over; what is left then says nothing of a length.

        Raises:
            AudioError: the rest cannot be decoded, or samples that a header counts are missing.
        """
        try:
            count, failure = yield from _drained(decoder, wanted)
            count += skipped()
            short = not skipped() and _is_short(link, decoder, count)
            if isinstance(decoder, SndfileDecoder) and (failure is not None or short):
                if link.is_counted:
                    rate = decoder.samplerate
                    reason = (
                        f"not all of its {(decoder.frames or count) / rate:.2f} s can be decoded"
                    )
                    raise CutShortError(self._path, reason)
                decoder, more, failure = yield from self._rest(
                    link, decoder, wanted, count, failure
                )
                count += more
            if failure is not None:
                raise undecodable(self._path, self._reason, failure)
            if not skipped():
                self._check(link, decoder, count)
        finally:
            decoder.close()

    def _rest(
        self,
        link: Link,
        first: SndfileDecoder,
        wanted: Callable[[], int],
        count: int,
        failure: Exception | None,
    ) -> Generator[Samples, None, tuple[Decoder, int, Exception | None]]:
        """What ffmpeg decodes after `count` samples, where libsndfile failed or simply stopped."""
        sign = str(failure or f"libsndfile stops after {count / first.samplerate:.2f} s")
        try:
            decoder = self._by_ffmpeg(link, sign, start=count)
        except AudioError:
            if failure is not None:
                raise
            self._doubt(seems_damaged(sign))
            return first, 0, None
        first.close()
        more, second = yield from _drained(decoder, wanted)
        if more or failure is None:
            self._doubt(seems_damaged(sign))
        return decoder, more, second if failure is not None else None

    def _check(self, link: Link, decoder: Decoder, count: int) -> None:
        """Holds what was decoded of a link, from its first sample, against what the file tells."""
        if isinstance(decoder, FfmpegDecoder):
            self._doubt(*decoder.doubts())
        rate = decoder.samplerate
        self._doubt(*doubts(self._path, link, count, decoder.frames, rate, links=self.links))

    def _doubt(self, *sentences: str) -> None:
        self.doubts += sentences
        for sentence in sentences if self._warn else ():
            _log.warning("%s %s.", self._path, sentence)


def _drained(
    decoder: Decoder, wanted: Callable[[], int]
) -> Generator[Samples, None, tuple[int, Exception | None]]:
    """The blocks of a decoder; returns how many samples there were, and what it failed of."""
    count = 0
    try:
        while len(block := decoder.read(wanted())):
            count += len(block)
            yield block
    except (RuntimeError, AudioError) as error:
        return count, error
    return count, None


def _is_short(link: Link, decoder: Decoder, count: int) -> bool:
    """True if libsndfile has left out a part, as after damage in the middle of an ogg."""
    if link.is_counted or link.mp3 is not None or decoder.frames is None:
        return False
    return count < decoder.frames - _FEW


def undecodable(path: Path, sndfile: str, ffmpeg: Exception) -> AudioError:
    """What is said of a file that neither decoder reads."""
    return AudioError(
        f"{path} cannot be decoded. libsndfile: {sndfile.rstrip('.')}. ffmpeg: "
        f"{str(ffmpeg).rstrip('.')}. Check that it is an audio file and that it is complete."
    )
