"""Comparison of the songs that a checkpoint was trained on with those that are there now."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demucs.data.tracks import Track

SHOWN = 5  # names in a message
CLOSE = 1e-4  # measured twice, mean and deviation agree to this share of the deviation

# One song: name, length in frames, mean and deviation of its mixture, and a hash of its labels.
# Plain values, so that they can be saved.
Entry = list[Any]
Summary = Mapping[str, Any]


def entry_of(track: Track, labels: str = "", *, name: str | None = None) -> list[Any]:
    """What is remembered of a track.

    Args:
        track: the song.
        labels: a hash of what else an example of it depends on.
        name: instead of the track's own.
    """
    return [name or track.name, track.frames, track.mean, track.std, labels]


@dataclass(frozen=True, kw_only=True)
class Change:
    """How the songs of one split differ.

    Attributes:
        split: its name, such as `train`.
        before, now: how many songs it had and has.
        names: by what happened to them (`added`, `removed`, `changed`); empty where it is unknown.
    """

    split: str
    before: int
    now: int
    names: Mapping[str, Sequence[str]]

    def __str__(self) -> str:
        text = f"{self.split} {self.before} → {self.now}"
        kinds = [f"{kind} {_shown(names)}" for kind, names in self.names.items() if names]
        return f"{text} ({'; '.join(kinds)})" if kinds else text


def changes(before: Summary, now: Summary) -> dict[str, Change]:
    """What differs between two summaries, by split; empty if nothing does, or nothing is known.

    Args:
        before: `data` of a checkpoint: `lists` (entries by split), or in older ones the number of
            `tracks` by split and their common `fingerprint`; empty in the oldest.
        now: of the same form, with `lists`.
    """
    if "lists" in before:
        splits = {**before["lists"], **now["lists"]}
        changed = [
            _change(split, before["lists"].get(split, ()), now["lists"].get(split, ()))
            for split in splits
        ]
        return {change.split: change for change in changed if any(change.names.values())}
    if before.get("fingerprint", now.get("fingerprint")) == now.get("fingerprint"):
        return {}
    counts = before.get("tracks", {}), now.get("tracks", {})
    return {
        split: Change(
            split=split, before=counts[0].get(split, 0), now=counts[1].get(split, 0), names={}
        )
        for split in {**counts[0], **counts[1]}
    }


def joined(different: Mapping[str, Change]) -> str:
    """Changes of several splits, for a message."""
    return " | ".join(map(str, different.values()))


def _change(split: str, before: Iterable[Entry], now: Iterable[Entry]) -> Change:
    old, new = _by_name(before), _by_name(now)
    names: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
    for name in sorted({*old, *new}):
        entries = old.get(name, []), new.get(name, [])
        if len(entries[0]) != len(entries[1]):
            names["added" if len(entries[0]) < len(entries[1]) else "removed"].append(name)
        elif not all(map(_same, *entries)):
            names["changed"].append(name)
    counts = (sum(map(len, entries.values())) for entries in (old, new))
    return Change(split=split, before=next(counts), now=next(counts), names=names)


def _by_name(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Two datasets may have songs of one name."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[str(entry[0])].append(entry)
    return {name: sorted(same, key=lambda one: one[1:]) for name, same in found.items()}


def _same(before: Entry, now: Entry) -> bool:
    close = CLOSE * max(before[3], now[3])
    numbers = zip(before[2:4], now[2:4], strict=True)
    return (
        before[1] == now[1]
        and all(abs(one - other) <= close for one, other in numbers)
        and before[4] == now[4]
    )


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
