"""Text on a terminal and in a log: progress bars, tables, durations."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

T = TypeVar("T")

GAP = "  "
WIDTH = 88  # of a page of results
SHORTEST = 16  # characters that a column is shortened to at most


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None = None,
    give: Sequence[int] = (),
    *,
    numbers: bool = False,
    rule_before_last: bool = False,
) -> str:
    """Columns under their titles.

    Args:
        head: titles.
        rows: cells, one for each title.
        width: of the terminal in characters; None: as wide as need be.
        give: columns to shorten where the width does not do, by number, the first one first.
        numbers: all columns but the first are aligned to the right, under a rule.
        rule_before_last: another rule above the last row.
    """
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    if width is not None:
        over = sum(widths) + len(GAP) * (len(widths) - 1) - width
        for column in give:
            less = max(0, min(over, widths[column] - SHORTEST))
            widths[column] -= less
            over -= less
    lines = []
    for row in (head, *rows):
        cells = [_cut(cell, size) for cell, size in zip(row, widths, strict=True)]
        padded = [
            cell.rjust(size) if numbers and index > 0 else cell.ljust(size)
            for index, (cell, size) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(GAP.join(padded).rstrip())
    rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
    if numbers:
        lines.insert(1, rule)
    if rule_before_last:
        lines.insert(-1, rule)
    return "\n".join(lines)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def number(value: float | None) -> str:
    """Two decimals, a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


def without_common(names: Sequence[str]) -> tuple[list[str], str]:
    """Names of overrides without those that all have, and these.

    >>> without_common(["epochs=3 seed=1", "epochs=3 seed=2"])
    (['seed=1', 'seed=2'], 'epochs=3')
    """
    split = [_overrides(name) for name in names]
    if len(split) < 2:
        return list(names), ""
    common = [word for word in split[0] if all(word in words for words in split)]
    left = [" ".join(word for word in words if word not in common) for words in split]
    return left, " ".join(common)


def _overrides(name: str) -> list[str]:
    """The words of a name, lists with their spaces being one."""
    words: list[str] = []
    depth = 0
    for word in name.split():
        if depth > 0:
            words[-1] += f" {word}"
        else:
            words.append(word)
        depth += sum(word.count(c) for c in "[{(") - sum(word.count(c) for c in "]})")
    return words


def duration(seconds: float) -> str:
    """Seconds in the two largest units, e.g. `3 d 4 h`.

    >>> duration(59), duration(7200), duration(100_000)
    ('59 s', '2 h 0 min', '1 d 4 h')
    """
    left = max(0, round(seconds))
    if left < 60:
        return f"{left} s"
    minutes = round(left / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(left / 3600), 24)
    return f"{days} d {hours} h"


def clock(seconds: float) -> str:
    """Seconds as a clock shows them.

    >>> clock(63), clock(3723)
    ('1:03', '1:02:03')
    """
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{remainder:02d}" if hours else f"{minutes}:{remainder:02d}"


def time_left(spent: float, worked: float, left: float) -> float:
    """Seconds for what is `left`, if it goes as fast as what was `worked` on in `spent` seconds."""
    return spent * max(0.0, left) / max(worked, 1e-9)


def bar(
    items: Iterable[Any] | None = None, *, title: str, show: bool = True, **options: Any
) -> "tqdm[Any]":
    """A progress bar on standard error, around `items` or moved on by its `update`.

    Args:
        items: what is worked on.
        title: of the work.
        show: False for none.
        options: of `tqdm.tqdm`, e.g. `total`, `unit`.
    """
    from tqdm import tqdm  # here, since tables and times are printed without it

    return tqdm(items, desc=title, disable=not show, **options)


class Progress:
    """Counts pieces of work by their size; used as a context manager.

    Args:
        title: of the work.
        count: how many pieces there are.
        total: the sum of their sizes.
        pieces: what they are called in the bar.
        tells: the bar shows the message of the last piece.
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
        layout = f"{shape}{pieces and ' '}{pieces}{{postfix}}"
        self._bar = bar(total=count, title=title, show=show and not self._lines, bar_format=layout)

    def done(
        self, name: str, message: str, size: float, *, new: bool = True, quick: bool = False
    ) -> None:
        """A piece is finished.

        Args:
            name: of it.
            message: its outcome.
            size: of it.
            new: False if it had been finished before; then it gets no line.
            quick: it took no work, and does not count for the rate.
        """
        self._count += 1
        self._finished += size
        if new and not quick:
            self._worked += size
        spent = time.monotonic() - self._began
        left = time_left(spent, self._worked, self._total - self._finished)
        times = f"{clock(spent)} spent, {clock(left) if self._worked else '?'} left"
        postfix = f" {message[:40]}, {times}" if self._tells else times
        self._bar.set_postfix_str(postfix, refresh=False)
        self._bar.update()
        if self._lines and new:
            sys.stderr.write(f"[{self._count}/{self._all}] {name}: {message} ({times})\n")
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


def tracked(
    items: Iterable[T],
    *,
    total: int,
    name: str,
    prints: int,
    quiet: bool,
    start: int = 0,
    infos: Callable[[], Mapping[str, float]] = dict,
) -> Iterator[T]:
    """Yields `items`, and shows their number, rate, time left and some values.

    Args:
        items: what is worked on.
        total: how many there are, with the `start` that are already done.
        name: of the stage.
        prints: lines for all of them, where standard error is not a terminal; 0: none.
        quiet: show nothing.
        start: how many were done before.
        infos: gives the values to show.
    """
    if quiet:
        yield from items
    elif sys.stderr.isatty():
        with bar(items, total=total, title=name, initial=start, dynamic_ncols=True) as shown:
            for item in shown:
                yield item
                shown.set_postfix({key: f"{value:.4g}" for key, value in infos().items()})
    else:
        yield from _logged(items, total, name, prints, start, infos)


def _logged(
    items: Iterable[T],
    total: int,
    name: str,
    prints: int,
    start: int,
    infos: Callable[[], Mapping[str, float]],
) -> Iterator[T]:
    began = time.monotonic()
    every = -(-total // prints) if prints > 0 else total + 1
    for done, item in enumerate(items, start + 1):
        yield item
        if done % every == 0 or (done == total and prints > 0):
            seconds = (time.monotonic() - began) / (done - start)
            values = "".join(f" | {key} {value:.4g}" for key, value in infos().items())
            left = clock(seconds * (total - done))
            logger.info("%s | %d/%d | %s | %s left%s", name, done, total, _rate(seconds), left,
                        values)  # fmt: skip


def _rate(seconds: float) -> str:
    return f"{seconds:.2f} s/it" if seconds >= 1 else f"{1 / max(seconds, 1e-9):.2f} it/s"
