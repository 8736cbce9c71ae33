"""How far the `demucs` command is: a bar for the track, and what is left of all of them."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from demucs.separate_inputs import Track

_PACKED = {".wav": 1.0, ".aif": 1.0, ".aiff": 1.0, ".flac": 1.6}  # audio in a byte; others:
_LOSSY = 8.0
_LAYOUT = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f}s [{elapsed}<{remaining}{postfix}]"


class Progress:
    """Shows the progress of all tracks on standard error.

    The time left of all is an estimate from the sizes of the files; that of one track comes from
    its length.
    """

    def __init__(self, tracks: list[Track]) -> None:
        self._weights = {track.path: _weight(track.path) for track in tracks}
        self._left = sum(self._weights.values())
        self.count, self._index = len(tracks), 0
        self._worked = 0.0  # weight of what was separated, not left out
        self._all = self._left
        self._began = time.monotonic()

    def track(self, track: Track) -> "TrackProgress":
        """To be used as a context around the separation of `track`."""
        self._index += 1
        return TrackProgress(self, track, f"[{self._index}/{self.count}] {track.name.name}")

    def skip(self, track: Track) -> None:
        """Leaves `track` out of what is to be done."""
        self._index += 1
        self._all -= self._weights[track.path]
        self._left -= self._weights[track.path]

    def ended(self, track: Track) -> None:
        self._worked += self._weights[track.path]
        self._left -= self._weights[track.path]

    def overall(self, track: Track, share: float) -> str:
        """The percentage and the time left of all tracks, when `share` of this one is done."""
        part = self._weights[track.path] * share
        done = self._worked + part
        seconds = (time.monotonic() - self._began) * (self._left - part) / max(done, 1e-9)
        percent = 100 * (self._all - self._left + part) / max(self._all, 1e-9)
        return f"all: {percent:.0f}%, {clock(seconds)} left"


class TrackProgress:
    """The bar of one track."""

    def __init__(self, progress: Progress, track: Track, title: str) -> None:
        self._progress, self._track, self._title = progress, track, title
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "TrackProgress":
        return self

    def update(self, done: float, total: float) -> None:
        """Says that `done` of `total` seconds of the track are separated."""
        if self._bar is None:
            self._bar = tqdm(
                total=total,
                desc=self._title,
                bar_format=_LAYOUT,
                mininterval=0.1 if sys.stderr.isatty() else 10,  # a log gets a line now and then
            )
        if self._progress.count > 1:
            overall = self._progress.overall(self._track, done / total)
            self._bar.set_postfix_str(overall, refresh=False)
        self._bar.update(done - self._bar.n)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.ended(self._track)
        if self._bar is not None:
            self._bar.close()


def clock(seconds: float) -> str:
    """As 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _weight(path: Path) -> float:
    """About how much audio a file holds, in bytes of wav."""
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        return 0.0
    return size * _PACKED.get(path.suffix.lower(), _LOSSY)
