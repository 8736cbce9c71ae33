"""Layers with weights of their own for each frequency band (`multi_freqs`).

The bands are cut so that joining their outputs gives as many frequencies as one layer would.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.geometry import LayerShape
from demucs.nn.layers import DecoderLayer, EncoderLayer


class BandEncoder(nn.Module):
    """An EncoderLayer a band. Args as `BandDecoder`.

    Shape:
        `[B, chin, F, N]` → `[B, chout, F / stride, N]`.
    """

    empty = False

    def __init__(self, layer: EncoderLayer, ratios: list[float]):
        super().__init__()
        self.ratios = ratios
        self.shape: LayerShape = layer.shape
        if isinstance(layer.conv, nn.Conv2d):
            layer.conv.padding = (0, 0)  # only the outermost edges are padded, below
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(len(ratios) + 1))

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        assert inject is None, "the time branch joins after the bands"
        bins, pad = x.shape[2], self.shape.kernel // 4
        padded = F.pad(x, (0, 0, pad, pad))
        outs, start = [], 0
        for index, layer in enumerate(self.layers):
            stop = bins + 2 * pad
            if index < len(self.ratios):
                steps = self._steps(round(bins * self.ratios[index]) + pad - start)
                stop = start + (steps - 1) * self.shape.stride + self.shape.kernel
            outs.append(layer(padded[:, :, start:stop]))
            start = stop - self.shape.kernel + self.shape.stride
        return torch.cat(outs, dim=2)

    def _steps(self, bins: int) -> int:
        """How many outputs come closest to covering `bins` inputs."""
        return round((bins - self.shape.kernel) / self.shape.stride + 1)


class BandDecoder(nn.Module):
    """A DecoderLayer a band; where the outputs of two bands overlap, they are added.

    Args:
        layer: the layer to copy for each band.
        ratios: upper edges of all bands but the last, as shares of the frequency axis.

    Shape:
        `[B, chin, F, N]` → `[B, chout, F * stride, N]`.
    """

    empty = False

    def __init__(self, layer: DecoderLayer, ratios: list[float]):
        super().__init__()
        self.ratios = ratios
        self.last = layer.last
        self.shape: LayerShape = layer.shape
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(len(ratios) + 1))

    def forward(self, x: Tensor, skip: Tensor | None, length: int) -> tuple[Tensor, Tensor]:
        assert skip is not None
        bins, stride = x.shape[2], self.shape.stride
        edges = [0, *(round(bins * ratio) for ratio in self.ratios), bins]
        outs: list[Tensor] = []
        for layer, start, stop in zip(self.layers, edges[:-1], edges[1:], strict=True):
            assert isinstance(layer, DecoderLayer)
            y = layer.prepare(x[:, :, start:stop], skip[:, :, start:stop])
            out = layer.norm2(layer.conv_tr(y))
            if outs:
                bias = layer.conv_tr.bias  # must not count twice where two bands add up
                overlap = out[:, :, :stride] - cast(Tensor, bias).view(1, -1, 1, 1)
                outs[-1] = torch.cat(
                    [outs[-1][:, :, :-stride], outs[-1][:, :, -stride:] + overlap], dim=2
                )
                out = out[:, :, stride:]
            outs.append(out)
        z = torch.cat(outs, dim=2)
        z = z[:, :, stride // 2 : z.shape[2] - stride // 2]
        return (z if self.last else F.gelu(z)), x
