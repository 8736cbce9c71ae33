"""Convolution, norm and gated linear unit in one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.fast.convolution import Convolution
from demucs.nn.fast.tiles import FREQUENCY, TIME, cut, put, tiles
from demucs.nn.fast.winograd import Winograd

# measured: up to so many channels two convolutions are faster, and PyTorch's own GLU is slow
NARROW = {torch.float32: 48, torch.bfloat16: 96}


class Gated(nn.Module):
    """The 'rewrite' of a layer: a convolution to twice the channels, a norm, and GLU.

    PyTorch's GLU is slow where few channels lie side by side. There each half has a convolution of
    its own, and the logistic function is applied as its result is written.

    Shape:
        `[B, C, F, N]` → `[B, C, F, N]`, channels-last.
    """

    def __init__(self, conv: nn.Module, norm: nn.Module, dtype: torch.dtype, flat: bool):
        super().__init__()
        assert isinstance(conv, nn.Conv1d | nn.Conv2d)
        half = conv.out_channels // 2
        self.norm = None if isinstance(norm, nn.Identity) else norm
        fits = Winograd.fits(conv, dtype, flat)
        self.split = self.norm is None and half <= NARROW[dtype] and not fits
        self.fill = Winograd.fill if fits else _no_fill
        if self.split:
            self.value = Convolution(conv, dtype, "none", flat, slice(half), False)
            self.gate = Convolution(conv, dtype, "sigmoid", flat, slice(half, None), False)
            self.margin = self.value.margin
        else:
            self.both = (
                Winograd(conv, flat) if fits else Convolution(conv, dtype, flat=flat, padded=False)
            )
            self.margin = self.both.margin

    @property
    def local(self) -> bool:
        """Whether each output depends on the same position of the input alone."""
        return self.norm is None and self.margin == (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            return self.tile(x, FREQUENCY, 0, x.shape[2])
        axis = TIME if x.shape[2] == 1 else FREQUENCY
        size, out = x.shape[axis], None
        for start, stop in tiles(size, 2 * x.nbytes // size):
            out = put(out, self.tile(x, axis, start, stop), axis, start, size)
        assert out is not None
        return out

    def tile(
        self, x: Tensor, axis: int, start: int, stop: int, plus: Tensor | None = None
    ) -> Tensor:
        """Positions `start` to `stop` along `axis` of the output, for `x` or `x + plus`."""
        first, last = start - self.margin[axis - 2], stop + self.margin[axis - 2]
        before = after = 0
        if axis == TIME:
            frames = stop - start
            last += self.fill(frames)
        else:
            frames = x.shape[TIME]
            before, after = self.margin[1], self.margin[1] + self.fill(frames)
        x = cut(x, axis, first, last, (before, after), plus)
        if self.split:
            value: Tensor = self.value(x)
            return value.mul_(self.gate(x))
        y = self.both(x)[..., :frames]
        return glu(y if self.norm is None else self.norm(y))


def _no_fill(frames: int) -> int:
    return 0


def glu(x: Tensor) -> Tensor:
    """GLU over the channels: `[B, 2 C, F, N]` → `[B, C, F, N]`."""
    halves = _split(x)
    return F.glu(x, dim=1) if halves is None else halves[0].mul_(halves[1].sigmoid_())


def add_glu(total: Tensor, x: Tensor) -> Tensor:
    """Adds that to `total` `[B, C, F, N]`, in place."""
    halves = _split(x)
    if halves is None:
        return total.add_(F.glu(x, dim=1))
    return total.addcmul_(halves[0], halves[1].sigmoid_())


def _split(x: Tensor) -> tuple[Tensor, Tensor] | None:
    """Copies of both halves of the channels where they are narrow, else None.

    PyTorch works on rows of C neighbours; where those are short, most time goes into their ends.
    Copying is quick as numbers of 64 bits, and what follows meets one long row.
    """
    half = x.shape[1] // 2
    if half > NARROW[x.dtype] or half * x.element_size() % 8:
        return None
    if not x.is_contiguous(memory_format=torch.channels_last):
        return None
    rows = x.permute(0, 2, 3, 1)
    if any(stride * x.element_size() % 8 for stride in rows.stride()[:-1]):
        return None  # along one neighbour alone any stride will do, but not for a view
    value, gate = (
        part.view(torch.float64).contiguous().view(x.dtype).permute(0, 3, 1, 2)
        for part in torch.split(rows, half, dim=-1)
    )
    return value, gate
