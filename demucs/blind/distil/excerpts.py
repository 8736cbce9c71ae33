"""Long files as excerpts, so that memory stays constant and good passages can be told from bad."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Excerpt:
    """`frames` samples from sample `start`; `number` counts from 1, 0 is the whole file."""

    number: int
    start: int
    frames: int

    def name(self, file: str) -> str:
        """Of the song that is made of it: `FILE`, or `FILE_0003`."""
        return f"{file}_{self.number:04}" if self.number else file


def excerpts(length: int, samplerate: int, seconds: float) -> list[Excerpt]:
    """Divides `length` samples into equal excerpts of `seconds` at most; 0 is one, of any length.

    Equal ones, so that no last one is too short to be judged.
    """
    count = math.ceil(length / max(1.0, seconds * samplerate)) if seconds else 1
    if count <= 1:
        return [Excerpt(0, 0, length)]
    edges = [length * k // count for k in range(count + 1)]
    return [Excerpt(k + 1, edges[k], edges[k + 1] - edges[k]) for k in range(count)]


def cut(blocks: Iterable[Tensor], wanted: Sequence[Excerpt]) -> Iterator[tuple[Excerpt, Tensor]]:
    """The samples `[C, frames]` of excerpts, in order, of a signal that comes in blocks `[C, n]`.

    Only the excerpt at hand is held.
    """
    waiting = sorted(wanted, key=lambda excerpt: excerpt.start)
    parts: list[Tensor] = []
    position = 0
    for block in blocks:
        begin = 0
        while waiting and begin < block.shape[-1]:
            excerpt = waiting[0]
            first = max(begin, excerpt.start - position)
            last = min(excerpt.start + excerpt.frames - position, block.shape[-1])
            if first >= block.shape[-1]:
                break
            parts.append(block[..., first:last].clone())
            begin = last
            if position + last == excerpt.start + excerpt.frames:
                yield excerpt, torch.cat(parts, dim=-1)
                parts = []
                waiting.pop(0)
        position += block.shape[-1]
        if not waiting:
            return
