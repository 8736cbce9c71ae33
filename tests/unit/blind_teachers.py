"""Separators of a few lines, whose scores can be known beforehand."""

import torch
from torch import Tensor, nn

from demucs.blind.teacher import Teacher

RATE = 8000


class Separator(nn.Module):
    """Two stems by a function `[B, C, T]` → `[B, 2, C, T]`."""

    def __init__(self, function, channels=2):
        super().__init__()
        self.function = function
        self.sources, self.samplerate, self.audio_channels = ["low", "high"], RATE, channels
        self.segment = 60.0

    def forward(self, mix: Tensor) -> Tensor:
        return self.function(mix)


def bands(mix: Tensor) -> Tensor:
    """Below and above 1 kHz: a perfect separator of what is on one side only."""
    spectrum = torch.fft.rfft(mix.double())
    edge = spectrum.shape[-1] * 1000 // (RATE // 2)
    low = spectrum.clone()
    low[..., edge:] = 0
    parts = torch.stack([low, spectrum - low], dim=1)
    return torch.fft.irfft(parts, n=mix.shape[-1]).float()


def halves(mix: Tensor) -> Tensor:
    """The worst: half of the mixture as each stem."""
    return torch.stack([mix / 2, mix / 2], dim=1)


def teacher(function, channels=2, name="toy") -> Teacher:
    return Teacher.of(Separator(function, channels), name)


def song(seconds=3.0, channels=2, seed=0) -> Tensor:
    """Stems `[2, C, T]` at -20 dB: noise below 800 Hz and above 1300 Hz."""
    noise = torch.randn(2, channels, round(seconds * RATE), generator=torch.manual_seed(seed))
    spectrum = torch.fft.rfft(noise)
    hertz = torch.linspace(0, RATE / 2, spectrum.shape[-1])
    spectrum[0, :, hertz > 800] = 0
    spectrum[1, :, hertz < 1300] = 0
    stems = torch.fft.irfft(spectrum, n=noise.shape[-1])
    return 0.1 * stems / stems.std(dim=(1, 2), keepdim=True)
