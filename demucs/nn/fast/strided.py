"""The strided convolution of an encoder layer; in 16 bits without its stride."""

import torch
from torch import Tensor, nn

from demucs.nn.convolution import fold_weight, folded_length, pad
from demucs.nn.fast.convolution import Convolution
from demucs.nn.fast.layout import channels_last
from demucs.nn.fast.tiles import TIME

WORD = 8  # bytes that are copied as one number


def strided(conv: nn.Module, dtype: torch.dtype, after: str = "none") -> Convolution:
    """`Convolution` of a layer whose caller puts the zeros around the input."""
    assert isinstance(conv, nn.Conv1d | nn.Conv2d)
    folds = dtype.itemsize == 2 and max(conv.stride) > 1
    return (Folded if folds else Convolution)(conv, dtype, after, padded=False)


class Folded(Convolution):
    """A strided convolution with groups of `stride` neighbours as channels.

    `demucs.nn.convolution` says why. Over time that is the tensor as it lies in memory; over
    frequency the input is copied once.

    Args, shape:
        as `Convolution`, which strides over one axis.
    """

    def _set(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, after: str) -> None:
        self.axis = 2 + [steps > 1 for steps in self.stride].index(True)
        self.kernel, self.factor = weight.shape[self.axis], self.stride[self.axis - 2]
        self.stride = (1, 1)
        super()._set(fold_weight(weight, self.axis, self.factor), bias, dtype, after)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[self.axis]
        length = folded_length(size, self.kernel, self.factor)
        x = channels_last(pad(x, self.axis, 0, length - size))
        return super().forward(_folded(x, self.axis, self.factor))


def _folded(x: Tensor, axis: int, stride: int) -> Tensor:
    """`demucs.nn.convolution.fold` of `[B, C, F, N]`, channels-last before and after."""
    rows = x.permute(0, 2, 3, 1)
    if axis == TIME:
        return torch.unflatten(rows, 2, (-1, stride)).flatten(3).permute(0, 3, 1, 2)
    rows = torch.unflatten(rows, 1, (-1, stride)).transpose(2, 3)  # [B, F / stride, N, stride, C]
    words = all(n * x.element_size() % WORD == 0 for n in (x.shape[1], x.storage_offset()))
    copy = rows.view(torch.float64).contiguous().view(x.dtype) if words else rows.contiguous()
    return copy.flatten(3).permute(0, 3, 1, 2)
