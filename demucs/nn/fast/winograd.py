"""Convolutions of three taps with half the multiplications: Winograd's algorithm along time.

Reference: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks"
(arXiv:1509.09308), F(4, 3): six products give four neighbouring outputs of a filter of three taps,
which take twelve otherwise. Along frequency the convolution stays as it is, so that the sums to and
from the six stay small beside the products.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.fast.convolution import Convolution
from demucs.nn.fast.layout import channels_last

TILE = 4  # outputs of one tile
WIDE, WIDE_OVER_TIME = 48, 192  # channels from which it gains, measured
BLOCK = 4 * 2**20  # bytes of output for the frequencies worked on at a time
# taps → what multiplies the six sums of inputs
FILTER = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)


def _product(weight: Tensor) -> Convolution:
    """The convolution over frequency with `weight` `[Cout, Cin, 1 or 3]`, without bias."""
    chout, chin, taps = weight.shape
    conv = nn.Conv2d(chin, chout, (taps, 1), device="meta")
    conv.weight = nn.Parameter(weight[..., None])
    conv.bias = nn.Parameter(torch.zeros(chout))
    return Convolution(conv, torch.float32)


class Winograd(nn.Module):
    """A Conv1d of 3 taps or a Conv2d of 3 × 3, padded by 1; loses some 6 dB of 125.

    Args:
        conv: the trained layer; its parameters are copied.
        flat: the input has one frequency, so weights for its neighbours would meet zeros alone.

    Shape:
        `[B, Cin, F, N]` → `[B, Cout, F, N]` in float32, channels-last.
    """

    def __init__(self, conv: nn.Conv1d | nn.Conv2d, flat: bool):
        super().__init__()
        weight = conv.weight.detach().float()
        if weight.dim() == 3:
            weight = weight[:, :, None]
        elif flat:
            weight = weight[:, :, 1:2]
        self.bias = cast(Tensor, conv.bias).detach().float()[:, None, None].clone()
        self.around = weight.shape[2] // 2  # neighbouring frequencies on each side
        self.products = nn.ModuleList(
            _product((weight * torch.tensor(row)).sum(-1)) for row in FILTER
        )

    @staticmethod
    def fits(conv: nn.Module, dtype: torch.dtype, flat: bool) -> bool:
        """Whether `conv` is of this kind and wide enough to gain."""
        kernels = {nn.Conv1d: (3,), nn.Conv2d: (3, 3)}
        return (
            isinstance(conv, nn.Conv1d | nn.Conv2d)
            and conv.kernel_size == kernels[type(conv)]
            and conv.padding == tuple(1 for _ in conv.kernel_size)
            and dtype == torch.float32
            and conv.in_channels >= (WIDE_OVER_TIME if flat else WIDE)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.then(lambda y: y, x)

    def then(self, work: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """`work` on the output, by blocks of frequencies so small that all stays in the cache."""
        bins, frames = x.shape[2:]
        tiles = -(-frames // TILE)
        step = max(1, BLOCK // (tiles * TILE * self.bias.nbytes))
        out: Tensor | None = None
        for start in range(0, bins, step):
            stop = min(bins, start + step)
            done = work(self._block(self._around(x, start, stop, tiles), tiles))[..., :frames]
            if out is None:
                shape = (x.shape[0], done.shape[1], bins, frames)
                out = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
            out[:, :, start:stop] = done
        assert out is not None
        return out

    def _around(self, x: Tensor, start: int, stop: int, tiles: int) -> Tensor:
        """Frequencies from `start` to `stop` and their neighbours, in time filled up to tiles."""
        bins, frames = x.shape[2:]
        first, last = start - self.around, stop + self.around
        sides = (1, TILE * tiles + 1 - frames, max(0, -first), max(0, last - bins))
        return channels_last(F.pad(x[:, :, max(0, first) : last], sides))

    def _block(self, x: Tensor, tiles: int) -> Tensor:
        inputs = [x[..., start::TILE][..., :tiles] for start in range(TILE + 2)]
        products = [
            product(one) for product, one in zip(self.products, _to_products(inputs), strict=True)
        ]
        batch, channels, bins, _ = products[0].shape
        out = x.new_empty(batch, bins, tiles, TILE, channels)
        outputs = [out[..., k, :].permute(0, 3, 1, 2) for k in range(TILE)]
        _from_products(products, outputs, self.bias)
        return out.view(batch, bins, tiles * TILE, channels).permute(0, 3, 1, 2)


def _to_products(d: Sequence[Tensor]) -> list[Tensor]:
    """The six sums of six neighbouring inputs."""
    even, odd = torch.sub(d[4], d[2], alpha=4), torch.sub(d[3], d[1], alpha=4)
    near, far = d[4] - d[2], d[3] - d[1]
    return [
        torch.add(even, d[0], alpha=4).sub_(d[2]),
        even + odd,
        even.sub_(odd),
        torch.add(near, far, alpha=2),
        near.sub_(far, alpha=2),
        torch.sub(d[5], d[3], alpha=5).add_(d[1], alpha=4),
    ]


def _from_products(m: Sequence[Tensor], out: Sequence[Tensor], bias: Tensor) -> None:
    """The four outputs of six products; these are overwritten."""
    both, unlike = m[1] + m[2], m[1].sub_(m[2])
    both_far, unlike_far = m[3] + m[4], m[3].sub_(m[4])
    both.add_(bias)
    unlike.add_(bias)
    torch.add(m[0].add_(both), both_far, out=out[0])
    torch.add(unlike, unlike_far, alpha=2, out=out[1])
    torch.add(both, both_far, alpha=4, out=out[2])
    torch.add(m[5].add_(unlike), unlike_far, alpha=8, out=out[3])
