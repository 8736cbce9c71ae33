"""One stretch of frequencies or of time after the other.

What a layer makes between its input and its output then stays in the processor's cache, and needs
no fresh memory from the system, which costs more than many of the products.
"""

from torch import Tensor
from torch.nn import functional as F

from demucs.nn.fast.layout import channels_last
from demucs.nn.fast.pool import POOL

FREQUENCY, TIME = 2, 3  # dimensions of `[B, C, F, N]`
BLOCK = 4 * 2**20  # bytes of a layer's output worked on at a time; a megabyte to 8 are as good


def stretches(size: int, bytes_each: int) -> list[tuple[int, int]]:
    """First and last (exclusive) of `size` positions of `bytes_each`, some at a time.

    All but the last are multiples of 4, where so many fit.
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


def room_like(y: Tensor, axis: int, size: int) -> Tensor:
    """For a tensor as `y` with another `size` along `axis`; of any content."""
    shape = list(y.shape)
    shape[axis] = size
    return POOL.empty(shape, y.dtype)


def put(out: Tensor | None, y: Tensor, axis: int, start: int, size: int) -> Tensor:
    """`out`, of `size` along `axis`, with `y` from `start` on; made where it is None."""
    if out is None:
        if y.shape[axis] == size:
            return y
        out = room_like(y, axis, size)
    out.narrow(axis, start, y.shape[axis]).copy_(y)
    return out
