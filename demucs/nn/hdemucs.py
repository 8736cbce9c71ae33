"""Hybrid Demucs: two U-Nets, one over the spectrogram and one over the waveform, that meet.

Reference: A. Défossez, "Hybrid Spectrogram and Waveform Source Separation" (arXiv:2111.03600).
State-dict keys, shapes and outputs are those of the public Demucs (its `HDemucs`), for every
combination of arguments that it accepts.
"""

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from demucs.errors import ConfigError
from demucs.nn.bands import BandDecoder, BandEncoder
from demucs.nn.geometry import LayerShape, check_meeting, frequency_shapes
from demucs.nn.layers import (
    DecoderLayer,
    EncoderLayer,
    FrequencyEmbedding,
    rescale_convolutions,
)
from demucs.nn.norms import moments
from demucs.nn.spectrogram import aligned_istft, aligned_stft, istft, stft
from demucs.nn.wiener import wiener


class HDemucs(nn.Module):
    """The hybrid spectrogram and waveform separator.

    Args:
        sources: names of the stems, in the order of the output.
        audio_channels: channels of the audio (1 mono, 2 stereo).
        channels: channels of the outermost layer of the frequency branch.
        channels_time: the same of the time branch (default: as `channels`).
        growth: factor of channels from layer to layer.
        nfft: size of the STFT in samples; the hop is a quarter of it.
        wiener_iters, end_iters: rounds of Wiener filtering when evaluating and when training
            (`cac=False` only); negative: the mask is the magnitude over the mixture's.
        wiener_residual: model a residual source in the Wiener filter.
        cac: "complex as channels": real and imaginary parts in and out. Without it the network
            sees and gives magnitudes, and the stems take the mixture's phase.
        depth: number of layers of the frequency branch.
        rewrite: a convolution and GLU in each layer.
        hybrid: have the time branch.
        hybrid_old: pad the STFT by zeros and keep the offset of the first hybrid models.
        multi_freqs: band edges as shares of the frequency axis, for weights of their own.
        multi_freqs_depth: how many outer layers are split into bands.
        freq_emb: weight of the frequency embedding after the first layer; 0 for none.
        emb_scale, emb_smooth: see `FrequencyEmbedding`.
        kernel_size, stride: of the convolutions over frequency, and of the time branch.
        time_stride: stride of layers past the one where the branches meet (kernel twice that).
        context, context_enc: neighbours on each side in the GLU of decoder and encoder.
        norm_starts, norm_groups: group norm from this layer on, with so many groups.
        dconv_mode: 1 = DConv in the encoder, 2 = in the decoder, 3 = both, 0 = none.
        dconv_depth, dconv_comp, dconv_init: see `DConv`.
        dconv_attn, dconv_lstm: attention, LSTM in the DConv from this layer on.
        rescale: reference of the initial weight rescaling; 0 for none.
        samplerate: in Hz.
        segment: length in seconds that separation should cut long audio into.

    Shape:
        mixture `[B, C, T]`, any T ≥ 1 → stems `[B, S, C, T]`.

    Raises:
        ConfigError: no sources, or arguments with which the branches never meet.
    """

    branches_meet = True  # the time branch ends in one layer of the frequency branch

    def __init__(
        self,
        sources: Sequence[str],
        audio_channels: int = 2,
        channels: int = 48,
        channels_time: int | None = None,
        growth: float = 2,
        nfft: int = 4096,
        wiener_iters: int = 0,
        end_iters: int = 0,
        wiener_residual: bool = False,
        cac: bool = True,
        depth: int = 6,
        rewrite: bool = True,
        hybrid: bool = True,
        hybrid_old: bool = False,
        multi_freqs: Sequence[float] | None = None,
        multi_freqs_depth: int = 2,
        freq_emb: float = 0.2,
        emb_scale: float = 10,
        emb_smooth: bool = True,
        kernel_size: int = 8,
        time_stride: int = 2,
        stride: int = 4,
        context: int = 1,
        context_enc: int = 0,
        norm_starts: int = 4,
        norm_groups: int = 4,
        dconv_mode: int = 1,
        dconv_depth: int = 2,
        dconv_comp: float = 4,
        dconv_attn: int = 4,
        dconv_lstm: int = 4,
        dconv_init: float = 1e-4,
        rescale: float = 0.1,
        samplerate: int = 44100,
        segment: float = 40,
    ):
        super().__init__()
        self.sources = list(sources)
        if not self.sources:
            raise ConfigError(f"{type(self).__name__} needs at least one source; sources is empty")
        self.audio_channels = audio_channels
        self.samplerate = samplerate
        self.segment = segment
        self.nfft = nfft
        self.cac = cac
        self.hybrid = hybrid
        self.hybrid_old = hybrid_old
        self.wiener_iters = wiener_iters
        self.end_iters = end_iters
        self.wiener_residual = wiener_residual

        shapes = frequency_shapes(
            depth, nfft, kernel_size, stride, time_stride, norm_starts, norm_groups, rewrite
        )
        if hybrid and self.branches_meet:
            check_meeting(shapes, depth, nfft, stride)
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        if hybrid:
            self.tencoder = nn.ModuleList()
            self.tdecoder = nn.ModuleList()
        wide = 2 if cac else 1
        inner, inner_t = audio_channels * wide, audio_channels
        outer, outer_t = channels, channels_time or channels
        for index, shape in enumerate(shapes):
            if shape.merges:
                outer = outer_t = max(outer, outer_t)
            dconv = dict(
                depth=dconv_depth,
                compress=dconv_comp,
                init=dconv_init,
                attn=index >= dconv_attn,
                lstm=index >= dconv_lstm,
            )
            for_encoder = dict(context=context_enc, dconv=dconv if dconv_mode & 1 else None)
            for_decoder = dict(
                context=context, dconv=dconv if dconv_mode & 2 else None, last=index == 0
            )
            bands = list(multi_freqs or []) if index < multi_freqs_depth else []
            stems = len(self.sources) if index == 0 else 1  # the outermost decoder gives them all
            self._add_frequency_layer(
                (inner, outer, inner * stems), shape, bands, for_encoder, for_decoder
            )
            if hybrid and shape.frequency:
                time = shape.of_time_branch(kernel_size)
                self._add_time_layer(
                    (inner_t, outer_t, inner_t * stems), time, for_encoder, for_decoder
                )
            inner, inner_t = outer, outer_t
            outer, outer_t = int(growth * outer), int(growth * outer_t)

        self.freq_emb: FrequencyEmbedding | None = None
        self.freq_emb_scale = freq_emb
        if freq_emb:
            bins = nfft // 2 // stride
            self.freq_emb = FrequencyEmbedding(bins, channels, emb_scale, emb_smooth)
        if rescale:
            rescale_convolutions(self, rescale)

    def _add_frequency_layer(
        self,
        channels: tuple[int, int, int],
        shape: LayerShape,
        bands: list[float],
        for_encoder: dict[str, Any],
        for_decoder: dict[str, Any],
    ) -> None:
        """Adds an encoder (`channels`: in, out) and its decoder (out, third) at the inside."""
        chin, chout, out = channels
        encoder = EncoderLayer(chin, chout, shape, **for_encoder)
        decoder = DecoderLayer(chout, out, shape, context_frequency=not bands, **for_decoder)
        self.encoder.append(BandEncoder(encoder, bands) if bands else encoder)
        self.decoder.insert(0, BandDecoder(decoder, bands) if bands else decoder)

    def _add_time_layer(
        self,
        channels: tuple[int, int, int],
        shape: LayerShape,
        for_encoder: dict[str, Any],
        for_decoder: dict[str, Any],
    ) -> None:
        chin, chout, out = channels
        empty = shape.merges
        self.tencoder.append(EncoderLayer(chin, chout, shape, empty=empty, **for_encoder))
        self.tdecoder.insert(0, DecoderLayer(chout, out, shape, empty=empty, **for_decoder))

    def forward(self, mix: Tensor) -> Tensor:
        spectrum = self.spectrogram(mix)
        x = self.features(spectrum)
        mean, std = self.mean_and_std(x)
        x = (x - mean) / (1e-5 + std)
        xt: Tensor | None = None
        if self.hybrid:
            mean_t, std_t = self.mean_and_std(mix)
            xt = (mix - mean_t) / (1e-5 + std_t)
        x, xt = self._unet(x, xt)
        stems, (channels, bins, frames) = len(self.sources), x.shape[1:]
        x = x.view(-1, stems, channels // stems, bins, frames)
        x = x * std[:, None] + mean[:, None]
        out = self.waveform(self.complex_stems(spectrum, x), mix.shape[-1])
        if xt is not None:
            xt = xt.view(-1, stems, self.audio_channels, mix.shape[-1])
            out = out + (xt * std_t[:, None] + mean_t[:, None])
        return out

    def stem_axes(self) -> dict[str, int]:
        """Weights that give the stems, by name, and the axis along which stem follows stem."""
        branches = {"decoder": self.decoder}
        if self.hybrid:
            branches["tdecoder"] = self.tdecoder
        axes = {}
        for branch, decoders in branches.items():
            outermost = len(decoders) - 1
            for name, module in decoders[outermost].named_modules(prefix=f"{branch}.{outermost}"):
                if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
                    axes.update({f"{name}.weight": 1, f"{name}.bias": 0})
        return axes

    def mean_and_std(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of each example of `[B, ...]`, as `[B, 1, ...]`."""
        return moments(x)

    # ---- between waveform and what the frequency branch sees

    def spectrogram(self, mix: Tensor) -> Tensor:
        """`[B, C, T]` → complex `[B, C, nfft / 2, N]`."""
        if self.hybrid:
            return aligned_stft(mix, self.nfft, reflect=not self.hybrid_old)
        return stft(mix, self.nfft, self.nfft // 4)[..., :-1, :]

    def waveform(self, spectrum: Tensor, length: int) -> Tensor:
        """Complex `[B, S, C, nfft / 2, N]` → `[B, S, C, length]`."""
        if self.hybrid:
            return aligned_istft(spectrum, length, reflect=not self.hybrid_old)
        return istft(nn.functional.pad(spectrum, (0, 0, 0, 1)), self.nfft // 4, length)

    def features(self, spectrum: Tensor) -> Tensor:
        """Complex `[B, C, F, N]` → magnitudes `[B, C, F, N]`, or `[B, 2 C, F, N]` with `cac`."""
        if not self.cac:
            return spectrum.abs()
        return rearrange(torch.view_as_real(spectrum), "b c f n part -> b (c part) f n")

    def complex_stems(self, spectrum: Tensor, output: Tensor) -> Tensor:
        """Network output `[B, S, C or 2 C, F, N]` → complex stems `[B, S, C, F, N]`."""
        if self.cac:
            pairs = rearrange(output, "b s (c part) f n -> b s c f n part", part=2)
            return torch.view_as_complex(pairs.contiguous())
        iterations = self.end_iters if self.training else self.wiener_iters
        if iterations < 0:
            return (spectrum / (1e-8 + spectrum.abs()))[:, None] * output
        return wiener(output, spectrum, iterations, self.wiener_residual)

    # ---- the U-Nets

    def _encode(self, x: Tensor, index: int, inject: Tensor | None) -> Tensor:
        x = self.encoder[index](x, inject)
        if index == 0 and self.freq_emb is not None:
            x = x + self.freq_emb_scale * self.freq_emb(x.shape[-2])[None, :, :, None]
        return x

    def _unet(self, x: Tensor, xt: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The frequency branch `[B, C, F, N]` and, if there is one, the time branch `[B, C, T]`.

        Both shrink side by side until the time branch is added to the other one, and part again
        where its decoder begins. The fast form walks the same way, in layers of its own.
        """
        skips, skips_t, lengths, lengths_t = [], [], [], []
        for index in range(len(self.encoder)):
            lengths.append(x.shape[-1])
            inject = None
            if xt is not None and index < len(self.tencoder):
                lengths_t.append(xt.shape[-1])
                layer_t = self.tencoder[index]
                xt = layer_t(xt)
                if layer_t.empty:
                    inject = xt
                else:
                    skips_t.append(xt)
            x = self._encode(x, index, inject)
            skips.append(x)

        out, xt = self.between(x, xt)
        shared = len(self.decoder) - (0 if xt is None else len(self.tdecoder))
        for index, layer in enumerate(self.decoder):
            out, before = layer(out, skips.pop(), lengths.pop())
            if index < shared:
                continue
            layer_t = self.tdecoder[index - shared]
            if layer_t.empty:
                xt, _ = layer_t(self.without_frequency(before), None, lengths_t.pop())
            else:
                xt, _ = layer_t(xt, skips_t.pop(), lengths_t.pop())
        return out, xt

    def between(self, x: Tensor, xt: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the decoders start from, given what the encoders end in."""
        return torch.zeros_like(x), xt  # all that the decoder knows comes through the skips

    def without_frequency(self, x: Tensor) -> Tensor:
        """`[B, C, 1, N]` → `[B, C, N]`, as layers of the time branch take it."""
        return x[:, :, 0]
