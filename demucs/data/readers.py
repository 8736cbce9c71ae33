"""Readers of one track's samples: a folder of audio files, or one MUSDB18 stem file.

Of wav, flac and stem files the frames that are asked for are decoded, not the file. Tensors are
`[C, T]` float32 with the channels of the file; frames past the end are left out.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from demucs.audio.endings import CutShortError
from demucs.audio.ffmpeg import probe
from demucs.audio.parts import part_info, read_part
from demucs.audio.stream import checked
from demucs.data.official import stem_streams
from demucs.errors import AudioError, MissingToolError
from demucs.files import AUDIO_SUFFIXES, list_folder

MIXTURE = "mixture"
NOT_AUDIO = f"is not read, as its name ends in none of {', '.join(AUDIO_SUFFIXES)}"
STEM_SUFFIX = ".stem.mp4"


class Header(NamedTuple):
    """What a file says about itself: Hz, channels and length in frames."""

    samplerate: int
    channels: int
    frames: int


class TrackReader(Protocol):
    """One track on disk, source by source."""

    @property
    def name(self) -> str: ...
    @property
    def location(self) -> Path: ...
    @property
    def sources(self) -> tuple[str, ...]: ...
    def path(self, source: str) -> Path: ...
    def header(self, source: str) -> Header: ...
    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor: ...


# An entry of a split's folder to its reader, or to None where it is none of that layout.
Layout = Callable[[Path], TrackReader | None]
LAYOUTS: list[Layout] = []


def register_layout(layout: Layout) -> Layout:
    """Decorates a function that reads songs laid out in one's own way; it is asked before ours.

    Its readers are sent to the processes that read audio, so they must be picklable.
    """
    LAYOUTS.append(layout)
    return layout


class WavFolder:
    """A folder with an audio file for each source, and maybe for `mixture`.

    Of several files of one name that of the kind which stands first in `AUDIO_SUFFIXES` is read.

    Attributes:
        files: those that are read, by source.
        unread: names of the other files; `SOURCE.txt` and the like are among them.

    Raises:
        PathError: the folder cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = [file for file in _entries(folder) if not file.name.startswith(".")]
        known = [file for file in names if file.suffix.lower() in AUDIO_SUFFIXES]
        known.sort(key=lambda file: AUDIO_SUFFIXES.index(file.suffix.lower()), reverse=True)
        self.files: Mapping[str, Path] = {file.stem: file for file in known}
        read = set(self.files.values())
        self.unread = tuple(file.name for file in names if file not in read)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def location(self) -> Path:
        return self.folder

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.files)

    def path(self, source: str) -> Path:
        return self.files.get(source, self.folder / f"{source}.wav")

    def header(self, source: str) -> Header:
        """Raises AudioError if the file cannot be read, or has a header that is wrong."""
        info = part_info(self.path(source))
        return Header(info.samplerate, info.channels, info.frames)

    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor:
        """Reads `[C, T]`, `T <= frames`.

        Raises:
            AudioError: the file cannot be read.
        """
        return read_part(self.path(source), start, frames)


def missing(reader: TrackReader, source: str) -> str:
    """What is said of a source that a track does not have."""
    others = [name for name in getattr(reader, "unread", ()) if Path(name).stem == source]
    note = f" ({', '.join(others)} {NOT_AUDIO}: write it as wav or flac)" if others else ""
    return f"{reader.path(source)} is missing{note}"


def _entries(folder: Path) -> list[Path]:
    """The files of a folder, in order."""
    return [file for file in list_folder(folder) if not file.is_dir()] if folder.is_dir() else []


class StemFile:
    """A MUSDB18 `NAME.stem.mp4`: five AAC streams, which ffmpeg decodes."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._headers: dict[str, Header] = {}

    @property
    def name(self) -> str:
        return self.file.name[: -len(STEM_SUFFIX)]

    @property
    def location(self) -> Path:
        return self.file

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(stem_streams())

    def path(self, source: str) -> Path:
        return self.file

    def header(self, source: str) -> Header:
        """What the container says of a stream.

        Raises:
            AudioError: ffmpeg cannot read the file, or it lacks the stream.
            MissingToolError: ffmpeg is not installed.
        """
        if source not in self._headers:
            checked(self.file)
            with self._named_errors(source):
                probed = probe(self.file, stream=stem_streams()[source])
            frames = round((probed.seconds or 0) * probed.samplerate)
            self._headers[source] = Header(probed.samplerate, probed.channels, frames)
        return self._headers[source]

    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor:
        """Decodes `[C, T]`, `T <= frames`, equal to that range of the whole decoded file.

        Raises:
            AudioError: the file cannot be decoded.
            MissingToolError: ffmpeg is not installed.
        """
        header = self.header(source)
        start = min(start, header.frames)
        stop = header.frames if frames is None else min(start + frames, header.frames)
        if stop <= start:
            return torch.zeros(header.channels, 0)
        with self._named_errors(source):
            wav = read_part(self.file, start, stop - start, track=stem_streams()[source])
        return F.pad(wav, (0, stop - start - wav.shape[1]))  # a stream may end a block early

    @contextmanager
    def _named_errors(self, source: str) -> Iterator[None]:
        """Errors of ffmpeg, which do not name the file, with its name and a remedy."""
        try:
            yield
        except MissingToolError as error:
            raise MissingToolError(f"{self.file}: {error}") from error
        except AudioError as error:
            reason = error.reason if isinstance(error, CutShortError) else str(error)
            raise AudioError(
                f"{self.file} cannot be read ({source}: {reason.rstrip('.')}): "
                "copy or convert it again, or move its track out of the dataset"
            ) from error
