"""Tracks of a dataset folder, split into training, validation and test.

ROOT/train/NAME/{mixture,drums,bass,other,vocals}.wav    MUSDB18-HQ
ROOT/train/NAME.stem.mp4                                 MUSDB18
ROOT/{train,valid,test}/NAME/SOURCE.{wav,flac,mp3,...}    any sources, mixture optional
"""

import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from demucs.data.checks import check_sources
from demucs.data.metadata import Wanted, fingerprint, match_channels, measured, read_mixture
from demucs.data.official import validation_names
from demucs.data.readers import (
    LAYOUTS,
    MIXTURE,
    STEM_SUFFIX,
    StemFile,
    TrackReader,
    WavFolder,
)
from demucs.errors import AudioError, ConfigError, DatasetError
from demucs.files import SLOW_SUFFIXES, check_readable, list_folder, path_errors
from demucs.plugins import load_plugins

logger = logging.getLogger(__name__)

Split = Literal["train", "valid", "test"]
SPLITS = ("train", "valid", "test")
MIXED_FILE = "automix.json"  # in the folder of a song that tools.automix made
LABELS_FILE = "distilled.json"  # in that of a song with a teacher's stems, of tools.distil
VALID_SHARE = 10  # one track in so many, where nobody says which ones are for validation


@dataclass(frozen=True)
class Track:
    """One song and its stems.

    Attributes:
        name: the name of its folder or stem file.
        sources: names of the stems, in the order of `S`.
        samplerate: Hz.
        channels: channels of everything that is read.
        frames: length in samples.
        mean: mean of the mono mixture.
        std: standard deviation of the mono mixture.
    """

    name: str
    sources: tuple[str, ...]
    samplerate: int
    channels: int
    frames: int
    mean: float
    std: float
    reader: TrackReader

    def mark(self) -> str:
        """A hash of path, size and time of its files, which tells whether they have changed."""
        wanted = Wanted(sources=self.sources, samplerate=self.samplerate, channels=self.channels)
        return fingerprint(self.reader, wanted)

    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor:
        """Reads `[C, T]` of a source or of `mixture`, from sample `start`, at most `frames`.

        Frames past the end are left out. Without a mixture file the mixture is the sum.

        Raises:
            AudioError: the file cannot be read.
        """
        if source == MIXTURE:
            wanted = Wanted(
                sources=self.sources, samplerate=self.samplerate, channels=self.channels
            )
            return read_mixture(self.reader, wanted, start, frames)
        wav = match_channels(self.reader.read(source, start, frames), self.channels)
        # A finite sum has finite terms, and is twenty times as quick as a look at each.
        if not math.isfinite(float(wav.sum())) and not wav.isfinite().all():
            raise AudioError(
                f"{self.reader.path(source)} holds samples that are NaN or infinite: repair it, or "
                "take the track out of the dataset"
            )
        return wav

    def load(self) -> tuple[Tensor, Tensor]:
        """The whole mixture `[C, T]` and its stems `[S, C, T]`, as they are on disk."""
        stems = torch.stack([self.read(source) for source in self.sources])
        mixture = self.read(MIXTURE) if MIXTURE in self.reader.sources else stems.sum(0)
        return mixture, stems

    @property
    def level(self) -> tuple[float, float]:
        """What `normalize` subtracts, and what it divides by."""
        return self.mean, self.std + 1e-8

    def normalize(self, wav: Tensor) -> Tensor:
        """Any shape to the same: subtracts the mixture's mean, divides by its deviation."""
        mean, std = self.level
        return (wav - mean) / std


@path_errors()
def find_tracks(
    root: str | Path,
    split: Split,
    *,
    sources: Sequence[str],
    samplerate: int = 44100,
    channels: int = 2,
    metadata: str | Path | None = None,
    on_bad: Callable[[str], None] | None = None,
) -> list[Track]:
    """Lists, checks and measures the tracks of one split, sorted by name.

    `valid` is `root/valid` if it exists. Else it is taken out of `root/train`: the songs that
    MUSDB18 names, or, if none of them is there, one track in ten, chosen by name. Songs of
    `tools.automix`, whose stems are trained on elsewhere, and of `tools.distil`, whose stems are
    no truth, are never among them.

    Args:
        root: the dataset folder.
        split: `train`, `valid` or `test`.
        sources: stems to read, in the order of the model.
        samplerate: Hz of every file; another rate is an error, nothing is resampled.
        channels: channels wanted. Mono files are copied to all of them.
        metadata: folder for the cache of measurements; None measures afresh each time.
        on_bad: told each problem of tracks with bad files, which are then left out; without it
            they are an error.

    Raises:
        ConfigError: unknown split, or a source that no track has.
        DatasetError: a missing or empty folder, or bad files, all named at once.
        PathError: a folder that may not be read.
        MissingToolError: stem files, and no ffmpeg.
    """
    if split not in SPLITS:
        raise ConfigError(f"Unknown split {split!r}: use one of {', '.join(SPLITS)}")
    root = Path(root)
    carve = split != "test" and not (root / "valid").is_dir()
    folder = root / "train" if carve else root / split
    readers = _readers(folder)
    if carve:
        chosen = _held_out(root, [reader.name for reader in readers])
        readers = [r for r in readers if (r.name in chosen) == (split == "valid")]
    elif split == "train":
        _warn_of_leaks(readers, root / "valid")
    if not readers and carve and split == "valid" and not chosen:
        return []
    if not readers:
        raise DatasetError(
            f"{folder} leaves no track for {split}: add tracks, or a folder {root / 'valid'}"
        )
    wanted = Wanted(sources=tuple(sources), samplerate=samplerate, channels=channels)
    cache = None if metadata is None else _cache_file(Path(metadata), folder, split, wanted)
    return _tracks(readers, folder, wanted, cache, on_bad)


def tracks_in(
    folder: str | Path,
    *,
    sources: Sequence[str],
    samplerate: int = 44100,
    channels: int = 2,
    on_bad: Callable[[str], None] | None = None,
) -> list[Track]:
    """All tracks of one folder, `FOLDER/NAME/SOURCE.wav` or `FOLDER/NAME.stem.mp4`, by name.

    Arguments, result and errors are those of `find_tracks`.
    """
    folder = Path(folder)
    wanted = Wanted(sources=tuple(sources), samplerate=samplerate, channels=channels)
    return _tracks(_readers(folder), folder, wanted, None, on_bad)


def _tracks(
    readers: Sequence[TrackReader],
    folder: Path,
    wanted: Wanted,
    cache: Path | None,
    on_bad: Callable[[str], None] | None,
) -> list[Track]:
    """Checks and measures tracks."""
    names = (source for reader in readers for source in reader.sources)
    unread = (name for reader in readers for name in getattr(reader, "unread", ()))
    check_sources(wanted.sources, names, folder, unread)
    if any(isinstance(reader, StemFile) for reader in readers):
        logger.warning(
            "%s holds %s files, which are decoded again at each read: for training, convert them "
            "once with `python3 -m tools.decode_stems %s OUT`",
            folder,
            STEM_SUFFIX,
            folder.parent,
        )
    _warn_of_slow(readers, folder, wanted)
    stats = measured(readers, wanted, title=str(folder), cache=cache, on_bad=on_bad)
    mono = sum(one.has_mono for one in stats if one is not None)
    if mono:
        logger.warning("%s: %d tracks have mono files, copied to each channel", folder, mono)
    return [
        Track(
            reader.name,
            wanted.sources,
            wanted.samplerate,
            wanted.channels,
            one.frames,
            one.mean,
            one.std,
            reader,
        )
        for reader, one in zip(readers, stats, strict=True)
        if one is not None
    ]


def _warn_of_slow(readers: Sequence[TrackReader], folder: Path, wanted: Wanted) -> None:
    suffixes = {
        reader.path(source).suffix.lower()
        for reader in readers
        for source in wanted.sources
        if isinstance(reader, WavFolder)
    }
    slow = sorted(suffixes.intersection(SLOW_SUFFIXES))
    if slow:
        logger.warning(
            "%s holds %s files, which are decoded at each read, some from their beginning: for "
            "training, write them once as flac or wav (ffmpeg -i IN OUT.flac)",
            folder,
            ", ".join(slow),
        )


@path_errors()
def _readers(folder: Path) -> list[TrackReader]:
    """Tracks of a folder by name; a wav folder wins over a stem file of the same name.

    Layouts of plugins are asked first.

    Raises:
        DatasetError: the folder does not exist, is a file, or holds no track.
        PathError: it, or a track's folder, may not be read.
    """
    _check_is_folder(folder)
    if not folder.is_dir():
        raise DatasetError(
            f"The dataset folder {folder} does not exist: set dset.musdb=PATH (or the environment "
            f"variable DEMUCS_MUSDB), or dset.wav=PATH, to a folder that holds "
            f"{folder.name}/NAME/SOURCE.wav"
        )
    load_plugins()
    tracks: dict[str, TrackReader] = {}
    for entry in list_folder(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            check_readable(entry)
        own = next((one for layout in LAYOUTS if (one := layout(entry)) is not None), None)
        if own is not None:
            tracks[own.name] = own
        elif entry.is_dir():
            tracks[entry.name] = WavFolder(entry)
        elif entry.name.endswith(STEM_SUFFIX):
            stem = StemFile(entry)
            tracks.setdefault(stem.name, stem)
    if not tracks:
        raise DatasetError(
            f"The dataset folder {folder} is empty: it must hold one folder NAME/ with "
            f"SOURCE.wav files for each track, or NAME{STEM_SUFFIX} files"
        )
    return [tracks[name] for name in sorted(tracks)]


def _check_is_folder(folder: Path) -> None:
    for place in (folder.parent, folder):
        if place.exists() and not place.is_dir():
            raise DatasetError(
                f"{place} is a file, and a dataset is a folder with {folder.name}/NAME/SOURCE.wav: "
                "name another with dset.musdb=PATH or dset.wav=PATH, or move the file away"
            )


def _held_out(root: Path, names: Iterable[str]) -> frozenset[str]:
    """Which tracks of `train` are for validation."""
    train = root / "train"
    made = (MIXED_FILE, LABELS_FILE)
    names = sorted(name for name in names if not any((train / name / f).exists() for f in made))
    if not names:
        logger.info("%s holds mixes or pseudo-labels: no song of it is for validation", root)
        return frozenset()
    official = validation_names().intersection(names)
    if official:
        return official
    if len(names) < 2:
        raise DatasetError(
            f"{root / 'train'} holds one track, so none can be set aside for validation: "
            f"add tracks, or a folder {root / 'valid'}"
        )
    by_hash = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    chosen = frozenset(by_hash[: max(1, len(names) // VALID_SHARE)])
    logger.warning(
        "%s has no valid folder and no song of the official split: validating on %d of its %d "
        "training tracks (%s)",
        root,
        len(chosen),
        len(names),
        ", ".join(sorted(chosen)[:5]),
    )
    return chosen


def _warn_of_leaks(readers: Iterable[TrackReader], valid: Path) -> None:
    both = {reader.name for reader in readers} & {reader.name for reader in _readers(valid)}
    if both:
        logger.warning(
            "%d tracks are in train and in %s (%s): validation will look better than it is",
            len(both),
            valid,
            ", ".join(sorted(both)[:5]),
        )


def _cache_file(metadata: Path, folder: Path, split: str, wanted: Wanted) -> Path:
    key = hashlib.sha256(f"{folder.resolve()}|{split}|{wanted}".encode()).hexdigest()[:12]
    return metadata / f"{folder.parent.resolve().name}-{split}-{key}.json"
