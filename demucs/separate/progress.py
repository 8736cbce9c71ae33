"""Progress bars: one of each track, and the time left for all tracks."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demucs.console import bar, clock, time_left

_PACKED = {".wav": 1.0, ".aif": 1.0, ".aiff": 1.0, ".flac": 1.6}  # audio in a byte; others:
_LOSSY = 8.0
_LAYOUT = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f}s [{elapsed}<{remaining}{postfix}]"


class Progress:
    """Shows the progress of all tracks on standard error.

    The time left of all is an estimate from the sizes of the files; that of one track comes from
    its length.

    Args:
        tracks: file and title of each.
    """

    def __init__(self, tracks: Sequence[tuple[Path, str]]) -> None:
        self._weights = [_weight(path) for path, _ in tracks]
        self._names = [title for _, title in tracks]
        self._index = -1
        self._worked = 0.0  # weight of the tracks that were worked on, not left out
        self._began = time.monotonic()

    def next(self) -> None:
        """Goes to the next track."""
        self._index += 1

    @contextmanager
    def bar(self) -> Iterator["TrackProgress"]:
        """A bar for the track; to be used around its separation."""
        name = "".join(c if c.isprintable() else "?" for c in self._names[self._index])
        title = f"[{self._index + 1}/{len(self._names)}] {name}"
        track = TrackProgress(title, self._overall if len(self._names) > 1 else None)
        try:
            yield track
        finally:
            self._worked += self._weights[self._index]
            track.close()

    def _overall(self, share: float) -> str:
        """The percentage and the time left of all tracks, when `share` of this one is done."""
        part = self._weights[self._index] * share
        done = sum(self._weights[: self._index]) + part
        left = sum(self._weights) - done
        seconds = time_left(time.monotonic() - self._began, self._worked + part, left)
        percent = 100 * done / max(done + left, 1e-9)
        return f"all: {percent:.0f}%, {clock(seconds)} left"


class TrackProgress:
    """The bar of one track, which appears once its length is known."""

    def __init__(self, title: str, overall: Callable[[float], str] | None) -> None:
        self._title, self._overall = title, overall
        self._bar: Any = None

    def update(self, done: float, total: float) -> None:
        """Says that `done` of `total` seconds of the track are separated."""
        if self._bar is None:
            self._bar = bar(
                total=total,
                title=self._title,
                bar_format=_LAYOUT,
                mininterval=0.1 if sys.stderr.isatty() else 10,  # a log gets a line now and then
            )
        if self._overall is not None:
            self._bar.set_postfix_str(self._overall(done / total), refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _weight(path: Path) -> float:
    """About how much audio a file holds, in bytes of wav."""
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        return 0.0
    return size * _PACKED.get(path.suffix.lower(), _LOSSY)
