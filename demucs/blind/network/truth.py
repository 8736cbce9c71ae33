"""Targets of the quality network: SDR and activity of estimates with references, in 1 s windows.

`active`: a stem plays in a window where its level is above -60 dB full scale, and at most 40 dB
below the loudest window of the mixture; it plays in a song if it does in any window. Levels are
mean squares over channels and samples.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from demucs.blind.quality import QUIET, Array
from demucs.blind.records import Measures
from demucs.evaluation.metrics.definitions import window_count
from demucs.evaluation.metrics.ratios import energy_ratios

RANGE = 40.0  # dB


def truth_of(
    references: Tensor, estimates: Tensor, mixture: Tensor, samplerate: int
) -> dict[str, Measures]:
    """Measures the estimates of a song.

    Args:
        references: true stems `[S, C, T]`.
        estimates: `[S, C, T]`.
        mixture: `[C, T]`.
        samplerate: Hz.

    Returns:
        `nsdr` (dB), `level` of the true stem and `error` of the estimate (dB full scale), and
        `active` (1 or 0).
    """
    whole, parts = energy_ratios(references.numpy(), estimates.numpy(), samplerate)["nsdr"]
    level = levels(references, samplerate)
    loudest = levels(mixture[None], samplerate).windows.max()
    playing = level.windows > max(QUIET, loudest - RANGE)
    return {
        "nsdr": Measures(track=whole, windows=parts),
        "level": level,
        "error": levels(estimates - references, samplerate),
        "active": Measures(track=playing.any(-1).astype(float), windows=playing.astype(float)),
    }


def levels(wav: Tensor, samplerate: int) -> Measures:
    """Levels of `[S, C, T]` in dB full scale; -inf of silence."""
    size = min(samplerate, wav.shape[-1])
    count = window_count(wav.shape[-1], samplerate)
    square = wav.double().square()
    windows = square[..., : count * size].reshape(*square.shape[:2], count, size).mean((1, 3))
    with np.errstate(divide="ignore"):
        return Measures(
            track=10 * np.log10(square.mean((1, 2)).numpy()), windows=10 * np.log10(windows.numpy())
        )


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the network should say of one song, or with a leading dimension of several.

    Attributes:
        nsdr: of windows, `[S, N]`; NaN where there is none.
        active: 1 where a stem plays, `[S, N]`.
        track_nsdr: of all windows together, `[S]`; NaN where there is none.
        track_active: `[S]`.
        mask: which windows are no padding, bool `[N]`.
    """

    nsdr: Tensor
    active: Tensor
    track_nsdr: Tensor
    track_active: Tensor
    mask: Tensor


def targets(level: Array, error: Array, active: Array) -> Targets:
    """Targets of some windows, from levels in dB and activity, all `[S, N]`; NaN is silence."""
    signal, noise = (np.nan_to_num(10 ** (decibels / 10), nan=0.0) for decibels in (level, error))
    return Targets(
        nsdr=_ratio(signal, noise),
        active=torch.from_numpy(active).float(),
        track_nsdr=_ratio(signal.sum(-1), noise.sum(-1)),
        track_active=torch.from_numpy(active.max(-1)).float(),
        mask=torch.ones(level.shape[-1], dtype=torch.bool),
    )


def _ratio(signal: Array, noise: Array) -> Tensor:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * np.log10(signal / np.maximum(noise, 1e-12))
    return torch.from_numpy(np.where(signal > 0, ratio, np.nan)).float()
