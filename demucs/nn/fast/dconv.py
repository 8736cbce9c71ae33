"""The DConv branch with each frequency as a batch item, in place."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.dconv import DConv, LayerScale, LocalState
from demucs.nn.fast.attention import FastLocalState
from demucs.nn.fast.convolution import Convolution
from demucs.nn.fast.folded import FoldedNorm
from demucs.nn.fast.gated import add_glu
from demucs.nn.fast.layout import as_rows, channels_last, from_rows

BLOCK = 4 * 2**20  # bytes of the widest tensor for the frequencies worked on at a time


class FastDConv(nn.Module):
    """All residual layers of a DConv.

    Shape:
        `[B, C, F, N]`, where each frequency is a signal of its own → the same. The input is
        overwritten where it is channels-last.
    """

    def __init__(self, dconv: DConv, dtype: torch.dtype):
        super().__init__()
        self.layers = nn.ModuleList(
            _Residual(layer, dtype) for layer in dconv.layers if isinstance(layer, nn.Sequential)
        )
        assert len(self.layers) == len(dconv.layers)
        # an LSTM takes as long for few signals as for many
        self.whole = any(
            len(layer) > 7 for layer in dconv.layers if isinstance(layer, nn.Sequential)
        )

    def forward(self, x: Tensor) -> Tensor:
        rows = as_rows(x)
        block = len(rows) if self.whole else max(1, BLOCK // (2 * rows[:1].nbytes))
        for some in torch.split(rows, block):
            for layer in self.layers:
                layer(some)
        return from_rows(rows, x.shape[2])


class _Residual(nn.Module):
    """One layer: narrow convolution, norm, GELU, (LSTM, attention), wide convolution, norm, GLU.

    The factors of the LayerScale are multiplied into the norm's, as GLU is linear in its first
    half.
    """

    def __init__(self, layer: nn.Sequential, dtype: torch.dtype):
        super().__init__()
        narrow, norm, _, *middle, wide, wide_norm, _, scale = layer
        assert isinstance(scale, LayerScale)
        assert isinstance(norm, nn.GroupNorm)
        self.narrow = Convolution(narrow, dtype)
        self.norm = copied(norm, torch.float32)
        self.middle = nn.ModuleList(
            FastLocalState(layer, dtype) if isinstance(layer, LocalState) else copied(layer, dtype)
            for layer in middle
        )
        self.wide = Convolution(wide, dtype)
        self.wide_norm = copied(wide_norm, torch.float32)
        factors = torch.cat([scale.scale.detach(), torch.ones_like(scale.scale)])
        for parameter in self.wide_norm.parameters():
            parameter.mul_(factors)
        self.folded = FoldedNorm.of(wide, self.wide_norm)

    def forward(self, x: Tensor) -> None:
        """Works on `x` `[R, C, 1, N]` in place."""
        y: Tensor = F.gelu(self.norm(self.narrow(x)))
        for layer in self.middle:
            if isinstance(layer, FastLocalState):
                y = layer(channels_last(y))
            else:
                y = layer(y[:, :, 0].contiguous())[:, :, None]
        if self.folded is None or 2 * x[:1].nbytes <= BLOCK:
            add_glu(x, self.wide_norm(self.wide(y)))
            return
        for row, hidden in zip(torch.split(x, 1), torch.split(channels_last(y), 1), strict=True):
            self.folded.add_gated(row, hidden)


def copied(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a plain module in another type that needs no gradients."""
    return copy.deepcopy(module).to(dtype).requires_grad_(False).eval()
