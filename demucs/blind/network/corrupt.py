"""Estimates of any quality from known stems, to see more errors than the teachers make.

Shapes: S stems, C channels, T samples.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BETTER, WORSE = -15.0, 6.0  # dB by which `blend` changes an error
LEAST_LEAK, MOST_LEAK = -40.0, 12.0  # dB
BANDS = 6  # of a random mask


def blend(references: Tensor, estimates: Tensor, rng: np.random.Generator) -> Tensor:
    """Scales the error of each stem by its own gain: a teacher's kind of error, at any level."""
    decibels = rng.uniform(BETTER, WORSE, len(estimates))
    gain = torch.from_numpy(10 ** (decibels / 20)).to(estimates)[:, None, None]
    return references + gain * (estimates - references)


def leak(references: Tensor, samplerate: int, rng: np.random.Generator) -> Tensor:
    """Masks true stems in time and frequency, and lets the others through here and there.

    How strong both are is drawn for each stem, so some are nearly perfect and some ruined.
    """
    size = 2 ** max(5, round(np.log2(0.05 * samplerate)))
    stems, length = len(references), references.shape[-1]
    window = torch.hann_window(size)
    padded = F.pad(references, (0, max(0, size - length)))
    spectra = torch.stft(
        padded.flatten(0, 1),
        size,
        size // 2,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    spectra = spectra.reshape(*references.shape[:2], *spectra.shape[1:])  # [S, C, bins, frames]
    grid = (BANDS, max(2, round(2 * length / samplerate)))
    shape = (spectra.shape[-2], spectra.shape[-1])
    mixed = torch.zeros_like(spectra)
    for stem in range(stems):
        holes = rng.uniform(0, 1) ** 2
        level = rng.uniform(LEAST_LEAK, MOST_LEAK)
        mixed[stem] = spectra[stem] * (1 - holes * _mask(grid, shape, rng))
        for other in range(stems):
            if other != stem:
                gain = 10 ** (rng.uniform(level - 12, level) / 20)
                mixed[stem] += gain * spectra[other] * _mask(grid, shape, rng) ** 2
    made: Tensor = torch.istft(
        mixed.flatten(0, 1), size, size // 2, window=window, length=padded.shape[-1]
    )
    return made.reshape(*references.shape[:2], -1)[..., :length]


def _mask(grid: tuple[int, int], shape: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """A smooth random mask `[bins, frames]` between 0 and 1."""
    coarse = torch.from_numpy(rng.random(grid, dtype=np.float32))[None, None]
    return F.interpolate(coarse, size=shape, mode="bilinear", align_corners=True)[0, 0]
