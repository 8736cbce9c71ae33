"""Tiles: spans of frequencies or of time that a layer works on one after the other.

The intermediate results of a layer then stay in the processor's cache, and need no new memory from
the system, which costs more than many of the products.
"""

from torch import Tensor
from torch.nn import functional as F

from demucs.nn.fast.layout import channels_last
from demucs.nn.fast.pool import POOL

FREQUENCY, TIME = 2, 3  # dimensions of `[B, C, F, N]`
BLOCK = 4 * 2**20  # bytes of a layer's output worked on at a time; a megabyte to 8 are as good


def tiles(size: int, bytes_each: int) -> list[tuple[int, int]]:
    """First and last (exclusive) position of each tile of `size` positions of `bytes_each`.

    All lengths but the last are multiples of 4, if that many fit.
    """
    step = max(1, BLOCK // max(1, bytes_each))
    step = step - step % 4 if step > 4 else step
    return [(start, min(size, start + step)) for start in range(0, size, step)]


def cut(
    x: Tensor,
    axis: int,
    first: int,
    last: int,
    sides: tuple[int, int] = (0, 0),
    plus: Tensor | None = None,
) -> Tensor:
    """Positions `first` to `last` of `x` along `axis`, with zeros where there are none.

    Args:
        x: `[B, C, F, N]`, channels-last.
        sides: zeros to put before and after along the other axis.
        plus: a tensor of the same shape, to add.

    Returns:
        A view where there is nothing to add or to pad and `x` is one example.
    """
    begin, end = max(first, 0), min(last, x.shape[axis])
    inner = x.narrow(axis, begin, end - begin)
    if plus is not None:
        inner = inner + plus.narrow(axis, begin, end - begin)
    along = (begin - first, last - end)
    if any(along) or any(sides):
        inner = F.pad(inner, (*sides, *along) if axis == FREQUENCY else (*along, *sides))
    return channels_last(inner)


def buffer_like(y: Tensor, axis: int, size: int) -> Tensor:
    """An uninitialised buffer for a tensor like `y`, with another `size` along `axis`."""
    shape = list(y.shape)
    shape[axis] = size
    return POOL.empty(shape, y.dtype)


def put(out: Tensor | None, y: Tensor, axis: int, start: int, size: int) -> Tensor:
    """`out`, of `size` along `axis`, with `y` from `start` on; a new tensor if `out` is None."""
    if out is None:
        if y.shape[axis] == size:
            return y
        out = buffer_like(y, axis, size)
    out.narrow(axis, start, y.shape[axis]).copy_(y)
    return out
