"""How far an evaluation is: a bar on a terminal, a line a track in a log."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from tqdm import tqdm

from demucs.evaluation.results import TrackResult


class Progress:
    """Counts tracks by their length, where that is known; used as a context manager.

    Args:
        tracks: those to come, in any order.
        show: False for nothing at all.
    """

    def __init__(self, tracks: Sequence[Any], *, show: bool = True) -> None:
        self._sizes = {track.name: max(1, getattr(track, "frames", 1)) for track in tracks}
        self._total, self._finished, self._count = sum(self._sizes.values()), 0, 0
        self._began = time.monotonic()
        self._lines = show and not sys.stderr.isatty()
        self._bar = tqdm(
            total=len(tracks), desc="evaluate", unit="track", disable=not show or self._lines,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} tracks{postfix}",
        )  # fmt: skip

    def done(self, name: str, found: TrackResult) -> None:
        """A track is finished."""
        self._finished += self._sizes[name]
        self._count += 1
        spent = time.monotonic() - self._began
        left = spent * (self._total - self._finished) / self._finished
        self._bar.set_postfix_str(f"{_time(spent)} spent, {_time(left)} left", refresh=False)
        self._bar.update()
        if self._lines:
            values = found.values.get("nsdr") or found.values.get("sdr") or {}
            numbers = " ".join(
                f"{stem} {'–' if value is None else format(value, '.2f')}"
                for stem, value in values.items()
            )
            said = "failed" if found.failed else f"{'nSDR' if 'nsdr' in found.values else 'SDR'}"
            sys.stderr.write(
                f"[{self._count}/{len(self._sizes)}] {name}: {said} {numbers} "
                f"({_time(spent)} spent, {_time(left)} left)\n"
            )
            sys.stderr.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()


def _time(seconds: float) -> str:
    """`1:02:03`, `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
