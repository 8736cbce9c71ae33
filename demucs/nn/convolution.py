"""Convolutions that skip products with padding, and have no stride in 16 bits on a CPU.

On processors with AMX, oneDNN (3.12, in torch 2.13) computes some strided convolutions in bfloat16
wrong: with kernel 8, stride 4 and few channels (8 to 24), the output has nothing to do with the
input, nor has the gradient of a transposed one. Without a stride both are right. So a strided
convolution in 16 bits on a CPU takes groups of `stride` neighbours as channels, and has the stride
1: the same products and sums.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv1d(nn.Conv1d):
    """`torch.nn.Conv1d`, with the same parameters.

    Shape:
        `[B, C, T]` → `[B, C', T']`.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _without_stride(self, x) if _folds(self, x) else super().forward(x)


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, with the same parameters and, up to rounding, the same numbers.

    Where the input has one frequency, as at the inside of HDemucs, the weights for its neighbours
    meet zeros alone: two thirds of that layer's work, in both directions.

    Shape:
        `[B, C, F, N]` → `[B, C', F', N']`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if _folds(self, x):
            return _without_stride(self, x)
        middle = self.kernel_size[0] // 2
        if x.shape[-2] > 1 or middle == 0 or self.padding[0] != middle:
            return super().forward(x)
        weight, padding = self.weight[:, :, middle : middle + 1], (0, int(self.padding[1]))
        return F.conv2d(x, weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose1d(nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d`, with the same parameters.

    Shape:
        `[B, C, T]` → `[B, C', T']`.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        folds = output_size is None and _folds(self, x)
        return _transposed_without_stride(self, x) if folds else super().forward(x, output_size)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, with the same parameters.

    Shape:
        `[B, C, F, N]` → `[B, C', F', N']`.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        folds = output_size is None and _folds(self, x)
        return _transposed_without_stride(self, x) if folds else super().forward(x, output_size)


def fold(x: Tensor, axis: int, stride: int) -> Tensor:
    """Takes groups of `stride` neighbours along `axis` as channels.

    >>> fold(torch.arange(6).view(1, 1, 6), axis=2, stride=3).tolist()
    [[[0, 3], [1, 4], [2, 5]]]

    Shape:
        `[B, C, ..., n * stride, ...]` → `[B, stride * C, ..., n, ...]`.
    """
    return torch.unflatten(x, axis, (-1, stride)).movedim(axis + 1, 1).flatten(1, 2)


def unfold(x: Tensor, axis: int, stride: int) -> Tensor:
    """The inverse of `fold`."""
    return torch.unflatten(x, 1, (stride, -1)).movedim(1, axis + 1).flatten(axis, axis + 1)


def fold_weight(weight: Tensor, axis: int, stride: int) -> Tensor:
    """The weight of the convolution without stride that takes a folded input.

    Shape:
        `[C', C, ..., kernel, ...]` → `[C', stride * C, ..., kernel / stride rounded up, ...]`.
    """
    return fold(pad(weight, axis, 0, -weight.shape[axis] % stride), axis, stride)


def folded_length(size: int, kernel: int, stride: int) -> int:
    """How many of `size` steps, or zeros after them, a folded convolution needs."""
    outputs, taps = (size - kernel) // stride + 1, -(-kernel // stride)
    return (outputs + taps - 1) * stride


def pad(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Zeros before and after along one axis; negative: so many steps are left out."""
    if before == after == 0:
        return x
    return F.pad(x, (0, 0) * (x.dim() - 1 - axis) + (before, after))


_Convolution = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d


def _folds(conv: _Convolution, x: Tensor) -> bool:
    """Whether a layer has a stride, in 16 bits on a CPU, and nothing that does not go with it."""
    if max(conv.stride) == 1 or x.device.type != "cpu" or _dtype(x).itemsize != 2:
        return False
    plain = max(conv.dilation) == conv.groups == 1 and conv.padding_mode == "zeros"
    return plain and max(conv.output_padding) == 0 and sum(s > 1 for s in conv.stride) == 1


def _dtype(x: Tensor) -> torch.dtype:
    """In which a convolution of `x` on the CPU is computed."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _strided(conv: _Convolution) -> tuple[int, int, int, list[int]]:
    """Axis, kernel and stride of the strided axis, and the padding."""
    index = [step > 1 for step in conv.stride].index(True)
    padding = [int(cast(int, steps)) for steps in conv.padding]
    return index + 2, conv.kernel_size[index], conv.stride[index], padding


def _without_stride(conv: nn.Conv1d | nn.Conv2d, x: Tensor) -> Tensor:
    axis, kernel, stride, padding = _strided(conv)
    before, size = padding[axis - 2], x.shape[axis]
    length = folded_length(size + 2 * before, kernel, stride)
    x = fold(pad(x, axis, before, length - size - before), axis, stride)
    padding[axis - 2] = 0
    product = F.conv1d if x.dim() == 3 else F.conv2d
    return product(x, fold_weight(conv.weight, axis, stride), conv.bias, padding=tuple(padding))


def _transposed_without_stride(conv: nn.ConvTranspose1d | nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """Each step of the input, with those before it, gives `stride` steps of the output."""
    axis, kernel, stride, padding = _strided(conv)
    length = (x.shape[axis] - 1) * stride + kernel
    weight = fold_weight(conv.weight.transpose(0, 1), axis, stride).flip(axis)  # [C', s * C, taps]
    weight = torch.unflatten(weight, 1, (stride, -1)).transpose(0, 1)
    weight = weight.flatten(0, 1)  # [s * C', C, taps]
    bias = None if conv.bias is None else conv.bias.repeat(stride)
    taps = weight.shape[axis]
    product = F.conv1d if x.dim() == 3 else F.conv2d
    y = unfold(product(pad(x, axis, taps - 1, taps - 1), weight, bias), axis, stride)
    y = pad(y, axis, -padding[axis - 2], length - padding[axis - 2] - y.shape[axis])
    crop = padding[1 - (axis - 2)] if x.dim() == 4 else 0
    return pad(y, 5 - axis, -crop, -crop) if crop else y
