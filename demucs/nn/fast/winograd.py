"""Convolutions of three taps with half the multiplications: Winograd's algorithm along time.

Reference: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks"
(arXiv:1509.09308), F(4, 3): six products give four neighbouring outputs of a filter of three taps,
which take twelve otherwise. Along frequency the convolution stays as it is, so that the sums to and
from the six stay small beside the products.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.fast.convolution import Convolution
from demucs.nn.fast.layout import channels_last

TILE = 4  # outputs of one tile
WIDE, WIDE_OVER_TIME = 48, 192  # channels from which it gains, measured
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
    """A Conv1d of 3 taps or a Conv2d of 3 × 3, made for a padding of 1; loses some 6 dB of 125.

    Args:
        conv: the trained layer; its parameters are copied.
        flat: the input has one frequency, so weights for its neighbours would meet zeros alone.

    Shape:
        `[B, Cin, F + 2 margin[0], N + 2]` → `[B, Cout, F, N]` in float32, channels-last: the
        caller puts the padding (`margin`) around the input.
    """

    def __init__(self, conv: nn.Conv1d | nn.Conv2d, flat: bool):
        super().__init__()
        weight = conv.weight.detach().float()
        if weight.dim() == 3:
            weight = weight[:, :, None]
        elif flat:
            weight = weight[:, :, 1:2]
        self.bias = cast(Tensor, conv.bias).detach().float()[:, None, None].clone()
        self.margin = (weight.shape[2] // 2, 1)
        self.products = nn.ModuleList(_product(weight @ torch.tensor(row)) for row in FILTER)

    @staticmethod
    def fits(conv: nn.Module, dtype: torch.dtype, flat: bool) -> bool:
        """Whether `conv` is of this kind and wide enough to gain."""
        return (
            isinstance(conv, nn.Conv1d | nn.Conv2d)
            and conv.kernel_size == (3,) * (1 if isinstance(conv, nn.Conv1d) else 2)
            and conv.padding == tuple(1 for _ in conv.kernel_size)
            and dtype == torch.float32
            and conv.in_channels >= (WIDE_OVER_TIME if flat else WIDE)
        )

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[3] - 2
        tiles = -(-frames // TILE)
        if frames % TILE:
            x = channels_last(F.pad(x, (0, self.fill(frames))))
        inputs = [x[..., start::TILE][..., :tiles] for start in range(TILE + 2)]
        products = [
            product(sums) for product, sums in zip(self.products, _to_products(inputs), strict=True)
        ]
        batch, channels, bins, _ = products[0].shape
        out = x.new_empty(batch, bins, tiles, TILE, channels)
        outputs = [out[..., k, :].permute(0, 3, 1, 2) for k in range(TILE)]
        _from_products(products, outputs, self.bias)
        y = out.view(batch, bins, tiles * TILE, channels).permute(0, 3, 1, 2)
        return y[..., :frames]

    @staticmethod
    def fill(frames: int) -> int:
        """Frames after the last that save a copy if they are there, as zeros."""
        return -frames % TILE


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
