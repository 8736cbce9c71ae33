"""Tensors whose channels come last in memory.

Everything on the fast path has four dimensions, `[B, C, F, N]`; a time layer works on
`[B, C, 1, T]`. With the channels last in memory a convolution is a matrix product on the tensor as
it lies, and taking frequencies for batch items moves nothing.
"""

import torch
from torch import Tensor


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def as_rows(x: Tensor) -> Tensor:
    """`[B, C, F, N]` → `[B * F, C, 1, N]`, a view where `x` is channels-last."""
    batch, channels, bins, frames = x.shape
    rows = channels_last(x).permute(0, 2, 3, 1).reshape(batch * bins, 1, frames, channels)
    return rows.permute(0, 3, 1, 2)


def from_rows(rows: Tensor, bins: int) -> Tensor:
    """The inverse of `as_rows`."""
    _, channels, _, frames = rows.shape
    x = channels_last(rows).permute(0, 2, 3, 1).reshape(-1, bins, frames, channels)
    return x.permute(0, 3, 1, 2)


def copy_by_frames(out: Tensor, source: Tensor, block: int = 4) -> None:
    """Copies `[..., N]` between layouts, some frames at a time.

    Where one side has the channels last in memory and the other the frequencies, copying all at
    once meets each cache line again long after it has left the cache: four times slower.
    """
    for start in range(0, out.shape[-1], block):
        out[..., start : start + block].copy_(source[..., start : start + block])
