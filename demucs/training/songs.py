"""The songs of a run, found and checked before anything is trained."""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demucs.data import Track, TrainingSet, find_tracks
from demucs.data.changes import entry_of
from demucs.data.checks import check_lengths
from demucs.data.distilled import Rating, distilled_tracks
from demucs.data.examples import segment_count
from demucs.data.mixed_set import MixedSet, Pattern
from demucs.data.silence import SilenceSet
from demucs.errors import ConfigError, DatasetError
from demucs.release.provenance import song_mark
from demucs.training.config.public_datasets import check_named
from demucs.training.config.schema import DataConfig
from demucs.training.run_config import RunConfig

logger = logging.getLogger(__name__)

DEBUG_EXAMPLES = 2


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a track to validate on; `frames` None: to its end."""

    track: Track
    start: int = 0
    frames: int | None = None

    def stems(self) -> Tensor:
        """`[S, C, T]`, as they are on disk."""
        track = self.track
        return torch.stack(
            [track.read(source, self.start, self.frames) for source in track.sources]
        )

    def normalize(self, wav: Tensor) -> Tensor:
        """Of any shape: as training normalizes the song."""
        return self.track.normalize(wav)

    def restore(self, wav: Tensor) -> Tensor:
        """What was before `normalize`."""
        mean, std = self.track.level
        return wav * std + mean


@dataclass(frozen=True, kw_only=True)
class Songs:
    """What is trained, validated and tested on; no test songs if the dataset has none."""

    training: TrainingSet | MixedSet
    valid: Sequence[Excerpt]
    test: Sequence[Track]

    @property
    def pseudo(self) -> Sequence[Track]:
        """The pseudo-labelled tracks, if there are any."""
        return self.training.pseudo.tracks if isinstance(self.training, MixedSet) else ()

    def summary(self) -> dict[str, Any]:
        """What a checkpoint remembers of the songs, as plain values.

        Returns:
            `tracks`: how many by split; `lists`: an `entry_of` each by split; `fingerprint` of
            names and lengths; `songs`: marks of those trained on.
        """
        tracks = {
            "train": self.training.tracks,
            "valid": list({id(excerpt.track): excerpt.track for excerpt in self.valid}.values()),
            "test": list(self.test),
        }
        if self.pseudo:
            tracks["pseudo"] = list(self.pseudo)
        names = [
            f"{split}/{track.name}/{track.frames}"
            for split, some in tracks.items()
            for track in some
        ]
        lists = {split: [entry_of(track) for track in some] for split, some in tracks.items()}
        if isinstance(self.training, MixedSet):
            lists["pseudo"] = [
                entry_of(track, self.training.label_hash(track.name)) for track in self.pseudo
            ]
        heard = [*self.training.tracks, *self.pseudo]
        return {
            "tracks": {split: len(some) for split, some in tracks.items()},
            "fingerprint": hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
            "lists": lists,
            "songs": sorted({song_mark(track.name, track.frames) for track in heard}),
        }


def find_songs(run: RunConfig) -> Songs:
    """Finds the songs that a configuration names.

    Raises:
        DatasetError: a folder that is missing or empty, or files that do not fit.
        ConfigError: segments or batches that the songs cannot fill.
        MissingToolError: a program that reading or augmenting needs is not installed.
    """
    options, dset = run.options, run.options.dset
    check_named(*dset.roots)
    valid = _tracks(dset, "valid")
    if not valid:
        raise DatasetError(
            f"{', '.join(dset.roots)}: no song is for validation; add a dataset with songs that "
            "tools.automix did not mix"
        )
    train = _training_tracks(dset) + (valid if dset.train_valid else [])
    labelled = TrainingSet(
        train,
        segment=dset.segment,
        shift=dset.shift,
        seed=options.seed,
        augment=run.augment,
        normalize=dset.normalize,
    )
    if len(labelled) < options.batch_size:
        raise ConfigError(
            f"batch_size={options.batch_size} is more than the {len(labelled)} segments that "
            f"{len(train)} tracks give with dset.segment={dset.segment} and "
            f"dset.shift={dset.shift}: lower batch_size or dset.shift"
        )
    training = with_pseudo(labelled, run) if options.semi.is_on else labelled
    check_lengths({track.name: track.frames / track.samplerate for track in train}, dset.segment)
    excerpts = _excerpts(valid, dset)
    if options.debug:
        excerpts = excerpts[:DEBUG_EXAMPLES]
    test = _tracks(dset, "test") if options.test.every > 0 else []
    logger.info(
        "%d tracks and %d segments to train on, %d %s to validate on, %d tracks to test on",
        len(train),
        len(labelled),
        len(excerpts),
        "tracks" if dset.full_cv else "segments",
        len(test),
    )
    return Songs(training=training, valid=excerpts, test=test)


def _training_tracks(dset: DataConfig) -> list[Track]:
    """The songs to train on; those beside `wav2` several times, where it has `wav2_weight`."""
    if dset.wav2 is None or dset.wav2_weight is None:
        return _tracks(dset, "train")
    others = [track for root in dset.roots[:-1] for track in _tracks_in(root, dset, "train")]
    added = _tracks_in(dset.wav2, dset, "train")
    counts = [
        sum(segment_count(track, dset.segment, dset.shift) for track in tracks)
        for tracks in (others, added)
    ]
    repeats = round(counts[1] / max(1, counts[0]) * (1 / dset.wav2_weight - 1))
    return others * max(1, repeats) + added


def _tracks(dset: DataConfig, split: str) -> list[Track]:
    """The tracks of one split in all datasets; those without test songs are left out of `test`."""
    tracks: list[Track] = []
    for root in dset.roots:
        if split == "test" and not (Path(root) / "test").is_dir():
            logger.info("%s has no test folder: no test on it", root)
        elif split != "valid" or root != dset.wav2 or dset.wav2_valid is not False:
            tracks += _tracks_in(root, dset, split)
    if split == "test":
        _check_names(tracks)
    return tracks


def _tracks_in(root: str, dset: DataConfig, split: str) -> list[Track]:
    return find_tracks(
        root,
        split,  # type: ignore[arg-type]
        sources=dset.sources,
        samplerate=dset.samplerate,
        channels=dset.channels,
        metadata=dset.metadata,
    )


def _check_names(tracks: Sequence[Track]) -> None:
    names = [track.name for track in tracks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"test songs of one name in two datasets: {', '.join(twice)}")


def _excerpts(tracks: Sequence[Track], dset: DataConfig) -> list[Excerpt]:
    """Whole tracks, or (`full_cv=false`) their consecutive segments, at most `valid_samples`."""
    if dset.full_cv:
        excerpts = [Excerpt(track) for track in tracks]
    else:
        size = round(dset.segment * dset.samplerate)
        excerpts = [
            Excerpt(track, start, size)
            for track in tracks
            for start in range(0, max(1, track.frames - size + 1), size)
        ]
    return excerpts[: dset.valid_samples]


def with_pseudo(labelled: TrainingSet, run: RunConfig) -> MixedSet:
    """The examples of `labelled` and of `semi.folder`.

    Raises:
        DatasetError: the folder is missing, has no songs, or songs whose labels do not fit.
        ConfigError: segments that its songs cannot fill, no stem that is silent for long enough, or
            weights by a quality that was not predicted.
    """
    semi, dset = run.options.semi, run.options.dset
    assert semi.folder is not None
    tracks, labels = distilled_tracks(
        semi.folder, sources=dset.sources, samplerate=dset.samplerate, channels=dset.channels
    )
    if semi.loss != "plain" and not all(label.predicted for label in labels):
        raise ConfigError(
            f"semi.loss={semi.loss} goes by predicted nSDR, and {semi.folder} has raw scores: "
            "distil with --calibration or --network instead of --by, or use semi=plain"
        )
    pseudo = TrainingSet(
        tracks,
        segment=dset.segment,
        shift=dset.shift,
        augment=run.augment,
        normalize=dset.normalize,
    )
    check_lengths({track.name: track.frames / track.samplerate for track in tracks}, dset.segment)
    silence = None
    if semi.silence > 0:
        silence = SilenceSet(labelled, pseudo, labels, most=semi.silence_below)
    mixed = MixedSet(
        labelled,
        pseudo,
        labels,
        pattern=Pattern.of(semi.ratio, semi.silence),
        rating=Rating(kind=semi.loss, floor=semi.floor, full=semi.full),
        silence=silence,
        unlabelled=semi.refresh,
    )
    kinds = Counter(mixed.pattern.at(place).kind for place in range(len(mixed)))
    logger.info(
        "%d labelled and %d pseudo-labelled tracks; of an epoch's %d examples, %s",
        len(labelled.tracks), len(tracks), len(mixed),
        ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
    )  # fmt: skip
    return mixed
