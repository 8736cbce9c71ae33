"""Convolution, norm and gated linear unit in one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.fast.convolution import Convolution
from demucs.nn.fast.winograd import Winograd

NARROW = {torch.float32: 48, torch.bfloat16: 96}  # measured: up to here two halves are faster


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
        plain = isinstance(norm, nn.Identity)
        self.split = plain and half <= NARROW[dtype]
        if self.split:
            self.value = Convolution(conv, dtype, flat=flat, keep=slice(half))
            self.gate = Convolution(conv, dtype, "sigmoid", flat, slice(half, None))
        else:
            fits = Winograd.fits(conv, dtype)
            self.both = Winograd(conv, flat) if fits else Convolution(conv, dtype, flat=flat)
            self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        if self.split:
            value: Tensor = self.value(x)
            return value.mul_(self.gate(x))
        return F.glu(self.norm(self.both(x)), dim=1)
