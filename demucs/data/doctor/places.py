"""Tracks of a dataset on disk: splits, folders of files, stem files, files of other datasets."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from demucs.data.official import stem_streams
from demucs.data.readers import MIXTURE, STEM_SUFFIX, WavFolder
from demucs.data.tracks import SPLITS
from demucs.errors import DatasetError
from demucs.files import AUDIO_SUFFIXES


@dataclass(frozen=True, slots=True)
class Source:
    """An audio file, or one audio stream of it."""

    path: Path
    stream: int | None = None  # of a file that ffmpeg decodes; None: the only one


@dataclass(frozen=True, slots=True)
class Place:
    """A track on disk: `mixture` (perhaps) and stems by name; names of files that are not read."""

    split: str
    name: str
    sources: Mapping[str, Source]
    unread: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.split}/{self.name}"

    @property
    def bytes(self) -> int:
        """Size of its files, by which progress is told."""
        return sum(_size(path) for path in {source.path for source in self.sources.values()})


def dataset_places(root: Path, sources: Sequence[str] | None = None) -> list[Place]:
    """Tracks of `root/{train,valid,test}`, by split and name.

    Args:
        root: the dataset folder.
        sources: stems to look at; None is all that are there.

    Raises:
        DatasetError: no such folder, no split in it, or no track in its splits.
        MissingToolError: stem files, and no package that knows their streams.
    """
    _check_folder(root)
    splits = [split for split in SPLITS if os.path.lexists(root / split)]
    for split in splits:
        if not (root / split).is_dir():
            raise DatasetError(
                f"{root / split} is not a folder: put a folder of songs there, or take it away"
            )
    if not splits:
        raise DatasetError(
            f"{root} has no folder {', '.join(SPLITS)}: give the folder that holds "
            "train/NAME/SOURCE.wav, or train/NAME.stem.mp4"
        )
    places = [place for split in splits for place in _tracks(root / split, split)]
    if not places:
        raise DatasetError(
            f"The splits of {root} ({', '.join(splits)}) hold no track: each needs a folder NAME/ "
            f"with SOURCE.wav files, or NAME{STEM_SUFFIX} files"
        )
    return [_chosen(place, sources) for place in places]


def other_places(root: Path) -> list[Place]:
    """Songs of a folder to compare with: a dataset, or audio files at any depth.

    Of a track with a mixture nothing else is kept.

    Raises:
        DatasetError: no such folder, or no audio in it.
        MissingToolError: stem files, and no package that knows their streams.
    """
    _check_folder(root)
    if any((root / split).is_dir() for split in SPLITS):
        places = dataset_places(root)
        return [_chosen(p, []) if MIXTURE in p.sources else p for p in places]
    songs = _songs(root, root)
    if not songs:
        raise DatasetError(f"{root} holds no audio to compare with: give a folder of songs")
    return songs


def _tracks(folder: Path, split: str) -> list[Place]:
    """Tracks of a split by name; a folder of files wins over a stem file of the same name."""
    songs: dict[str, Place] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            reader = WavFolder(entry)
            files = {name: Source(path) for name, path in sorted(reader.files.items())}
            songs[entry.name] = Place(split, entry.name, files, reader.unread)
        elif entry.name.endswith(STEM_SUFFIX):
            name = entry.name[: -len(STEM_SUFFIX)]
            streams = {source: Source(entry, k) for source, k in stem_streams().items()}
            songs.setdefault(name, Place(split, name, streams))
    return [songs[name] for name in sorted(songs)]


def _songs(folder: Path, root: Path) -> list[Place]:
    """Mixtures and loose files at any depth, each a track of itself."""
    mixture = WavFolder(folder).files.get(MIXTURE)
    if mixture is not None:
        return [_song(folder, root, Source(mixture))]
    files = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            files += _songs(entry, root)
        elif entry.name.endswith(STEM_SUFFIX):
            files.append(_song(entry, root, Source(entry, stem_streams()[MIXTURE])))
        elif entry.suffix.lower() in AUDIO_SUFFIXES:
            files.append(_song(entry, root, Source(entry)))
    return files


def _song(path: Path, root: Path, source: Source) -> Place:
    return Place(root.name, str(path.relative_to(root)), {MIXTURE: source})


def _chosen(place: Place, sources: Sequence[str] | None) -> Place:
    if sources is None:
        return place
    kept = {k: v for k, v in place.sources.items() if k == MIXTURE or k in sources}
    return replace(place, sources=kept)


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DatasetError(f"{root} {what}: give the folder of a dataset")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
