"""Encoder and decoder layers of either branch on `[B, C, F, N]`; time layers have F = 1."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.bands import BandDecoder, BandEncoder
from demucs.nn.dconv import DConv
from demucs.nn.fast.convolution import Convolution, Transposed, TransposedOverTime
from demucs.nn.fast.dconv import FastDConv, copied
from demucs.nn.fast.gated import Gated
from demucs.nn.fast.layout import channels_last
from demucs.nn.layers import DecoderLayer, EncoderLayer


class FastEncoder(nn.Module):
    """An EncoderLayer.

    Args:
        joined: the time branch is added to this layer's convolution.

    Shape:
        `[B, chin, F, N]` → `[B, chout, F', N]`, or `[B, chin, 1, T]` → `[B, chout, 1, T']`.
    """

    def __init__(self, layer: EncoderLayer, dtype: torch.dtype, joined: bool):
        super().__init__()
        shape = layer.shape
        self.empty = layer.empty
        self.divisor = 1 if shape.frequency else shape.stride
        if self.empty:
            self.conv = Convolution(layer.conv, dtype)
            return
        self.fused = isinstance(layer.norm1, nn.Identity) and not joined
        self.conv = Convolution(layer.conv, dtype, "gelu" if self.fused else "none")
        self.norm1 = copied(layer.norm1, torch.float32)
        self.dconv = fast_dconv(layer.dconv, dtype)
        self.rewrite = None
        if layer.rewrite is not None:
            flat = shape.merges or not shape.frequency
            self.rewrite = Gated(layer.rewrite, copied(layer.norm2, torch.float32), dtype, flat)

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        missing = -x.shape[-1] % self.divisor
        y: Tensor = self.conv(F.pad(x, (0, missing)) if missing else x)
        if self.empty:
            return y
        if inject is not None:
            y = y.add_(inject)
        if not self.fused:
            y = F.gelu(self.norm1(y))
        y = self.dconv(y)
        return y if self.rewrite is None else self.rewrite(y)


class FastDecoder(nn.Module):
    """A DecoderLayer.

    Shape:
        `[B, chin, F, N]`, which is overwritten, and a skip of the same shape →
        `[B, chout, F', N]`, or the same over time with F = 1.
    """

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype):
        super().__init__()
        shape = layer.shape
        self.empty, self.last, self.frequency = layer.empty, layer.last, shape.frequency
        self.norm2 = copied(layer.norm2, torch.float32)
        # A norm sees what will be cropped, so the crop cannot be left to the convolution.
        early = shape.frequency and isinstance(layer.norm2, nn.Identity)
        self.crop = 0 if early else shape.padding
        if TransposedOverTime.fits(layer.conv_tr):
            assert isinstance(layer.conv_tr, nn.ConvTranspose1d)
            self.conv_tr: nn.Module = TransposedOverTime(layer.conv_tr, dtype)
        else:
            self.conv_tr = Transposed(layer.conv_tr, dtype, shape.padding if early else 0)
        if self.empty:
            return
        self.dconv = fast_dconv(layer.dconv, dtype)
        self.rewrite = None
        if layer.rewrite is not None:
            flat = shape.merges or not shape.frequency
            self.rewrite = Gated(layer.rewrite, copied(layer.norm1, torch.float32), dtype, flat)

    def forward(self, x: Tensor | None, skip: Tensor | None, length: int) -> tuple[Tensor, Tensor]:
        """The output and what entered the transposed convolution; `x` None stands for zeros."""
        y = _sum(x, skip)
        if not self.empty:
            if self.rewrite is not None:
                y = self.rewrite(y)
            y = self.dconv(y)
        z = self.norm2(self.conv_tr(y))
        if self.frequency:
            z = z[:, :, self.crop : z.shape[2] - self.crop]
        else:
            z = z[..., self.crop : self.crop + length]
        return (z if self.last else F.gelu(z)), y


class PlainEncoder(nn.Module):
    """A layer that has no fast form (bands of frequencies), as it is."""

    empty = False

    def __init__(self, layer: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.layer = copied(layer, dtype)

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        out: Tensor = self.layer(x, inject)
        return channels_last(out)


class PlainDecoder(nn.Module):
    """The same for a decoder."""

    empty = False

    def __init__(self, layer: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.layer = copied(layer, dtype)

    def forward(self, x: Tensor | None, skip: Tensor, length: int) -> tuple[Tensor, Tensor]:
        out, before = self.layer(torch.zeros_like(skip) if x is None else x, skip, length)
        return channels_last(out), before


def fast_encoder(layer: nn.Module, dtype: torch.dtype, joined: bool = False) -> nn.Module:
    """The fast form of one encoder layer, or a copy of it where there is none."""
    if isinstance(layer, BandEncoder):
        return PlainEncoder(layer, dtype)
    assert isinstance(layer, EncoderLayer)
    return FastEncoder(layer, dtype, joined)


def fast_decoder(layer: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The fast form of one decoder layer, or a copy of it where there is none."""
    if isinstance(layer, BandDecoder):
        return PlainDecoder(layer, dtype)
    assert isinstance(layer, DecoderLayer)
    return FastDecoder(layer, dtype)


def fast_dconv(dconv: nn.Module | None, dtype: torch.dtype) -> nn.Module:
    return FastDConv(dconv, dtype) if isinstance(dconv, DConv) else nn.Identity()


def _sum(x: Tensor | None, skip: Tensor | None) -> Tensor:
    if x is None or skip is None:
        found = skip if x is None else x
        assert found is not None
        return found
    return x.add_(skip)
