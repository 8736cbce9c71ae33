"""Overlap-add inference on a stream of blocks, in memory that does not grow with its length.

All passes of `apply_model` (the networks of a bag, the random shifts) go over the signal together.
A chunk's stems are weighted such that everything that covers a sample adds up to the weighted
mean, so one sum serves all passes, and what lies before the next chunk is finished.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from demucs.apply.memory import MemoryGuard
from demucs.apply.parameters import flag, pick_device, segment_of
from demucs.apply.plan import (
    Callback,
    Pass,
    Reporter,
    check_arguments,
    overlap_window,
    plan,
    progress_bar,
    ready,
    sub_models_of,
    window,
)
from demucs.apply.runner import Chunk, Runner
from demucs.errors import ConfigError


@dataclass(frozen=True)
class Block:
    """A span of a track and its stems.

    Attributes:
        start: its first sample, from the beginning of the track.
        total: samples of the whole track.
        mixture: `[C, T_block]`.
        stems: `[S, C, T_block]`, in the order of the model's sources.
    """

    start: int
    total: int
    mixture: Tensor
    stems: Tensor

    @property
    def end(self) -> int:
        return self.start + self.mixture.shape[-1]


def apply_blocks(
    model: nn.Module,
    blocks: Iterable[Tensor],
    total: int,
    shifts: int = 1,
    split: bool = True,
    overlap: float = 0.25,
    transition_power: float = 1.0,
    progress: bool = False,
    device: torch.device | str | None = None,
    num_workers: int = 0,
    segment: float | None = None,
    *,
    mean: float = 0.0,
    scale: float = 1.0,
    callback: Callback | None = None,
    callback_arg: Mapping[str, Any] | None = None,
    seed: int = 0,
    rng: random.Random | None = None,
    guard: MemoryGuard | None = None,
    batch: int | None = None,
) -> Iterator[Block]:
    """Separates a signal block by block; the stems are those of `demucs.apply.apply_model`.

    Args:
        blocks: the mixture, `[C, n]` each, at least one sample in all; never modified.
        total: its length in samples, which has to be known before.
        mean, scale: the model hears (mixture − mean) / scale, and its stems are scaled back.

    The other arguments are those of `apply_model`. The callback is called for the chunks in the
    order of the track, those of all networks and shifts mixed.

    Yields:
        Blocks on the CPU that follow each other without gaps, from the first sample to the last;
        their lengths vary, up to about a chunk's.

    Raises:
        ConfigError: an argument out of its range, channels that the model cannot take, or a
            signal of another length than `total`.
    """
    check_arguments(shifts, overlap, transition_power, num_workers, batch)
    split, progress, segment = flag("split", split), flag("progress", progress), segment_of(segment)
    if total < 1:
        raise ConfigError(f"The mixture has {total} samples: give at least one.")
    signal = MixtureBuffer(blocks, total, mean, scale)
    guard = guard or MemoryGuard()
    sub_models = sub_models_of(
        model, signal.channels, segment if split else math.inf, overlap, guard.limit
    )
    device = pick_device(device) if device is not None else torch.device("cpu")
    passes = plan(sub_models, total, shifts, rng or random.Random(seed))
    report = Reporter(callback, callback_arg, {"audio_length": total, "models": len(sub_models)})
    sums = StemBuffer(len(sub_models[0].weights), signal.channels)
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(passes, disable=not progress))
        for sub_model in sub_models:
            stack.enter_context(ready(sub_model.module, device))
        cpu = torch.device("cpu")
        runner = Runner(passes, device, cpu, 1, batch, num_workers, report, guard)
        stack.enter_context(runner)
        for task, stems in runner.run(_tasks(passes, signal, transition_power)):
            sums.add(stems[0] * task.weights, task.pass_.start + task.offset)
            bar.update(min(task.pass_.stride, task.pass_.length - task.offset))
            start, done = sums.pop(task.finished)
            del task, stems  # hundreds of megabytes, while the next chunk is worked on
            if done.shape[-1]:
                mixture = signal.pop(start, done.shape[-1])
                block = Block(start, total, mixture, done.mul_(scale).add_(mean))
                del mixture, done
                yield block
                del block


@dataclass(frozen=True)
class _Task(Chunk):
    """A chunk, its overlap weights, and the part of the track that it completes."""

    weights: Tensor  # [S or 1, 1, length]
    finished: int  # once it is separated, the track is complete up to this sample


def _tasks(passes: list[Pass], signal: "MixtureBuffer", power: float) -> Iterator[_Task]:
    """All chunks in the order in which they begin in the track."""
    weighing = [_Weights(pass_, power) for pass_ in passes]
    everything = torch.stack([pass_.sub_model.weights for pass_ in passes]).sum(0)
    shares = [_short(pass_.sub_model.weights / everything) for pass_ in passes]
    reach = max(max(pass_.sub_model.context(size)[1] for size in _sizes(pass_)) for pass_ in passes)

    def of(index: int) -> Iterator[tuple[int, int, int, int]]:
        pass_ = passes[index]
        for offset, length in pass_.chunks():
            yield pass_.start + offset, index, offset, length

    chunks = heapq.merge(*(of(index) for index in range(len(passes))))
    current = next(chunks)
    while current is not None:
        following = next(chunks, None)
        start, index, offset, length = current
        pass_ = passes[index]
        padded, before = pass_.sub_model.context(length)
        yield _Task(
            pass_,
            offset,
            length,
            signal.window(start - before, padded)[None],
            before,
            weighing[index](offset, length) * shares[index],
            max(0, signal.total if following is None else following[0]),
        )
        if following is not None:
            signal.forget(following[0] - reach)
        current = following  # type: ignore[assignment]


def _short(weights: Tensor) -> Tensor:
    """Weights `[S, 1, 1]`, or `[1, 1, 1]` if all stems have the same."""
    return weights[:1] if bool((weights == weights[0]).all()) else weights


def _sizes(pass_: Pass) -> set[int]:
    """Every length that a chunk of a pass has: all but the last few have the same."""
    last = (pass_.length - 1) // pass_.stride * pass_.stride
    first_short = max(0, (pass_.length - pass_.size) // pass_.stride * pass_.stride)
    offsets = range(first_short, last + 1, pass_.stride)
    return {min(pass_.size, pass_.length - offset) for offset in (0, *offsets)}


class _Weights:
    """The overlap window of a chunk, divided by the sum of the windows of its pass."""

    def __init__(self, pass_: Pass, power: float) -> None:
        self._pass, self._overlap_window = pass_, overlap_window(pass_.size, power)
        self._inner: Tensor | None = None

    def __call__(self, offset: int, length: int) -> Tensor:
        size, stride = self._pass.size, self._pass.stride
        # The weights of chunks with neighbours on all sides are the same.
        inner = offset >= size and offset + 2 * size <= self._pass.length
        if inner and self._inner is not None:
            return self._inner
        norm = torch.zeros(length)
        first = max(0, -(-(offset - size + 1) // stride)) * stride
        for other in range(first, min(offset + length, self._pass.length), stride):
            low, high = max(0, other - offset), min(length, other - offset + size)
            norm[low:high] += self._overlap_window[low + offset - other : high + offset - other]
        weights = self._overlap_window[:length] / norm
        if inner:
            self._inner = weights
        return weights


class StemBuffer:
    """Buffer of weighted sums of stems, over the part of the track that is not complete."""

    def __init__(self, stems: int, channels: int) -> None:
        self._start = 0
        self._sums = torch.zeros(stems, channels, 0)

    def add(self, stems: Tensor, start: int) -> None:
        """Adds `stems` `[S, C, n]`, whose first sample lies at `start`, maybe before the track."""
        skip = max(0, self._start - start)
        stems, begin = stems[..., skip:], start + skip - self._start
        missing = begin + stems.shape[-1] - self._sums.shape[-1]
        if missing > 0:
            self._sums = nn.functional.pad(self._sums, (0, missing))
        self._sums[..., begin : begin + stems.shape[-1]] += stems

    def pop(self, end: int) -> tuple[int, Tensor]:
        """Takes out what lies before sample `end`: its first sample and the stems."""
        start, count = self._start, max(0, end - self._start)
        done, rest = self._sums[..., :count].clone(), self._sums[..., count:].clone()
        self._start, self._sums = start + done.shape[-1], rest
        return start, done


class MixtureBuffer:
    """Buffer of the part of the mixture that chunks and incomplete blocks still need."""

    def __init__(self, blocks: Iterable[Tensor], total: int, mean: float, scale: float) -> None:
        self._blocks = iter(blocks)
        self.total, self._mean, self._scale = total, mean, scale
        self._held: deque[Tensor] = deque()
        self._start = self._end = self._popped = self._needed = 0
        self._pull()
        self.channels = int(self._held[0].shape[0])

    def _pull(self) -> None:
        block = next(self._blocks, None)
        if block is None or block.dim() != 2 or self._end + block.shape[-1] > self.total:
            length = self._end if block is None else f"blocks of shape {list(block.shape)}"
            raise ConfigError(
                f"The mixture was to have {self.total} samples, [channels, samples] a block, and "
                f"has {length}: was its file changed meanwhile? Start again."
            )
        self._held.append(block)
        self._end += block.shape[-1]

    def _span(self, start: int, end: int) -> Tensor:
        """The samples from `start` to `end`, both inside the track and not forgotten."""
        while self._end < end:
            self._pull()
        parts, position = [], self._start
        for block in self._held:
            low, high = max(0, start - position), min(block.shape[-1], end - position)
            if low < high:
                parts.append(block[:, low:high])
            position += block.shape[-1]
        return torch.cat(parts, dim=-1) if parts else self._held[0][:, :0].clone()

    def window(self, start: int, length: int) -> Tensor:
        """What the model hears, `[C, length]`: zero outside of the track."""
        first, last = max(0, start), min(self.total, start + length)
        heard = (self._span(first, max(first, last)) - self._mean) / self._scale
        return window(heard, start - first, length)

    def pop(self, start: int, length: int) -> Tensor:
        """The mixture of a finished block, `[C, length]`."""
        block = self._span(start, start + length)
        self._popped = start + length
        self._release()
        return block

    def forget(self, before: int) -> None:
        """Says that no chunk needs what lies before this sample."""
        self._needed = max(self._needed, before)
        self._release()

    def _release(self) -> None:
        keep = min(self._popped, self._needed)
        while len(self._held) > 1 and self._start + self._held[0].shape[-1] <= keep:
            self._start += self._held.popleft().shape[-1]
