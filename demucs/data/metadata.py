"""Metadata of tracks that training needs before it reads them: length, mean and deviation.

Each track is checked while it is measured. Results are kept as JSON beside a fingerprint of the
files (paths, sizes, times) and of what was asked for, so a changed file is measured again.
"""

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from demucs.data.readers import MIXTURE, Header, TrackReader, missing
from demucs.errors import AudioError, DatasetError, PathError, message_of
from demucs.files import atomic_path, check_readable
from demucs.process.cores import core_count

logger = logging.getLogger(__name__)

VERSION = 1  # raise it when the meaning of a number below changes
BLOCK = 1 << 20  # frames read at a time
SHOWN = 8  # problems named in one error


@dataclass(frozen=True)
class TrackStats:
    """Length in frames; mean and standard deviation of the mono mixture; any mono files."""

    frames: int
    mean: float
    std: float
    has_mono: bool


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What every track must offer: sources in order, Hz, channels."""

    sources: tuple[str, ...]
    samplerate: int
    channels: int


def match_channels(wav: Tensor, channels: int) -> Tensor:
    """`[c, T]` to `[channels, T]`: mono is copied, and several are averaged to mono."""
    if wav.shape[0] == channels:
        return wav
    if wav.shape[0] == 1:
        return wav.expand(channels, -1).clone()
    assert channels == 1, (wav.shape, channels)
    return wav.mean(0, keepdim=True)


def measured(
    readers: Sequence[TrackReader],
    wanted: Wanted,
    *,
    title: str,
    cache: Path | None,
    on_bad: Callable[[str], None] | None = None,
) -> list[TrackStats | None]:
    """Stats of each track, from the cache where its files have not changed since.

    Args:
        readers: the tracks.
        wanted: what they must offer.
        title: the dataset's name in messages.
        cache: the JSON file to use, or None to measure afresh.
        on_bad: told each problem of the tracks that then get None, instead of an error.

    Raises:
        DatasetError: names every bad file (the first few, and how many) and the remedy.
        MissingToolError: stem files, and no ffmpeg.
    """
    known = _load(cache)
    prints = [fingerprint(reader, wanted) for reader in readers]
    entries = [known.get(reader.name, {}) for reader in readers]
    stale = [i for i, entry in enumerate(entries) if entry.get("fingerprint") != prints[i]]
    stats: dict[int, TrackStats | None] = {}
    for i in set(range(len(readers))).difference(stale):
        stats[i] = TrackStats(**entries[i]["stats"])
    if stale:
        logger.info("Measuring %d of %d tracks of %s", len(stale), len(readers), title)
        fresh = _measure_all([readers[i] for i in stale], wanted, title, on_bad)
        for i, one in zip(stale, fresh, strict=True):
            stats[i] = one
            if one is not None:
                known[readers[i].name] = {"fingerprint": prints[i], "stats": asdict(one)}
        _save(cache, known, {reader.name for reader in readers})
    return [stats[i] for i in range(len(readers))]


def fingerprint(reader: TrackReader, wanted: Wanted) -> str:
    """A hash of what is asked and of path, size and modification time of each file of a track."""
    parts: list[Any] = [VERSION, wanted.sources, wanted.samplerate, wanted.channels]
    for source in (*wanted.sources, MIXTURE):
        path = reader.path(source)
        try:
            stat = path.stat()
            parts.append([source, str(path.resolve()), stat.st_size, stat.st_mtime_ns])
        except OSError:
            parts.append([source, str(path), None, None])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_mixture(
    reader: TrackReader, wanted: Wanted, start: int = 0, frames: int | None = None
) -> Tensor:
    """`[C, T]` of the mixture file, or of the sum of the sources where there is none."""
    names = (MIXTURE,) if MIXTURE in reader.sources else wanted.sources
    total = match_channels(reader.read(names[0], start, frames), wanted.channels)
    for name in names[1:]:
        total = total + match_channels(reader.read(name, start, frames), wanted.channels)
    return total


def _measure_all(
    readers: Sequence[TrackReader],
    wanted: Wanted,
    title: str,
    on_bad: Callable[[str], None] | None,
) -> list[TrackStats | None]:
    with ThreadPoolExecutor(min(8, core_count())) as pool:
        outcomes = list(pool.map(lambda reader: _measure(reader, wanted), readers))
    problems = [line for outcome in outcomes if isinstance(outcome, list) for line in outcome]
    if on_bad is not None:
        for line in problems:
            on_bad(line)
    elif problems:
        lines = "".join(f"\n  - {line}" for line in problems[:SHOWN])
        more = len(problems) - SHOWN
        lines += f"\n  ... and {more} more" if more > 0 else ""
        raise DatasetError(
            f"{title}: {len(problems)} problem{'s' if len(problems) > 1 else ''} found.{lines}\n"
            "Repair these files, or take their tracks out of the dataset"
        )
    return [outcome if isinstance(outcome, TrackStats) else None for outcome in outcomes]


def _measure(reader: TrackReader, wanted: Wanted) -> TrackStats | list[str]:
    """Stats of one track, or what is wrong with it."""
    problems: list[str] = []
    headers: dict[str, Header] = {}
    names = [*wanted.sources, *([MIXTURE] if MIXTURE in reader.sources else [])]
    for name in names:
        if name not in reader.sources:
            problems.append(missing(reader, name))
            continue
        try:
            if reader.path(name).exists():  # a layout of one's own may have no file of that name
                check_readable(reader.path(name))
            headers[name] = reader.header(name)
        except (AudioError, PathError) as error:
            problems.append(str(error))
    problems += _header_problems(reader, headers, wanted)
    if problems:
        return problems
    try:
        frames, mean, std = _moments(
            lambda start: read_mixture(reader, wanted, start, BLOCK), next(iter(headers.values()))
        )
    except AudioError as error:
        return [str(error)]
    if not (math.isfinite(mean) and math.isfinite(std)):
        return [f"{reader.location}: the mixture holds values that are not finite"]
    if std == 0:
        return [f"{reader.location}: the mixture is silent throughout"]
    has_mono = wanted.channels > 1 and any(h.channels == 1 for h in headers.values())
    return TrackStats(frames, mean, std, has_mono)


def _header_problems(reader: TrackReader, headers: dict[str, Header], wanted: Wanted) -> list[str]:
    problems = []
    lengths = Counter(header.frames for header in headers.values() if header.frames)
    usual = lengths.most_common(1)[0][0] if lengths else 0
    for name, header in headers.items():
        path = reader.path(name)
        if header.frames == 0:
            problems.append(f"{path} holds no samples")
        elif header.samplerate != wanted.samplerate:
            problems.append(
                f"{path} has {header.samplerate} Hz, and the dataset {wanted.samplerate} Hz: "
                f"convert it (ffmpeg -i IN.wav -ar {wanted.samplerate} OUT.wav) "
                f"or set dset.samplerate={header.samplerate}"
            )
        elif header.frames != usual:
            problems.append(
                f"{path} has {header.frames} frames, and its siblings {usual}: "
                "stems of a track must be equally long"
            )
        if header.channels not in (1, wanted.channels) and wanted.channels != 1:
            problems.append(
                f"{path} has {header.channels} channels, and the dataset {wanted.channels}: "
                f"convert it (ffmpeg -i IN.wav -ac {wanted.channels} OUT.wav)"
            )
    return problems


def _moments(read: Callable[[int], Tensor], header: Header) -> tuple[int, float, float]:
    """Frames, mean and (unbiased) deviation of the channel mean, block by block.

    Blocks are merged as in Chan, Golub and LeVeque (1979), which loses no digits to a mean.
    """
    count, mean, squares = 0, 0.0, 0.0
    while count < header.frames:
        block = read(count).double().mean(0)
        size = block.numel()
        if size == 0:
            break
        step = float(block.mean()) - mean
        total = count + size
        squares += float((block - block.mean()).square().sum()) + step**2 * count * size / total
        mean += step * size / total
        count = total
    return count, mean, math.sqrt(squares / max(count - 1, 1))


def _load(cache: Path | None) -> dict[str, Any]:
    """Entries by track name; none if the file is absent, broken or from another version."""
    if cache is None:
        return {}
    try:
        if not cache.exists():
            return {}
        content = json.loads(cache.read_text(encoding="utf-8"))
        tracks = content["tracks"]
        for entry in tracks.values():
            TrackStats(**entry["stats"])
        return dict(tracks) if content["version"] == VERSION else {}
    except NotADirectoryError:
        return {}
    except OSError as error:
        logger.warning("%s. The songs are measured again", message_of(error))
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s is broken (%s) and is made again", cache, error)
        return {}


def _save(cache: Path | None, tracks: dict[str, Any], present: set[str]) -> None:
    """Keeps the measurements; without them, only the next start takes longer."""
    if cache is None:
        return
    content = {"version": VERSION, "tracks": {k: tracks[k] for k in sorted(present)}}
    try:
        with atomic_path(cache) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    except OSError as error:
        logger.warning(
            "%s. It is only a cache of measurements: this run continues, and the next one measures "
            "the songs again", message_of(error),
        )  # fmt: skip
