"""Showing how far a stage is: a bar on a terminal, a few lines in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)

T = TypeVar("T")


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
        prints: lines for all of them, where standard error is no terminal; 0: none.
        quiet: show nothing.
        start: how many were done before.
        infos: gives the values to show.
    """
    if quiet:
        yield from items
    elif sys.stderr.isatty():
        with tqdm(items, total=total, desc=name, initial=start, dynamic_ncols=True) as bar:
            for item in bar:
                yield item
                bar.set_postfix({key: f"{value:.4g}" for key, value in infos().items()})
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
            left = _clock(seconds * (total - done))
            logger.info("%s | %d/%d | %s | %s left%s", name, done, total, _rate(seconds), left,
                        values)  # fmt: skip


def _rate(seconds: float) -> str:
    return f"{seconds:.2f} s/it" if seconds >= 1 else f"{1 / max(seconds, 1e-9):.2f} it/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def describe(metrics: Mapping[str, Any]) -> str:
    """The main metrics of an epoch on one line."""
    train, valid = metrics["train"], metrics["valid"]
    parts = []
    if "loss" in train:
        parts.append(f"train loss {train['loss']:.5f}")
    if train.get("skipped"):
        parts.append(f"{train['skipped']:.0%} of steps skipped")
    parts.append(f"valid loss {valid['loss']:.5f}, nSDR {valid['nsdr']:.2f} dB ({valid['bname']})")
    if "test" in metrics and "nsdr" in metrics["test"]:
        parts.append(f"test nSDR {metrics['test']['nsdr']:.2f} dB")
    if "cut" in metrics:
        parts.append(f"cut after {metrics['cut']} batches, since the songs changed")
    if "seconds" in metrics:
        seconds = metrics["seconds"]
        parts.append(f"{seconds['train']:.0f} + {seconds['valid']:.0f} s")
    return " | ".join(parts)
