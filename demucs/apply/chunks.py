"""Overlap-add without a model: where chunks lie, what they weigh, who works on them."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

import torch
from torch import Tensor

from demucs.errors import ConfigError

Callback = Callable[[dict[str, Any]], None]
Item = TypeVar("Item")
Result = TypeVar("Result")


def grid(seconds: float, overlap: float, samplerate: int) -> tuple[int | None, int]:
    """Length of a chunk and distance from one to the next, in samples.

    >>> grid(10, 0.25, 44100)
    (441000, 330750)
    """
    if seconds == math.inf:
        return None, 0
    length = int(samplerate * seconds) if seconds > 0 else 0
    stride = int((1 - overlap) * length)
    if stride < 1:
        raise ConfigError(
            f"segment={seconds:g} seconds with overlap={overlap:g} moves on by less than one "
            f"sample at {samplerate} Hz: give a longer segment or less overlap."
        )
    return length, stride


def triangle(length: int, power: float = 1.0) -> Tensor:
    """Weights `[length]` of the samples of a chunk: 1 in its middle, falling to its ends.

    >>> triangle(4).tolist()
    [0.5, 1.0, 1.0, 0.5]
    """
    half = length // 2
    rise, fall = torch.arange(1, half + 1), torch.arange(length - half, 0, -1)
    weights = torch.cat([rise, fall]).float()
    return (weights / weights.max()) ** power


def window(mix: Tensor, start: int, length: int) -> Tensor:
    """A copy `[..., length]` of `mix` from sample `start`, zero where there is no signal."""
    out = mix.new_zeros(*mix.shape[:-1], length)
    first, last = max(0, start), min(mix.shape[-1], start + length)
    if first < last:
        out[..., first - start : last - start] = mix[..., first:last]
    return out


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    pool: ThreadPoolExecutor | None,
    ahead: int,
) -> Iterator[Result]:
    """`map(function, items)`, at most `ahead` results early in the threads of `pool`."""
    if pool is None:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


class Reporter:
    """Calls a user's callback, if there is one, from one thread at a time.

    Args:
        callback: takes one dict, and may raise to abort.
        extra: the user's own items; ours override them.
        fixed: ours that are the same in every call.
    """

    def __init__(
        self,
        callback: Callback | None,
        extra: Mapping[str, Any] | None,
        fixed: Mapping[str, Any],
    ) -> None:
        self._callback, self._extra, self._fixed = callback, dict(extra or {}), dict(fixed)
        self._lock = Lock()

    def __call__(self, where: Mapping[str, Any]) -> None:
        if self._callback is not None:
            with self._lock:
                self._callback({**self._extra, **where, **self._fixed})
