"""Files as the doctor reads them: once, from their beginning to their end, block by block."""

from demucs.audio.endings import CutShortError
from demucs.audio.parts import misplaced
from demucs.audio.sndfile import Samples
from demucs.audio.stream import AudioStream
from demucs.data.doctor.places import Source
from demucs.errors import AudioError

__all__ = ["Samples", "Stream", "open_stream"]


class Stream(AudioStream):
    """An open file, whose errors are the reason alone, without its name and a remedy."""

    def __init__(self, source: Source) -> None:
        try:
            super().__init__(source.path, track=source.stream, warn=False)
        except AudioError as error:
            raise AudioError(_reason(source, error)) from error
        self._source = source

    def read(self, frames: int) -> Samples:
        """The next samples `[T, C]`; fewer than `frames` at the end, then none.

        Raises:
            AudioError: the rest cannot be decoded.
        """
        try:
            return super().read(frames)
        except AudioError as error:
            raise AudioError(_reason(self._source, error)) from error


def open_stream(source: Source) -> Stream:
    """Opens a file, or one audio stream of it.

    Raises:
        AudioError: it cannot be read at all, or not by training; the message is the reason alone.
        MissingToolError: it needs ffmpeg, which is not installed.
    """
    stream = Stream(source)
    if source.stream is None and (problem := misplaced(source.path)):
        stream.close()
        raise AudioError(problem)
    return stream


def _reason(source: Source, error: AudioError) -> str:
    if isinstance(error, CutShortError):
        return error.reason
    return str(error).removeprefix(f"{source.path} ")
