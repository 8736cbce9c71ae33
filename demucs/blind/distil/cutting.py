"""The samples of excerpts, out of a signal that comes in blocks."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from demucs.blind.distil.excerpts import Excerpt


def cut(blocks: Iterable[Tensor], wanted: Sequence[Excerpt]) -> Iterator[tuple[Excerpt, Tensor]]:
    """The samples `[C, frames]` of excerpts, in order, of a signal that comes in blocks `[C, n]`.

    Only the excerpt at hand is held.
    """
    waiting = sorted(wanted, key=lambda one: one.start)
    parts: list[Tensor] = []
    position = 0
    for block in blocks:
        begin = 0
        while waiting and begin < block.shape[-1]:
            one = waiting[0]
            first = max(begin, one.start - position)
            last = min(one.start + one.frames - position, block.shape[-1])
            if first >= block.shape[-1]:
                break
            parts.append(block[..., first:last].clone())
            begin = last
            if position + last == one.start + one.frames:
                yield one, torch.cat(parts, dim=-1)
                parts = []
                waiting.pop(0)
        position += block.shape[-1]
        if not waiting:
            return
