"""The whole of HDemucs on channels-last tensors."""

from typing import cast

import torch
from torch import Tensor, nn

from demucs.nn.fast.layers import fast_decoder, fast_encoder
from demucs.nn.fast.layout import channels_last, copy_by_frames
from demucs.nn.fast.pool import POOL
from demucs.nn.fast.spectrogram import inverse_stft
from demucs.nn.hdemucs import HDemucs
from demucs.nn.layers import EncoderLayer
from demucs.nn.norms import moments

# attributes that callers of a separator read, and settings of the transforms
SETTINGS = (
    "sources", "audio_channels", "samplerate", "segment", "nfft", "cac", "hybrid", "hybrid_old",
    "wiener_iters", "end_iters", "wiener_residual",
)  # fmt: skip


class FastHDemucs(HDemucs):
    """A fast CPU form of a trained HDemucs in evaluation mode.

    Holds copies of the weights in layouts of its own, so it has another state dict; it cannot be
    trained or moved to another device. Made by `demucs.nn.inference`.

    Args:
        model: the trained network, which is only read.
        dtype: of the layers, float32 or bfloat16; the transforms are in float32.

    Shape:
        mixture `[B, C, T]` float32 → stems `[B, S, C, T]` float32.
    """

    def __init__(self, model: HDemucs, dtype: torch.dtype):
        nn.Module.__init__(self)
        for name in SETTINGS:
            setattr(self, name, getattr(model, name))
        self.dtype = dtype
        joins = self._joining_layer(model)
        self.encoder = nn.ModuleList(
            fast_encoder(layer, dtype, joined=index == joins)
            for index, layer in enumerate(model.encoder)
        )
        self.decoder = nn.ModuleList(fast_decoder(layer, dtype) for layer in model.decoder)
        if self.hybrid:
            self.tencoder = nn.ModuleList(fast_encoder(layer, dtype) for layer in model.tencoder)
            self.tdecoder = nn.ModuleList(fast_decoder(layer, dtype) for layer in model.tdecoder)
        self.embedding: Tensor | None = None  # [C, F]
        if model.freq_emb is not None:
            bins = model.freq_emb.embedding.num_embeddings
            self.embedding = (model.freq_emb_scale * model.freq_emb(bins)).detach().to(dtype)
        self.eval()

    @staticmethod
    def _joining_layer(model: HDemucs) -> int:
        """Index of the frequency layer that the time branch is added to; -1 for none."""
        if not model.hybrid:
            return -1
        empty = [cast(EncoderLayer, layer).empty for layer in model.tencoder]
        return empty.index(True) if True in empty else -1

    @torch.no_grad()
    def forward(self, mix: Tensor) -> Tensor:
        mix = mix.float()
        spectrum = self.spectrogram(mix)
        x, mean, std = _standardise(self._input(spectrum))
        x = x.to(self.dtype)
        xt: Tensor | None = None
        if self.hybrid:
            standard, mean_t, std_t = _standardise(mix[:, :, None])
            xt = channels_last(standard).to(self.dtype)
            del standard
        x, xt = self._unet(x, xt)
        stems = self._output(spectrum, x, mean, std, mix.shape[-1])
        POOL.give(x)
        if xt is not None:
            stems += xt.reshape(stems.shape).float().mul_(std_t).add_(mean_t)
            POOL.give(xt)
        return stems

    # ---- between waveform and what the frequency branch sees

    def _input(self, spectrum: Tensor) -> Tensor:
        """Complex `[B, C, F, N]` → `[B, C or 2 C, F, N]`, channels-last."""
        if not self.cac:
            return channels_last(spectrum.abs())
        batch, channels, bins, frames = spectrum.shape
        out = spectrum.new_empty(batch, bins, frames, channels)
        copy_by_frames(out.permute(0, 3, 1, 2), spectrum)
        return torch.view_as_real(out).flatten(3).permute(0, 3, 1, 2)

    def _output(
        self, spectrum: Tensor, x: Tensor, mean: Tensor, std: Tensor, length: int
    ) -> Tensor:
        """Standardised output of the frequency branch → waveforms `[B, S, C, length]`."""
        batch, _, bins, frames = x.shape
        x = channels_last(x).float().mul_(std).add_(mean)
        shape = (batch, len(self.sources), self.audio_channels)
        if self.cac:
            pairs = x.permute(0, 2, 3, 1).reshape(batch, bins, frames, *shape[1:], 2)
            stems = torch.view_as_complex(pairs).permute(0, 3, 4, 1, 2)
        else:
            stems = self.complex_stems(spectrum, x.reshape(*shape, bins, frames))
        before, start = 0, 0
        if self.hybrid:
            before, start = 2, 0 if self.hybrid_old else self.nfft // 8 * 3
        out = x.new_empty(*shape, length)
        for item in range(batch):
            for stem in range(shape[1]):
                out[item, stem] = inverse_stft(stems[item, stem], before, start, length)
        return out

    # ---- the U-Nets

    def _encode(self, x: Tensor, index: int, inject: Tensor | None) -> Tensor:
        y: Tensor = self.encoder[index](x, inject, self.embedding if index == 0 else None)
        return y

    def between(self, x: Tensor, xt: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Layers of this form take None for the zeros that decoders start from."""
        return cast(Tensor, None), xt

    def without_frequency(self, x: Tensor) -> Tensor:
        """`[B, C, 1, N]`, which layers of the time branch take too in this form."""
        return x[:, :, :1]


def _standardise(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Zero mean and unit variance over each example; also the mean and the deviation."""
    mean, std = moments(x)
    return (x - mean).div_(1e-5 + std), mean, std
