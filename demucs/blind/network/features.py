"""Input of the quality network: band levels of mixture, estimate and the rest, in 1 s windows.

Bands and frames are laid out in Hz and seconds, so the sample rate does not matter.

Shapes: S stems, C channels, T samples, P planes, F bands, N windows, K = FRAMES * N frames.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import window_count

FRAMES = 16  # in a window
FRAME = 0.1  # seconds of an STFT frame
PLANES = 7  # mixture, estimate and rest, each mid and side; how the estimate goes with the rest
FLOOR = 1e-8  # power, relatively to that of the mixture
_BLOCK = 32  # windows at a time


@dataclass(frozen=True)
class Bands:
    """Mel bands: `count` of them from `low` to `high` Hz."""

    count: int
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.count < 8 or self.count % 8:
            raise ConfigError(f"{self.count} bands: give a multiple of 8, as 48")
        if not 0 <= self.low < self.high:
            raise ConfigError(f"bands from {self.low} to {self.high} Hz: low must be below high")


@dataclass(frozen=True, kw_only=True)
class Features:
    """Of the stems of one song, or with a leading dimension of several.

    Attributes:
        planes: `[S, P, F, K]`, levels in units of 20 dB around -40 dB of the mixture's.
        energy: power of the estimates relatively to the mixture's, `[S, N]`.
    """

    planes: Tensor
    energy: Tensor


def extract(mixture: Tensor, estimates: Tensor, samplerate: int, bands: Bands) -> Features:
    """Features of the estimates `[S, C, T]` of a mixture `[C, T]`.

    The gain of the song does not matter. What follows the last whole second is left out, and less
    than a second is one window.

    Raises:
        ConfigError: shapes that do not belong together, or no samples.
    """
    if estimates.shape[1:] != mixture.shape or not estimates.numel():
        raise ConfigError(
            f"a mixture {list(mixture.shape)} and estimates {list(estimates.shape)}: they have to "
            "be [channels, samples] and [stems, channels, samples], of one length above 0"
        )
    windows = window_count(mixture.shape[-1], samplerate)
    every = torch.cat([mixture[None], estimates]).float()
    every = every / mixture.float().square().mean().sqrt().clamp(min=1e-8)
    used = every[..., : min(samplerate, mixture.shape[-1]) * windows]
    energy = used[1:].reshape(*used[1:].shape[:-1], windows, -1).square().mean((1, 3))
    both = _mid_side(every)
    parts = [
        _planes(both, samplerate, bands, first, min(first + _BLOCK, windows))
        for first in range(0, windows, _BLOCK)
    ]
    return Features(planes=torch.cat(parts, -1), energy=energy)


def _mid_side(wav: Tensor) -> Tensor:
    """`[..., C, T]` to `[..., 2, T]`; the side of mono is silent."""
    mid = wav.mean(-2)
    side = (wav[..., 0, :] - wav[..., 1, :]) / 2 if wav.shape[-2] > 1 else torch.zeros_like(mid)
    return torch.stack([mid, side], -2)


def _planes(wav: Tensor, samplerate: int, bands: Bands, first: int, last: int) -> Tensor:
    """`[1 + S, 2, T]`, mixture and estimates, to the planes of some windows, `[S, P, F, k]`."""
    size = max(2, round(FRAME * samplerate))
    filters = _filters(bands, samplerate, size).to(wav)
    spectra = _stft(wav, samplerate, size, first, last)[..., : len(filters)]
    mixture, estimates = spectra[:1].expand(len(wav) - 1, *spectra.shape[1:]), spectra[1:]
    rest = mixture - estimates
    powers = [_square(one) @ filters for one in (mixture, estimates, rest)]  # [S, 2, k, F]
    common = (estimates[:, :1] * rest[:, :1].conj()).real @ filters
    joint = (powers[1][:, :1] * powers[2][:, :1]).sqrt()
    levels = torch.cat([10 * (one + FLOOR).log10() for one in powers], 1)
    planes = torch.cat([(levels + 40) / 20, common / (joint + FLOOR)], 1)
    return planes.transpose(-1, -2)


def _square(spectra: Tensor) -> Tensor:
    return spectra.real.square() + spectra.imag.square()


def _stft(wav: Tensor, samplerate: int, size: int, first: int, last: int) -> Tensor:
    """`[..., T]` to `[..., k, size // 2 + 1]`, scaled so that squares add up to the power."""
    places = torch.arange(first * FRAMES, last * FRAMES, device=wav.device, dtype=torch.float64)
    starts = ((places + 0.5) * samplerate / FRAMES - size / 2).round().long()
    begin, end = int(starts[0]), int(starts[-1]) + size
    inside = wav[..., max(0, begin) : max(0, end)]
    padded = torch.nn.functional.pad(
        inside, (max(0, -begin), max(0, end - max(0, begin) - inside.shape[-1]))
    )
    taps = torch.arange(size, device=wav.device)
    frames = padded[..., (starts - begin)[:, None] + taps]
    hann = torch.hann_window(size, device=wav.device, dtype=wav.dtype)
    scale = math.sqrt(2 / (size * float(hann.square().sum())))
    spectra: Tensor = torch.fft.rfft(frames * hann) * scale
    return spectra


@lru_cache(maxsize=16)
def _filters(bands: Bands, samplerate: int, size: int) -> Tensor:
    """Triangles on the mel scale (O'Shaughnessy), `[bins up to the highest used, F]`."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (bands.low, bands.high))
    edges = 700 * (10 ** (torch.linspace(low, high, bands.count + 2).double() / 2595) - 1)
    count = min(size // 2, int(bands.high * size / samplerate)) + 1
    hz = torch.arange(count).double()[:, None] * samplerate / size
    rising = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()
