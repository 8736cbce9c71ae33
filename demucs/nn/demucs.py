"""Time-domain Demucs: one U-Net over the waveform.

References: A. Défossez, N. Usunier, L. Bottou and F. Bach, "Music Source Separation in the
Waveform Domain" (arXiv:1911.13254); with residual branches as in arXiv:2111.03600. State-dict keys,
shapes and outputs are those of the public Demucs (its version 3, `Demucs`).
"""

import math
from collections.abc import Sequence

import julius
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.errors import ConfigError
from demucs.nn.convolution import Conv1d, ConvTranspose1d
from demucs.nn.dconv import BLSTM, DConv
from demucs.nn.layers import rescale_convolutions
from demucs.nn.norms import GroupNorm, moments


class Demucs(nn.Module):
    """The time-domain separator.

    Args:
        sources: names of the stems, in the order of the output.
        audio_channels: channels of the audio.
        channels: of the outermost layer.
        growth: factor of channels from layer to layer.
        depth: number of layers.
        rewrite: a convolution and GLU in each layer.
        lstm_layers: of a BLSTM between encoder and decoder; 0: none.
        kernel_size, stride: of the convolutions.
        context: neighbours on each side that the GLU of the decoder sees.
        gelu, glu: GELU and GLU; otherwise ReLU.
        norm_starts, norm_groups: group norm from this layer on, with so many groups.
        dconv_mode: 1 = DConv in the encoder, 2 = in the decoder, 3 = both, 0 = none.
        dconv_depth, dconv_comp, dconv_init: see `DConv`.
        dconv_attn, dconv_lstm: attention, LSTM in the DConv from this layer on.
        normalize: bring the mono mixture to zero mean and unit deviation inside.
        resample: work at twice the sample rate.
        rescale: reference of the initial weight rescaling; 0 for none.
        samplerate: in Hz.
        segment: length in seconds that separation should cut long audio into.

    Shape:
        mixture `[B, C, T]`, any T ≥ 1 → stems `[B, S, C, T]`.
    """

    def __init__(
        self,
        sources: Sequence[str],
        audio_channels: int = 2,
        channels: int = 64,
        growth: float = 2.0,
        depth: int = 6,
        rewrite: bool = True,
        lstm_layers: int = 0,
        kernel_size: int = 8,
        stride: int = 4,
        context: int = 1,
        gelu: bool = True,
        glu: bool = True,
        norm_starts: int = 4,
        norm_groups: int = 4,
        dconv_mode: int = 1,
        dconv_depth: int = 2,
        dconv_comp: float = 4,
        dconv_attn: int = 4,
        dconv_lstm: int = 4,
        dconv_init: float = 1e-4,
        normalize: bool = True,
        resample: bool = True,
        rescale: float = 0.1,
        samplerate: int = 44100,
        segment: float = 40,
    ):
        super().__init__()
        self.sources = list(sources)
        if not self.sources:
            raise ConfigError("Demucs needs at least one source; sources is empty")
        self.audio_channels, self.samplerate, self.segment = audio_channels, samplerate, segment
        self.kernel_size, self.stride, self.depth = kernel_size, stride, depth
        self.normalize, self.resample = normalize, resample
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        gate: nn.Module = nn.GLU(dim=1) if glu else nn.ReLU()
        wider = 2 if glu else 1
        activation = nn.GELU if gelu else nn.ReLU
        inner = audio_channels
        for index in range(depth):

            def norm(count: int, index: int = index) -> nn.Module:
                return GroupNorm(norm_groups, count) if index >= norm_starts else nn.Identity()

            def dconv(count: int, index: int = index) -> DConv:
                return DConv(
                    count,
                    depth=dconv_depth,
                    init=dconv_init,
                    compress=dconv_comp,
                    attn=index >= dconv_attn,
                    lstm=index >= dconv_lstm,
                )

            encode = [
                Conv1d(inner, channels, kernel_size, stride),
                norm(channels),
                activation(),
            ]
            if dconv_mode & 1:
                encode.append(dconv(channels))
            if rewrite:
                wide = wider * channels
                encode += [nn.Conv1d(channels, wide, 1), norm(wide), gate]
            self.encoder.append(nn.Sequential(*encode))

            out = inner if index > 0 else len(self.sources) * audio_channels
            decode: list[nn.Module] = []
            if rewrite:
                wide = wider * channels
                seen = nn.Conv1d(channels, wide, 2 * context + 1, padding=context)
                decode += [seen, norm(wide), gate]
            if dconv_mode & 2:
                decode.append(dconv(channels))
            decode.append(ConvTranspose1d(channels, out, kernel_size, stride))
            if index > 0:
                decode += [norm(out), activation()]
            self.decoder.insert(0, nn.Sequential(*decode))
            inner, channels = channels, int(growth * channels)
        self.lstm = BLSTM(inner, lstm_layers, max_steps=None, skip=False) if lstm_layers else None
        if rescale:
            rescale_convolutions(self, rescale)

    def valid_length(self, length: int) -> int:
        """The nearest length, not below `length`, at which no layer leaves samples over."""
        factor = 2 if self.resample else 1
        length *= factor
        for _ in range(self.depth):
            length = max(1, math.ceil((length - self.kernel_size) / self.stride) + 1)
        for _ in range(self.depth):
            length = (length - 1) * self.stride + self.kernel_size
        return math.ceil(length / factor)

    def forward(self, mix: Tensor) -> Tensor:
        length, x = mix.shape[-1], mix
        if self.normalize:
            mean, std = self.mean_and_std(mix.mean(1, keepdim=True))
            x = (x - mean) / (1e-5 + std)
        missing = self.valid_length(length) - length
        x = F.pad(x, (missing // 2, missing - missing // 2))
        if self.resample:
            x = self.resampled(x, 1, 2)
        skips = []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        if self.lstm is not None:
            x = self.lstm(x)
        for decode in self.decoder:
            x = decode(x + centred(skips.pop(), x.shape[-1]))
        if self.resample:
            x = self.resampled(x, 2, 1)
        if self.normalize:
            x = x * std + mean
        return centred(x, length).view(-1, len(self.sources), self.audio_channels, length)

    def mean_and_std(self, mono: Tensor) -> tuple[Tensor, Tensor]:
        """Of each example of `[B, 1, T]`, as `[B, 1, 1]`."""
        return moments(mono)

    def resampled(self, x: Tensor, old: int, new: int) -> Tensor:
        """`[B, C, T]` at `new / old` times the sample rate."""
        out: Tensor = julius.resample_frac(x, old, new)
        return out

    def stem_axes(self) -> dict[str, int]:
        """Weights that give the stems, by name, and the axis along which stem follows stem."""
        outermost = self.decoder[self.depth - 1]
        assert isinstance(outermost, nn.Sequential)
        name = f"decoder.{self.depth - 1}.{len(outermost) - 1}"
        return {f"{name}.weight": 1, f"{name}.bias": 0}


def centred(x: Tensor, length: int) -> Tensor:
    """The middle `length` steps of `[..., T]`."""
    extra = x.shape[-1] - length
    return x[..., extra // 2 : x.shape[-1] - (extra - extra // 2)]
