"""Readers of one track's samples: a folder of audio files, or one MUSDB18 stem file.

Of wav, flac and stem files the frames that are asked for are decoded, not the file. Tensors are
`[C, T]` float32 with the channels of the file; frames past the end are left out.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from demucs.audio.parts import part_info, read_part
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
    told = f" ({', '.join(others)} {NOT_AUDIO}: write it as wav or flac)" if others else ""
    return f"{reader.path(source)} is missing{told}"


def _entries(folder: Path) -> list[Path]:
    """The files of a folder, in order."""
    return [file for file in list_folder(folder) if not file.is_dir()] if folder.is_dir() else []


class StemFile:
    """A MUSDB18 `NAME.stem.mp4`: five AAC streams, decoded by stempeg through ffmpeg."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._info: Any = None

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
        """Raises AudioError if ffmpeg cannot read the file or it lacks the stream."""
        info, stream = self._probe(), self._stream(source)
        return Header(
            int(info.sample_rate(stream)), int(info.channels(stream)), int(info.samples(stream))
        )

    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor:
        """Decodes `[C, T]`, `T <= frames`, equal to that range of the whole decoded file.

        ffmpeg seeks by time, so decoding starts on a whole second, which is exact at any sample
        rate, and is cut to the sample. It starts a second early: a block of AAC overlaps the one
        before, and not every ffmpeg may decode that one by itself (5.1 does).

        Raises:
            AudioError: the file cannot be decoded.
            MissingToolError: ffmpeg or stempeg is not installed.
        """
        rate, channels, length = self.header(source)
        start = min(start, length)
        stop = length if frames is None else min(start + frames, length)
        if stop <= start:
            return torch.zeros(channels, 0)
        first = max(0, start // rate - 1)
        try:
            samples, _ = load_stempeg().read_stems(
                str(self.file),
                start=first,
                duration=-(-stop // rate) - first,
                stem_id=self._stream(source),
                dtype=np.float32,
                info=self._probe(),
            )
        except MissingToolError:
            raise
        except Exception as error:  # stempeg lets the errors of several libraries through
            raise _unreadable(self.file, error) from error
        skip = start - first * rate
        wav = torch.from_numpy(np.ascontiguousarray(samples[skip : skip + stop - start].T))
        return F.pad(wav, (0, stop - start - wav.shape[1]))  # a stream may end a block early

    def _stream(self, source: str) -> int:
        stream = stem_streams()[source]
        if stream >= self._probe().nb_audio_streams:
            raise AudioError(
                f"{self.file} has {self._probe().nb_audio_streams} audio streams and none for "
                f"{source!r}: MUSDB18 stem files have {len(stem_streams())}. Download it again"
            )
        return stream

    def _probe(self) -> Any:
        if self._info is None:
            stempeg = load_stempeg()
            try:
                self._info = stempeg.Info(str(self.file))
            except Exception as error:
                raise _unreadable(self.file, error) from error
        return self._info


def load_stempeg() -> ModuleType:
    """The stempeg package, whose import fails where ffmpeg is missing.

    Raises:
        MissingToolError: ffmpeg or stempeg is not installed.
    """
    try:
        return importlib.import_module("stempeg")
    except ImportError as error:
        raise MissingToolError(
            f"Reading {STEM_SUFFIX} files needs stempeg: pip install stempeg ({error})"
        ) from error
    except RuntimeError as error:
        raise MissingToolError(
            f"Reading {STEM_SUFFIX} files needs ffmpeg and ffprobe on PATH: apt install ffmpeg"
        ) from error


def _unreadable(path: Path, error: Exception) -> AudioError:
    if not path.exists():
        return AudioError(f"{path} does not exist: check the dataset folder")
    if path.stat().st_size == 0:
        return AudioError(f"{path} is empty (0 bytes): copy it again, or remove its track")
    reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
    return AudioError(
        f"{path} cannot be read ({reason[0]}): copy or convert it again, or remove its track"
    )
