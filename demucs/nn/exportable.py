"""Networks made of operations that other formats have: real numbers, and fixed lengths.

They give the same numbers as the ordinary networks, up to rounding.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import julius
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.errors import ConfigError
from demucs.nn.dconv import BLSTM
from demucs.nn.demucs import Demucs
from demucs.nn.hdemucs import HDemucs
from demucs.nn.htdemucs import HTDemucs
from demucs.nn.norms import GroupNorm
from demucs.nn.real_stft import RealSTFT, factors
from demucs.nn.transformer import CrossTransformer, TokenNorm


def exportable(model: nn.Module) -> nn.Module:
    """A copy of `model`, in evaluation mode, that computes with real numbers only.

    Raises:
        ConfigError: a network that cannot be written so; the message says why.
    """
    networks = {Demucs: ExportableDemucs, HDemucs: ExportableHDemucs, HTDemucs: ExportableHTDemucs}
    if type(model) not in networks:
        known = ", ".join(network.__name__ for network in networks)
        raise ConfigError(f"{type(model).__name__} cannot be exported: choose one of {known}")
    kinds: dict[type, type] = {
        **networks,
        BLSTM: SlicedBLSTM,
        nn.MultiheadAttention: PlainAttention,
        GroupNorm: StagedGroupNorm,
        TokenNorm: StagedTokenNorm,
    }
    twin = copy.deepcopy(model)
    for module in twin.modules():
        module.__class__ = kinds.get(type(module), module.__class__)
    if isinstance(twin, RealSpectra | ExportableDemucs):
        twin.prepare()
    return twin.eval()


@contextmanager
def positions_from_zero(model: nn.Module) -> Iterator[None]:
    """Transformers that begin to count at a random position begin at 0 meanwhile."""
    transformers = [
        transformer for transformer in model.modules() if isinstance(transformer, CrossTransformer)
    ]
    shifts = [transformer.sin_random_shift for transformer in transformers]
    for transformer in transformers:
        transformer.sin_random_shift = 0
    try:
        yield
    finally:
        for transformer, shift in zip(transformers, shifts, strict=True):
            transformer.sin_random_shift = shift


class InStages(nn.Module):
    """Means in two stages: runtimes that add up millions of floats in a row lose 40 dB by it."""

    def mean_and_std(self, x: Tensor) -> tuple[Tensor, Tensor]:
        count, ones = math.prod(x.shape[1:]), (1,) * (x.dim() - 1)
        mean, squares = _centred(x.reshape(-1, *factors(count)))[1:]
        std = (squares * (count / max(count - 1, 1))).sqrt()
        return mean.view(-1, *ones), std.view(-1, *ones)


class RealSpectra(InStages, HDemucs):
    """Spectra `[B, C, 2, F, N]`, real and imaginary parts, in place of complex ones."""

    def prepare(self) -> None:
        if not self.cac and self.wiener_iters > 0:
            raise ConfigError(
                f"wiener_iters={self.wiener_iters}: Wiener filtering cannot be exported, since it "
                "solves complex equations; export a model with cac=True or wiener_iters=0"
            )
        self.transform = RealSTFT(self.nfft, aligned=self.hybrid, reflect=not self.hybrid_old)

    def spectrogram(self, mix: Tensor) -> Tensor:
        return cast(Tensor, self.transform(mix))

    def waveform(self, spectrum: Tensor, length: int) -> Tensor:
        return self.transform.inverse(spectrum, length)

    def features(self, spectrum: Tensor) -> Tensor:
        if self.cac:
            return spectrum.view(-1, 2 * self.audio_channels, *spectrum.shape[3:])
        return _magnitude(spectrum)[:, :, 0]

    def complex_stems(self, spectrum: Tensor, output: Tensor) -> Tensor:
        """`[B, S, C, 2, F, N]`."""
        if self.cac:
            stems, (bins, frames) = len(self.sources), output.shape[3:]
            return output.view(-1, stems, self.audio_channels, 2, bins, frames)
        size, scaled = _magnitude(spectrum), output[:, :, :, None]
        if self.wiener_iters < 0:
            return (spectrum / (1e-8 + size))[:, None] * scaled
        # a bin without energy has phase 0
        ahead = torch.cat([torch.ones_like(size), torch.zeros_like(size)], 2)
        phase = torch.where(size > 0, spectrum / size.clamp(min=1e-30), ahead)
        return phase[:, None] * scaled


class ExportableHDemucs(RealSpectra):
    """HDemucs with real spectra."""


class ExportableHTDemucs(RealSpectra, HTDemucs):
    """HTDemucs with real spectra."""


class ExportableDemucs(InStages, Demucs):
    """Time-domain Demucs whose resampling holds its filters and knows its lengths."""

    def prepare(self) -> None:
        for old, new in ((1, 2), (2, 1)):
            kernel = julius.ResampleFrac(old, new).kernel.repeat(self._width(old), 1, 1)
            self.register_buffer(f"filters_{old}_{new}", kernel)

    def _width(self, old: int) -> int:
        """Channels that are resampled: of the mixture before the network, of all stems after it."""
        return self.audio_channels * (1 if old == 1 else len(self.sources))

    def resampled(self, x: Tensor, old: int, new: int) -> Tensor:
        kernel, channels = getattr(self, f"filters_{old}_{new}"), self._width(old)
        before = (kernel.shape[-1] - old) // 2
        padded = F.pad(x, (before, before + old), mode="replicate")
        y = F.conv1d(padded, kernel, stride=old, groups=channels)
        steps = y.shape[-1]
        y = y.view(-1, channels, new, steps).transpose(2, 3).reshape(-1, channels, new * steps)
        return y[..., : x.shape[-1] * new // old]


class StagedGroupNorm(nn.GroupNorm):
    """Group norm whose means are taken in two stages."""

    def forward(self, x: Tensor) -> Tensor:
        channels, rest = x.shape[1], x.shape[2:]
        rows = factors(channels // self.num_groups * math.prod(rest))
        centred, _, variance = _centred(x.reshape(-1, self.num_groups, *rows))
        y = (centred / (variance + self.eps).sqrt()).view(-1, channels, *rest)
        ones = (1,) * len(rest)
        return y * self.weight.view(-1, *ones) + self.bias.view(-1, *ones)


class StagedTokenNorm(StagedGroupNorm):
    """`TokenNorm` likewise."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class SlicedBLSTM(BLSTM):
    """A BLSTM whose chunks are slices."""

    def _framed(self, padded: Tensor) -> Tensor:
        assert self.max_steps is not None
        width, hop = self.max_steps, self.max_steps // 2
        starts = range(0, padded.shape[-1] - width + 1, hop)
        return torch.stack([padded[..., start : start + width] for start in starts], 1)


class PlainAttention(nn.MultiheadAttention):
    """Attention over `[B, T, C]` in two matrix products and a softmax, without the weights."""

    def forward(  # type: ignore[override]
        self, query: Tensor, key: Tensor, value: Tensor, **_: Any
    ) -> tuple[Tensor, None]:
        weights = cast(Tensor, self.in_proj_weight).chunk(3)
        biases = cast(Tensor, self.in_proj_bias).chunk(3)
        q, k, v = (
            F.linear(x, weight, bias)
            .view(-1, x.shape[1], self.num_heads, self.head_dim)
            .transpose(1, 2)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.head_dim)
        heard = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(-1, *query.shape[1:])
        return self.out_proj(heard), None


def _centred(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`x` without its mean over the last two axes, that mean, and the mean of the squares."""

    def mean(y: Tensor) -> Tensor:
        return y.mean(-1, keepdim=True).mean(-2, keepdim=True)

    middle = mean(x)
    centred = x - middle
    return centred, middle, mean(centred.square())


def _magnitude(spectrum: Tensor) -> Tensor:
    """`[B, C, 1, F, N]`."""
    return spectrum.square().sum(2, keepdim=True).sqrt()
