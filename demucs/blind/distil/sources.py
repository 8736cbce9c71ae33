"""The audio files of a folder, each content once, with the names that songs made of them get."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from demucs.data.readers import MIXTURE
from demucs.errors import DatasetError
from demucs.files import SONG_SUFFIXES, is_song
from demucs.release.provenance import file_sha256

_LONGEST = 150  # bytes of a name; file systems take 255, and others add to it
_NUMBERED = re.compile(r"_\d{4}$")  # as the excerpts of a file end


@dataclass(frozen=True)
class SourceFile:
    """A file that may become training data.

    Attributes:
        path: where it is.
        file: its path below the folder, with slashes.
        name: of the songs made of it.
        bytes: its size; 0 if that cannot be found out.
        mark: of its size and time: while it is the same, so is the file.
        stems: the true stems beside a `mixture`, by name; for experiments only.
    """

    path: Path
    file: str
    name: str
    bytes: int = 0
    mark: str = ""
    stems: Mapping[str, Path] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Names the file of its scores."""
        return hashlib.sha256(os.fsencode(self.file)).hexdigest()[:16]

    @property
    def frames(self) -> int:
        """By which work is divided (`demucs.evaluation.results.shards.share_of`)."""
        return self.bytes


def find_sources(folder: Path, *, skip: Path | None = None) -> list[SourceFile]:
    """Audio files at any depth, by path; of a folder with a `mixture`, that alone.

    Hidden files and folders are left out.

    Args:
        folder: where to look.
        skip: a folder that is not looked into: what is being made may lie inside.

    Raises:
        DatasetError: there is no such folder, a part of it cannot be read, or it has no audio.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DatasetError(f"{folder} {what}: give a folder of audio files")
    pairs = [(path, stems) for path, stems in _walk(folder, skip)]
    if not pairs:
        raise DatasetError(
            f"{folder} holds no audio ({', '.join(SONG_SUFFIXES)}): give another folder"
        )
    files = [path.relative_to(folder).as_posix() for path, _ in pairs]
    names = _names(files, [bool(path.stem == MIXTURE) for path, _ in pairs])
    return [
        SourceFile(path, file, name, *_size(path), stems)
        for (path, stems), file, name in zip(pairs, files, names, strict=True)
    ]


def distinct(files: Sequence[SourceFile]) -> tuple[list[SourceFile], dict[str, str]]:
    """The first of each content, and of the others, by `file`, which one they are like.

    Only files of one size are read.
    """
    sizes = Counter(file.bytes for file in files)
    first: dict[str, str] = {}
    kept, again = [], {}
    for file in files:
        if file.bytes and sizes[file.bytes] > 1:
            try:
                digest = file_sha256(file.path)
            except OSError:  # reading it tells what is wrong
                digest = file.file
            if first.setdefault(digest, file.file) != file.file:
                again[file.file] = first[digest]
                continue
        kept.append(file)
    return kept, again


def _walk(folder: Path, skip: Path | None) -> Iterable[tuple[Path, Mapping[str, Path]]]:
    def told(error: OSError) -> None:
        raise DatasetError(
            f"{error.filename} cannot be read ({error.strerror}): check its permissions"
        )

    left_out = {os.path.realpath(skip)} if skip else set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=told):
        real = os.path.realpath(place)
        if real in left_out:  # also a link that leads to where one has been
            folders.clear()
            continue
        left_out.add(real)
        folders[:] = sorted(name for name in folders if name[0] != ".")
        audio = [Path(place, name) for name in sorted(names) if is_song(name)]
        mixtures = [path for path in audio if path.stem == MIXTURE]
        if mixtures:
            yield mixtures[0], {one.stem: one for one in audio if one.stem != MIXTURE}
        else:
            yield from ((path, {}) for path in audio)


def _size(path: Path) -> tuple[int, str]:
    try:
        status = path.stat()
    except OSError:
        return 0, ""
    return status.st_size, f"{status.st_size}/{status.st_mtime_ns}"


def _names(files: Sequence[str], mixtures: Sequence[bool]) -> list[str]:
    """A name for each file, no two of them alike even where capitals do not count."""
    plain = [_plain(file, mixture) for file, mixture in zip(files, mixtures, strict=True)]
    alike: dict[str, int] = defaultdict(int)
    for name in plain:
        alike[name.casefold()] += 1
    names = []
    for file, name in zip(files, plain, strict=True):
        if alike[name.casefold()] > 1 or _NUMBERED.search(name):
            name = f"{name}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:8]}"
        names.append(name)
    return names


def _plain(file: str, mixture: bool) -> str:
    """`Artist/Album/Song.mp3` → `Artist - Album - Song`; of a mixture, its folder's."""
    path = PurePosixPath(file)
    parts = path.parts[:-1] if mixture and len(path.parts) > 1 else (*path.parts[:-1], path.stem)
    name = " - ".join(parts).encode(errors="replace").decode()
    name = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "_", name).strip(" .") or "song"
    while len(name.encode()) > _LONGEST:
        name = name[:-1]
    return name.lstrip("-.").rstrip(" .") or "song"
