"""Results of tracks as files of a folder: a killed evaluation resumes, and shares come together.

Each track is a file of its own, written when it is scored. Processes that divide the tracks write
into one folder, and whichever finds all tracks there puts the results together. No process waits
for another, and none needs to know which tracks another has.
"""

import hashlib
import heapq
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from demucs.errors import ConfigError
from demucs.evaluation.results.results import TrackResult
from demucs.files import atomic_path

T = TypeVar("T")


class Parts:
    """The folder beside the results `out`, for one model, data set and way of measuring.

    Args:
        out: the file of the results to come.
        key: what the numbers depend on, plain JSON. With another key the folder is another one:
            numbers of different settings are never put together.
        marks: of the files of each track; a track whose files have changed is not there.
    """

    def __init__(
        self, out: Path, key: Mapping[str, Any], marks: Mapping[str, str] | None = None
    ) -> None:
        self._marks = marks or {}
        text = json.dumps(key, sort_keys=True)
        self.run = hashlib.sha256(text.encode()).hexdigest()[:8]
        self.folder = out.with_name(f"{out.stem}.parts-{self.run}")

    def save(self, name: str, result: TrackResult) -> None:
        """Keeps the result of a track.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        with atomic_path(self._path(name)) as temporary:
            content = {"track": name, "mark": self._marks.get(name), **asdict(result)}
            temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    def load(self, names: Iterable[str]) -> dict[str, TrackResult]:
        """The tracks of these names that are there; one that cannot be read is not."""
        results = {}
        for name in names:
            with suppress(OSError, ValueError, TypeError):
                content = json.loads(self._path(name).read_text(encoding="utf-8"))
                mark = content.pop("mark", None)
                if content.pop("track") == name and mark == self._marks.get(name):
                    results[name] = TrackResult(**content)
        return results

    def forget(self, names: Iterable[str]) -> None:
        """Removes some tracks."""
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes the folder; another process may be doing so too."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def share_of(tracks: Sequence[T], rank: int, number: int) -> list[T]:
    """The tracks that one of `number` processes does: about as many seconds as each other.

    It depends on `tracks` alone, not on what is done already, so the shares of processes that
    start at different times never overlap.

    Raises:
        ConfigError: no such share.
    """
    if not 0 <= rank < number:
        raise ConfigError(f"share {rank + 1} of {number}: give one from 1 to {number}")
    if number == 1:
        return list(tracks)
    sizes = [getattr(track, "frames", 1) for track in tracks]
    loads = [(0, k) for k in range(number)]
    chosen = []
    for index in sorted(range(len(tracks)), key=lambda k: (-sizes[k], k)):
        load, who = heapq.heappop(loads)  # the longest that is left, to the one with least
        heapq.heappush(loads, (load + sizes[index], who))
        if who == rank:
            chosen.append(index)
    return [tracks[index] for index in sorted(chosen)]
