"""How far a stage is: a bar on a terminal, a line a file in a log."""

import sys
import time
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Counts work by its size; used as a context manager.

    Args:
        title: of the stage.
        count: how many things there are.
        total: the sum of their sizes.
    """

    def __init__(self, title: str, count: int, total: float) -> None:
        self._total, self._count, self._all = max(total, 1e-9), 0, count
        self._finished = self._worked = 0.0
        self._began = time.monotonic()
        self._lines = not sys.stderr.isatty()
        self._bar = tqdm(
            total=count, desc=title, disable=self._lines,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
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
        self._bar.set_postfix_str(f" {said[:40]}, {known}", refresh=False)
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


def _time(seconds: float) -> str:
    """`1:02:03`, `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
