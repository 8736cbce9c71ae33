"""How far long work is: a bar on a terminal, a line a piece in a log."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from tqdm import tqdm

from demucs.evaluation.results.results import TrackResult


class Progress:
    """Counts pieces of work by their size; used as a context manager.

    Args:
        title: of the work.
        count: how many pieces there are.
        total: the sum of their sizes.
        pieces: what they are called in the bar.
        tells: the bar shows what was said of the last one.
        show: False for nothing at all.
    """

    def __init__(
        self,
        title: str,
        count: int,
        total: float,
        *,
        pieces: str = "",
        tells: bool = True,
        show: bool = True,
    ) -> None:
        self._total, self._count, self._all = max(total, 1e-9), 0, count
        self._finished = self._worked = 0.0
        self._began = time.monotonic()
        self._tells, self._lines = tells, show and not sys.stderr.isatty()
        shape = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}"
        self._bar = tqdm(
            total=count, desc=title, disable=not show or self._lines,
            bar_format=f"{shape}{pieces and ' '}{pieces}{{postfix}}",
        )  # fmt: skip

    def done(
        self, name: str, said: str, size: float, *, new: bool = True, quick: bool = False
    ) -> None:
        """One is finished.

        Args:
            name: of it.
            said: what there is to say.
            size: of it.
            new: False if it had been finished before; then it gets no line.
            quick: it was no work, and says nothing of the rate.
        """
        self._count += 1
        self._finished += size
        if new and not quick:
            self._worked += size
        spent = time.monotonic() - self._began
        left = spent * max(0.0, self._total - self._finished) / max(self._worked, 1e-9)
        known = f"{_time(spent)} spent, {_time(left) if self._worked else '?'} left"
        postfix = f" {said[:40]}, {known}" if self._tells else known
        self._bar.set_postfix_str(postfix, refresh=False)
        self._bar.update()
        if self._lines and new:
            sys.stderr.write(f"[{self._count}/{self._all}] {name}: {said} ({known})\n")
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


class EvaluationProgress(Progress):
    """Counts tracks by their length, where that is known.

    Args:
        tracks: those to come, in any order.
        show: False for nothing at all.
    """

    def __init__(self, tracks: Sequence[Any], *, show: bool = True) -> None:
        self._sizes = {track.name: max(1, getattr(track, "frames", 1)) for track in tracks}
        total = sum(self._sizes.values())
        super().__init__("evaluate", len(tracks), total, pieces="tracks", tells=False, show=show)

    def track(self, name: str, found: TrackResult) -> None:
        """A track is finished."""
        values = found.values.get("nsdr") or found.values.get("sdr") or {}
        numbers = " ".join(
            f"{stem} {'–' if value is None else format(value, '.2f')}"
            for stem, value in values.items()
        )
        said = "failed" if found.failed else f"{'nSDR' if 'nsdr' in found.values else 'SDR'}"
        self.done(name, f"{said} {numbers}", self._sizes[name])


def _time(seconds: float) -> str:
    """`1:02:03`, `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
