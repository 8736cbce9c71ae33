"""The tracks to separate: files, audio files in folders, standard input."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

from demucs.errors import AudioError, message_of
from demucs.files import SONG_SUFFIXES, is_song
from demucs.separate.options import STANDARD, Options
from demucs.separate.outputs import filled, identity


@dataclass(frozen=True)
class Track:
    """A file to separate.

    Attributes:
        path: as the user gave it; `-` for standard input.
        below: sub-folder of the output folder.
    """

    path: Path
    below: Path = Path()

    @property
    def is_stdin(self) -> bool:
        return self.path == STANDARD

    @property
    def name(self) -> Path:
        """The path from which the names of the stems are made."""
        return Path("stdin") if self.is_stdin else self.path

    def is_newer_than(self, outputs: list[Path]) -> bool:
        """False if all `outputs` are there and were written after the track."""
        if self.is_stdin:
            return True
        try:
            written = min(path.stat().st_mtime_ns for path in outputs)
            return self.path.stat().st_mtime_ns >= written
        except OSError:
            return True

    @contextlib.contextmanager
    def opened(self) -> Iterator[Path]:
        """The file to read, which is a temporary one for standard input.

        Raises:
            AudioError: standard input is a terminal, or does not fit on the disk.
        """
        if not self.is_stdin:
            yield self.path
            return
        if sys.stdin is None:
            raise AudioError("standard input is closed: pipe an audio file into the command.")
        if sys.stdin.isatty():
            raise AudioError("standard input is a terminal: pipe an audio file into the command.")
        with tempfile.TemporaryDirectory(prefix="demucs-") as folder:
            path = Path(folder, "standard input")  # the name that warnings show
            try:
                with path.open("wb") as file:
                    shutil.copyfileobj(sys.stdin.buffer, file)
            except OSError as error:
                raise AudioError(
                    f"standard input cannot be stored in {tempfile.gettempdir()}: "
                    f"{error.strerror}. Set TMPDIR to a folder with more space."
                ) from error
            try:
                yield path
            except AudioError as error:
                raise AudioError(str(error).replace(str(path), path.name)) from error


@dataclass
class Found:
    """The tracks that the arguments name.

    Attributes:
        tracks: to separate, each once.
        problems: folders that give no tracks, and why.
        notes: messages on files that were named twice.
    """

    tracks: list[Track]
    problems: list[tuple[Path, str]]
    notes: list[str]


def find_tracks(options: Options) -> Found:
    """Finds the tracks among the arguments and in the folders among them."""
    tracks: dict[Hashable, Track] = {}
    problems: list[tuple[Path, str]] = []
    notes: list[str] = []

    def add(track: Track) -> None:
        first = tracks.setdefault(_key(track, options.filename, options.extension), track)
        if first.path != track.path:
            notes.append(f"{track.path} is the same file as {first.path}, and is separated once")

    for path in options.tracks:
        try:
            is_folder = path.is_dir()
        except (OSError, ValueError):  # reading it as a file raises the right error
            is_folder = False
        if not is_folder:
            add(Track(path, _below(path, options.root)))
            continue
        count, before = 0, len(problems)
        for file in _files(path, options.out, options.recursive, problems):
            count += 1
            add(Track(file, _below(file, options.root or path)))
        if not count and len(problems) == before:
            more = "" if options.recursive else ", or add -r for those in its sub-folders"
            problem = f"{path} is a folder without audio files ({', '.join(SONG_SUFFIXES)})"
            problems.append((path, f"{problem}: name another{more}."))
    return Found(list(tracks.values()), problems, notes)


def _key(track: Track, pattern: str, extension: str) -> Hashable:
    """Equal for two names of one file whose stems would have the same names."""
    file = None if track.is_stdin else identity(track.path)
    if file is None:
        return track.path
    return file, track.below / filled(pattern, track.name, "stem", extension)


def _below(path: Path, root: Path | None) -> Path:
    """The sub-folder of `root` in which a file lies; none if it lies elsewhere."""
    if root is None:
        return Path()
    relative = os.path.relpath(os.path.abspath(path.parent), os.path.abspath(root))
    return Path() if Path(relative).parts[:1] == ("..",) else Path(relative)


def _files(
    folder: Path, out: Path, recursive: bool, problems: list[tuple[Path, str]]
) -> Iterator[Path]:
    """The audio files of a folder in order, without hidden ones and earlier results."""
    results = os.path.realpath(out)

    def note_error(error: OSError) -> None:
        place = Path(os.fsdecode(error.filename))
        problems.append((place, f"{message_of(error)}."))

    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=note_error):
        real = os.path.realpath(place)
        if real in seen or f"{real}{os.sep}".startswith(f"{results}{os.sep}"):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != ".") if recursive else []
        for name in sorted(names):
            if is_song(name):
                yield Path(place) / name
