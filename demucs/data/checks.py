"""Configurations that cannot work, refused before anything is read or any GPU is touched."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from demucs.errors import ConfigError

logger = logging.getLogger(__name__)

SHOWN = 5  # names in a message


def check_sources(
    sources: Sequence[str],
    available: Iterable[str],
    folder: str | Path,
    unread: Iterable[str] = (),
) -> None:
    """Each source must be named once and exist in at least one track.

    Args:
        sources: those that are wanted.
        available: those that tracks have.
        folder: of the tracks, for messages.
        unread: names of files in it that are not read.

    Raises:
        ConfigError: no sources, a name twice, or a name that no track has.
    """
    names = set(available) - {"mixture"}
    if not sources:
        raise ConfigError(f"dset.sources is empty: name stems among {sorted(names)}")
    twice = sorted({source for source in sources if list(sources).count(source) > 1})
    if twice:
        raise ConfigError(f"dset.sources names {', '.join(twice)} more than once: {list(sources)}")
    unknown = [source for source in sources if source not in names]
    if unknown:
        raise ConfigError(
            f"No track of {folder} has the source {', '.join(map(repr, unknown))}; there are "
            f"{sorted(names) or 'no audio files'}: set dset.sources to some of these, "
            f"or add the files{_not_read(unknown, unread)}"
        )


def _not_read(sources: Sequence[str], unread: Iterable[str]) -> str:
    """Of sources that no track has: the files that bear their names."""
    names = sorted({name for name in unread if Path(name).stem in sources})
    more = ", ..." if len(names) > SHOWN else ""
    return f" ({', '.join(names[:SHOWN])}{more} cannot be read: write wav or flac)" if names else ""


def check_segment(segment: float, shift: float, samplerate: int) -> None:
    """A segment must be longer than the random shift that is cut off it (both in seconds).

    Raises:
        ConfigError: otherwise, or where either is under one sample.
    """
    if round(shift * samplerate) < 1:
        raise ConfigError(
            f"dset.shift={shift} s is less than a sample at {samplerate} Hz: it is the distance "
            "between segments and must be positive, as 1"
        )
    if round(segment * samplerate) <= round(shift * samplerate):
        raise ConfigError(
            f"dset.segment={segment} s must be longer than dset.shift={shift} s: the model hears "
            "segment - shift seconds"
        )


def check_batch(batch_size: int, world_size: int, examples: int) -> None:
    """A global batch must divide over the ranks, and an epoch must hold one.

    Raises:
        ConfigError: otherwise.
    """
    if batch_size < 1 or batch_size % world_size:
        raise ConfigError(
            f"batch_size={batch_size} does not divide over {world_size} processes: it is the "
            f"global batch, so choose a multiple of {world_size}"
        )
    if examples < batch_size:
        raise ConfigError(
            f"batch_size={batch_size}, but an epoch has only {examples} examples: lower "
            "batch_size or dset.shift, or add tracks"
        )


def check_remix(group: int, examples: int) -> None:
    """A remix group must not be larger than the epoch.

    Raises:
        ConfigError: otherwise.
    """
    if group > examples:
        raise ConfigError(
            f"augment.remix.group_size={group}, but an epoch has only {examples} examples: lower "
            "it, add tracks, or set augment.remix.proba=0"
        )


def check_lengths(seconds: Mapping[str, float], segment: float) -> None:
    """Tracks shorter than a segment give one that is padded: some may be, but not all.

    Args:
        seconds: of the tracks, by name.
        segment: seconds.

    Raises:
        ConfigError: every track is shorter.
    """
    short = [name for name, length in seconds.items() if length < segment]
    if not short:
        return
    names = ", ".join(f"{name} ({seconds[name]:.1f} s)" for name in short[:SHOWN])
    more = f" and {len(short) - SHOWN} more" if len(short) > SHOWN else ""
    if len(short) == len(seconds):
        raise ConfigError(
            f"dset.segment={segment} s is longer than every track ({names}{more}), so that all "
            f"examples would be padded: lower dset.segment, to {min(seconds.values()):.1f} or less"
        )
    logger.warning(
        "%d of %d tracks are shorter than dset.segment=%s s and padded with silence: %s%s",
        len(short), len(seconds), segment, names, more,
    )  # fmt: skip
