"""Encoder and decoder layers of either branch on `[B, C, F, N]`; time layers have F = 1."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.bands import BandDecoder, BandEncoder
from demucs.nn.dconv import DConv
from demucs.nn.fast.convolution import Transposed, TransposedOverTime
from demucs.nn.fast.dconv import FastDConv, copied
from demucs.nn.fast.gated import Gated
from demucs.nn.fast.layout import channels_last
from demucs.nn.fast.pool import POOL
from demucs.nn.fast.strided import strided
from demucs.nn.fast.tiles import FREQUENCY, TIME, buffer_like, cut, put, tiles
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
        self.shape, self.empty = layer.shape, layer.empty
        self.axis = FREQUENCY if layer.shape.frequency else TIME
        if self.empty:
            self.conv = strided(layer.conv, dtype)
            return
        self.fused = isinstance(layer.norm1, nn.Identity) and not joined
        after = "gelu" if self.fused else "none"
        self.conv = strided(layer.conv, dtype, after)
        self.norm1 = copied(layer.norm1, torch.float32)
        self.dconv = fast_dconv(layer.dconv, dtype)
        self.rewrite = fast_rewrite(layer, layer.norm2, dtype) if layer.shape.rewrite else None
        # Whether the whole layer, not only its convolution, can work on some frequencies.
        self.by_frequency = (
            self.axis == FREQUENCY
            and (self.rewrite is None or self.rewrite.local)
            and not (isinstance(self.dconv, FastDConv) and self.dconv.whole)
        )

    def forward(
        self, x: Tensor, inject: Tensor | None = None, embedding: Tensor | None = None
    ) -> Tensor:
        """`embedding` `[C, F']` is added to the output."""
        size = self._size(x)
        if self.empty:
            return self._convolved(x, 0, size)
        if not self.fused:
            y = self._convolved(x, 0, size)
            y = F.gelu(self.norm1(y if inject is None else y.add_(inject)))
            return _added(self._rest(y), embedding)
        out: Tensor | None = None
        bytes_each = x.shape[0] * len(self.conv.bias) * x.element_size() * x.shape[5 - self.axis]
        for start, stop in tiles(size, bytes_each):
            y = self._convolved(x, start, stop)
            if self.by_frequency:
                some = None if embedding is None else embedding[:, start:stop]
                y = _added(self._rest(y), some)
            out = put(out, y, self.axis, start, size)
        assert out is not None
        return out if self.by_frequency else _added(self._rest(out), embedding)

    def _size(self, x: Tensor) -> int:
        """Positions of the output along the layer's axis."""
        size, shape = x.shape[self.axis], self.shape
        if self.axis == TIME:
            return -(-size // shape.stride)
        return (size + 2 * shape.padding - shape.kernel) // shape.stride + 1

    def _convolved(self, x: Tensor, start: int, stop: int) -> Tensor:
        first = self.shape.stride * start - self.shape.padding
        last = self.shape.stride * (stop - 1) - self.shape.padding + self.shape.kernel
        y: Tensor = self.conv(cut(x, self.axis, first, last))
        return y

    def _rest(self, y: Tensor) -> Tensor:
        """What follows the convolution; `y` is overwritten."""
        y = self.dconv(y)
        if self.rewrite is None:
            return y
        if self.axis == FREQUENCY or not self.rewrite.local:
            z: Tensor = self.rewrite(y)
            return z
        for start, stop in tiles(y.shape[TIME], y.nbytes // y.shape[TIME]):
            y[..., start:stop] = self.rewrite.tile(y, TIME, start, stop)
        return y


class FastDecoder(nn.Module):
    """A DecoderLayer.

    Shape:
        `[B, chin, F, N]` and a skip of the same shape, both used up → `[B, chout, F', N]`, or the
        same over time with F = 1.
    """

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype):
        super().__init__()
        shape = layer.shape
        self.empty, self.last, self.stride = layer.empty, layer.last, shape.stride
        self.axis = FREQUENCY if shape.frequency else TIME
        self.norm2 = copied(layer.norm2, torch.float32)
        self.rewrite, self.dconv = None, None
        if not self.empty:
            self.dconv = None if layer.dconv is None else fast_dconv(layer.dconv, dtype)
            if shape.rewrite:
                self.rewrite = fast_rewrite(layer, layer.norm1, dtype)
        plain = isinstance(layer.norm2, nn.Identity)
        self.by_tiles = (
            plain
            and shape.kernel == 2 * shape.stride
            and self.dconv is None
            and self.rewrite is not None
            and self.rewrite.norm is None
        )
        # A norm sees what will be cropped, so the crop cannot be left to the convolution.
        early = shape.frequency and plain and not self.by_tiles
        self.crop = 0 if early else shape.padding
        padding = shape.stride if self.by_tiles else shape.padding if early else 0
        if TransposedOverTime.fits(layer.conv_tr):
            assert isinstance(layer.conv_tr, nn.ConvTranspose1d)
            self.conv_tr: nn.Module = TransposedOverTime(
                layer.conv_tr, dtype, padded=not self.by_tiles
            )
        else:
            self.conv_tr = Transposed(layer.conv_tr, dtype, padding)

    def forward(self, x: Tensor | None, skip: Tensor | None, length: int) -> tuple[Tensor, Tensor]:
        """The output, and what entered the transposed convolution or the last part of it.

        `x` None stands for zeros.
        """
        if x is None:
            x, skip = skip, None
        assert x is not None
        if self.by_tiles:
            z, y = self._in_tiles(x, skip)
            POOL.give(x, skip)
        else:
            y = x if skip is None else x + skip
            y = y if self.rewrite is None else self.rewrite(y)
            y = y if self.dconv is None else self.dconv(y)
            z = self.norm2(self.conv_tr(y))
            z = z if self.last else F.gelu(z)
        size = length if self.axis == TIME else z.shape[self.axis] - 2 * self.crop
        return z.narrow(self.axis, self.crop, size), y

    def _in_tiles(self, x: Tensor, skip: Tensor | None) -> tuple[Tensor, Tensor]:
        """All but the crop, where a position and the one before it give `stride` positions."""
        assert self.rewrite is not None
        axis, size = self.axis, x.shape[self.axis]
        out, before = None, None
        for start, stop in tiles(size, 2 * x.nbytes // size):
            y = self.rewrite.tile(x, axis, start, stop, skip)
            both = (
                cut(y, axis, -1, y.shape[axis]) if before is None else torch.cat([before, y], axis)
            )
            before = y.narrow(axis, y.shape[axis] - 1, 1)
            if stop == size:
                both = cut(both, axis, 0, both.shape[axis] + 1)
            z = self.conv_tr(channels_last(both))
            if out is None:
                out = buffer_like(z, axis, self.stride * (size + 1))
            place = out.narrow(axis, self.stride * start, z.shape[axis])
            if self.last:
                place.copy_(z)
            else:
                torch.ops.aten.gelu.out(z, out=place)
        assert out is not None
        return out, y


class PlainEncoder(nn.Module):
    """A layer that has no fast form (bands of frequencies), as it is."""

    empty = False

    def __init__(self, layer: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.layer = copied(layer, dtype)

    def forward(
        self, x: Tensor, inject: Tensor | None = None, embedding: Tensor | None = None
    ) -> Tensor:
        return _added(channels_last(self.layer(x, inject)), embedding)


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


def fast_rewrite(layer: EncoderLayer | DecoderLayer, norm: nn.Module, dtype: torch.dtype) -> Gated:
    flat = layer.shape.merges or not layer.shape.frequency
    assert layer.rewrite is not None
    return Gated(layer.rewrite, copied(norm, torch.float32), dtype, flat)


def _added(y: Tensor, embedding: Tensor | None) -> Tensor:
    """Adds a vector `[C, F]` to each frequency, in place."""
    return y if embedding is None else y.add_(embedding[None, :, :, None])
