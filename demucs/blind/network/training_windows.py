"""Examples to train and validate on: stretches of collected estimates, with their targets."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from demucs.blind.network.corrupt import blend, leak
from demucs.blind.network.estimate_sets import RECORD, read_stems
from demucs.blind.network.features import FRAMES, Bands, Features, extract
from demucs.blind.network.settings import DataConfig, SyntheticConfig
from demucs.blind.network.truth import Targets, levels, targets
from demucs.blind.quality import Array
from demucs.blind.records import Record
from demucs.data import Track, find_tracks
from demucs.data.changes import entry_of
from demucs.data.readers import WavFolder
from demucs.errors import DatasetError
from demucs.files import check_readable, path_errors

SILENT = -2.0  # a plane where nothing is heard: -80 dB


@dataclass(frozen=True, kw_only=True)
class Item:
    """What one teacher made of one song."""

    record: Record
    folder: Path
    track: Track

    @property
    def windows(self) -> int:
        return int(self.record.truth["level"].windows.shape[-1])

    @property
    def entry(self) -> list[Any]:
        """What a checkpoint remembers of it: the song, the teacher, and what was measured."""
        digest = hashlib.sha256(self.record.weights.encode())
        for name in TRUTHS:
            digest.update(np.asarray(self.record.truth[name].windows).tobytes())
        name = f"{self.track.name} by {self.record.teacher}"
        return entry_of(self.track, digest.hexdigest()[:12], name=name)

    def stretch(self, first: int, count: int) -> tuple[Tensor, Tensor, Targets]:
        """Mixture `[C, T]`, estimates `[S, C, T]` and targets of some windows, by the track."""
        start, frames = self.span(first, count)
        mixture = self.track.read("mixture", start, frames)
        estimates = read_stems(self.folder, self.track.sources, start, frames)
        return mixture, estimates, self.targets(first, count)

    def span(self, first: int, count: int) -> tuple[int, int]:
        """First sample and number of samples of some windows."""
        size = min(self.track.samplerate, self.track.frames)
        return first * size, count * size

    def references(self, first: int, count: int) -> Tensor:
        """True stems `[S, C, T]` of some windows."""
        start, frames = self.span(first, count)
        return torch.stack(
            [self.track.read(source, start, frames) for source in self.track.sources]
        )

    def rows(self, name: str, first: int, count: int) -> Array:
        """One truth of some windows `[S, count]`, in the order of the track's sources."""
        order = [self.record.sources.index(source) for source in self.track.sources]
        return np.asarray(self.record.truth[name].windows[order, first : first + count])

    def targets(self, first: int, count: int) -> Targets:
        level, error, active = (self.rows(name, first, count) for name in TRUTHS)
        return targets(level, error, active)


TRUTHS = ("level", "error", "active")


def find_items(data: DataConfig, split: str) -> list[Item]:
    """All estimates of a split whose teacher is wanted, by song and teacher.

    Raises:
        DatasetError: there are none, they do not fit the songs, or lack a stem.
    """
    root = Path(data.estimates)
    with path_errors():
        if root.exists():
            check_readable(root / split if (root / split).exists() else root)
    pairs = [
        (Record.load(path), path.parent) for path in sorted((root / split).glob(f"*/*/{RECORD}"))
    ]
    wanted = [pair for pair in pairs if _is_wanted(pair[0].teacher, data.teachers)]
    if not wanted:
        there = ", ".join(sorted({record.teacher for record, _ in pairs})) or "none"
        raise DatasetError(
            f"{root / split} has no estimates of teachers {list(data.teachers) or 'of any name'}; "
            f"there are: {there}. Make some with python3 -m tools.blind_estimates, or correct "
            "`estimates` and `teachers`"
        )
    tracks = _tracks(data, split, wanted[0][1])
    items = []
    for record, folder in wanted:
        track = tracks.get(record.track)
        _check(record, folder, track, data)
        assert track is not None
        items.append(Item(record=record, folder=folder, track=track))
    return items


def summary(**splits: Sequence[Item]) -> dict[str, Any]:
    """What a checkpoint remembers of the estimates of each split, see `demucs.data.changes`."""
    return {"lists": {name: [item.entry for item in items] for name, items in splits.items()}}


def _is_wanted(teacher: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(teacher, pattern) for pattern in patterns)


def _tracks(data: DataConfig, split: str, folder: Path) -> dict[str, Track]:
    header = WavFolder(folder).header(data.sources[0]) if _has(folder, data.sources) else None
    if header is None:
        raise DatasetError(
            f"{folder} has no {', '.join(data.sources)}: set `sources` to the teachers' stems"
        )
    tracks = find_tracks(
        data.songs,
        split,  # type: ignore[arg-type]
        sources=data.sources,
        samplerate=header.samplerate,
        channels=header.channels,
        metadata=data.metadata,
    )
    return {track.name: track for track in tracks}


def _has(folder: Path, sources: Sequence[str]) -> bool:
    return set(sources) <= set(WavFolder(folder).files)


def _check(record: Record, folder: Path, track: Track | None, data: DataConfig) -> None:
    if track is None:
        raise DatasetError(
            f"{folder}: there is no song {record.track} in {data.songs}: set `songs` to the "
            "dataset whose estimates these are"
        )
    header = WavFolder(folder).header(data.sources[0]) if _has(folder, data.sources) else None
    if header is None or (header.samplerate, header.channels, header.frames) != (
        track.samplerate,
        track.channels,
        track.frames,
    ):
        raise DatasetError(
            f"{folder} does not fit the song in {data.songs} (stems, rate, channels or length): "
            "move the folder away, and collect again"
        )
    lacking = [name for name in TRUTHS if name not in record.truth]
    if lacking or not set(data.sources) <= set(record.sources):
        raise DatasetError(
            f"{folder / RECORD} lacks {', '.join(lacking or data.sources)}: move it away, and "
            "collect again"
        )


def example(
    item: Item, windows: int, bands: Bands, synthetic: SyntheticConfig, rng: np.random.Generator
) -> tuple[Features, Targets]:
    """A stretch of so many windows, drawn with `rng`; a shorter song is padded."""
    count = min(windows, item.windows)
    first = int(rng.integers(item.windows - count + 1))
    mixture, estimates, target = item.stretch(first, count)
    kind = rng.random()
    if kind < synthetic.blend + synthetic.leak:
        references = item.references(first, count)
        estimates = (
            blend(references, estimates, rng)
            if kind < synthetic.blend
            else leak(references, item.track.samplerate, rng)
        )
        rate = mixture.shape[-1] // count
        level, error = (levels(wav, rate).windows for wav in (references, estimates - references))
        target = targets(level, error, item.rows("active", first, count))
    features = extract(mixture, estimates, item.track.samplerate, bands)
    return _padded(features, target, windows - count)


def _padded(features: Features, target: Targets, by: int) -> tuple[Features, Targets]:
    if by == 0:
        return features, target
    padded = Features(
        planes=F.pad(features.planes, (0, by * FRAMES), value=SILENT),
        energy=F.pad(features.energy, (0, by)),
    )
    return padded, Targets(
        nsdr=F.pad(target.nsdr, (0, by), value=float("nan")),
        active=F.pad(target.active, (0, by)),
        track_nsdr=target.track_nsdr,
        track_active=target.track_active,
        mask=F.pad(target.mask, (0, by)),
    )


def together(examples: Sequence[tuple[Features, Targets]]) -> tuple[Features, Targets]:
    """A batch: one more dimension in front."""
    heard, wanted = zip(*examples, strict=True)
    return (
        Features(**{field.name: torch.stack([getattr(h, field.name) for h in heard])
                    for field in fields(Features)}),
        Targets(**{field.name: torch.stack([getattr(w, field.name) for w in wanted])
                   for field in fields(Targets)}),
    )  # fmt: skip


def teachers_of(root: Path) -> dict[str, str]:
    """Names and weights' checksums of the teachers in a folder of estimates; empty if unknown."""
    try:
        return dict(json.loads((root / "teachers.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
