"""One encoder and one decoder layer of HDemucs, for either branch, and its small parts.

A frequency layer works on `[B, C, F, N]` and strides over F; a time layer works on `[B, C, T]`
and strides over T.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.dconv import DConv
from demucs.nn.geometry import LayerShape


class EncoderLayer(nn.Module):
    """Strided convolution, GELU, DConv, then a GLU.

    Args:
        chin, chout: channels in and out.
        shape: geometry.
        context: neighbours on each side that the GLU's convolution sees.
        dconv: arguments of DConv, or None for none.
        empty: only the strided convolution (the last layer of the time branch).

    Shape:
        input `[B, chin, F, N]` or `[B, chin, T]`; output has the strided axis divided by the
        stride, rounded up in time. A time layer flattens a four-dimensional input.
    """

    def __init__(
        self,
        chin: int,
        chout: int,
        shape: LayerShape,
        context: int = 0,
        dconv: dict[str, Any] | None = None,
        empty: bool = False,
    ):
        super().__init__()
        self.shape = shape
        self.empty = empty
        self.conv = shape.conv(chin, chout)
        if empty:
            return
        self.norm1 = shape.norm(chout)
        self.rewrite = shape.widen(chout, context) if shape.rewrite else None
        if shape.rewrite:
            self.norm2 = shape.norm(2 * chout)
        self.dconv = None if dconv is None else DConv(chout, **dconv)

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        """`inject` `[B, chout, N]`: the time branch, added before the non-linearity."""
        if not self.shape.frequency:
            if x.dim() == 4:
                x = x.flatten(1, 2)
            x = F.pad(x, (0, -x.shape[-1] % self.shape.stride))
        y: Tensor = self.conv(x)
        if self.empty:
            return y
        if inject is not None:
            y = y + (inject[:, :, None] if y.dim() == 4 else inject)
        y = over_time(self.dconv, F.gelu(self.norm1(y)))
        if self.rewrite is None:
            return y
        return F.glu(self.norm2(self.rewrite(y)), dim=1)


class DecoderLayer(nn.Module):
    """Mirror of EncoderLayer: add the skip, GLU, DConv, then a transposed convolution.

    Args:
        last: no GELU at the end (the outermost layer).
        context_frequency: the GLU's convolution also sees neighbouring frequencies.
        empty: only the transposed convolution (the first layer of the time branch).

    Shape:
        input `[B, chin, F, N]` or `[B, chin, T]` and a skip of the same shape; output cropped to
        `length` steps in time, or by the padding in frequency.
    """

    def __init__(
        self,
        chin: int,
        chout: int,
        shape: LayerShape,
        context: int = 1,
        context_frequency: bool = True,
        dconv: dict[str, Any] | None = None,
        empty: bool = False,
        last: bool = False,
    ):
        super().__init__()
        self.shape = shape
        self.chin = chin
        self.empty = empty
        self.last = last
        self.conv_tr = shape.transposed(chin, chout)
        self.norm2 = shape.norm(chout)
        if empty:
            return
        self.rewrite = shape.widen(chin, context, context_frequency) if shape.rewrite else None
        if shape.rewrite:
            self.norm1 = shape.norm(2 * chin)
        self.dconv = None if dconv is None else DConv(chin, **dconv)

    def forward(self, x: Tensor, skip: Tensor | None, length: int) -> tuple[Tensor, Tensor]:
        """Returns the output and what entered the transposed convolution."""
        y = self.prepare(x, skip)
        z = self.crop(self.norm2(self.conv_tr(y)), length)
        return (z if self.last else F.gelu(z)), y

    def prepare(self, x: Tensor, skip: Tensor | None) -> Tensor:
        if self.shape.frequency and x.dim() == 3:
            x = x.view(-1, self.chin, x.shape[1] // self.chin, x.shape[-1])
        if self.empty:
            return x
        assert skip is not None
        y = x + skip
        if self.rewrite is not None:
            y = F.glu(self.norm1(self.rewrite(y)), dim=1)
        return over_time(self.dconv, y)

    def crop(self, z: Tensor, length: int) -> Tensor:
        start = self.shape.padding
        if not self.shape.frequency:
            return z[..., start : start + length]
        return z[..., start : z.shape[-2] - start, :]


def over_time(dconv: nn.Module | None, x: Tensor) -> Tensor:
    """Applies a module made for `[B, C, T]` to that, or to `[B, C, F, N]` along the last axis."""
    if dconv is None:
        return x
    if x.dim() == 3:
        out: Tensor = dconv(x)
        return out
    channels, bins, frames = x.shape[1:]
    rows = x.transpose(1, 2).reshape(-1, channels, frames)
    out = dconv(rows)
    return out.view(-1, bins, channels, frames).transpose(1, 2)


class FrequencyEmbedding(nn.Module):
    """A learnt vector for each frequency, with its learning rate raised by `scale`.

    `smooth` starts from a random walk over frequencies, so that neighbours are alike.

    Shape:
        `bins` → `[C, bins]`.
    """

    def __init__(self, bins: int, channels: int, scale: float = 10.0, smooth: bool = True):
        super().__init__()
        self.scale = scale
        self.embedding = nn.Embedding(bins, channels)
        weight = self.embedding.weight
        if weight.is_meta:  # the values come later, see `build_empty`
            return
        with torch.no_grad():
            if smooth:
                steps = torch.arange(1, bins + 1, dtype=weight.dtype)
                weight.copy_(weight.cumsum(0) / steps.sqrt()[:, None])
            weight.div_(scale)

    def forward(self, bins: int) -> Tensor:
        return self.embedding.weight[:bins].t() * self.scale


def rescale_convolutions(module: nn.Module, reference: float) -> None:
    """Moves the initial scale of every convolution half way (in dB) to `reference`.

    Reference: arXiv:1911.13254, "weight rescaling".
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    for child in module.modules():
        if isinstance(child, kinds) and not child.weight.is_meta:
            with torch.no_grad():
                factor = (child.weight.std() / reference).sqrt()
                child.weight.div_(factor)
                if child.bias is not None:
                    child.bias.div_(factor)
