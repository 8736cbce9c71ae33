"""Agreement of two estimates of the same stem, in dB, for a song and each second of it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from demucs.blind.quality import QUIET, Array
from demucs.blind.records import Measures
from demucs.evaluation.metrics.definitions import window_count
from demucs.evaluation.metrics.ratios import energy_ratios

WINDOW = 1.0  # seconds, of every score
FLOOR = 1e-10  # of a mean square: -100 dBFS
MOST = 80.0  # dB; two estimates that agree better are the same but for rounding


def agreement(estimates: Tensor, others: Tensor, samplerate: int) -> Measures:
    """10·log10(Σ‖ŝ‖² / Σ‖ŝ − ŝ'‖²) in dB: nSDR with an estimate in the place of the truth.

    Args:
        estimates: the stems that are judged, `[S, C, T]`.
        others: other estimates of the same stems, `[S, C, T]`.
        samplerate: Hz.

    Returns:
        Of the song and each second, at most 80 dB; NaN where an estimate is quieter than −60 dB
        below full scale, since what is left of a silent stem agrees with nothing.
    """
    found, parts = energy_ratios(estimates.numpy(), others.numpy(), samplerate)["nsdr"]
    loud = level(estimates, samplerate)
    return Measures(
        track=np.where(loud.track > QUIET, np.minimum(found, MOST), np.nan),
        windows=np.where(loud.windows > QUIET, np.minimum(parts, MOST), np.nan),
    )


def level(wav: Tensor, samplerate: int) -> Measures:
    """10·log10 of the mean square over channels and samples of `[S, C, T]`, in dB."""
    return by_window(
        lambda part: _decibel(part.double().square().mean(dim=(1, 2))), wav, samplerate
    )


def by_window(function: Callable[[Tensor], Tensor], wav: Tensor, samplerate: int) -> Measures:
    """`function`, `[S, C, t]` to `[S]`, of a whole `[S, C, T]` and of each of its seconds."""
    size = min(samplerate, wav.shape[-1])
    starts = range(0, window_count(wav.shape[-1], samplerate) * size, size)
    parts = [function(wav[..., start : start + size]) for start in starts]
    return Measures(track=function(wav).numpy(), windows=torch.stack(parts, dim=-1).numpy())


def constant(value: float, like: Measures) -> Measures:
    """The same value for all stems and windows."""
    return Measures(
        track=np.full_like(like.track, value), windows=np.full_like(like.windows, value)
    )


def mean_of(measures: list[Measures]) -> Measures:
    """The mean of several measures of one quantity; NaN where any of them has none."""
    return Measures(
        track=np.mean([measure.track for measure in measures], axis=0),
        windows=np.mean([measure.windows for measure in measures], axis=0),
    )


def largest_other(values: Array) -> Array:
    """`[S, ...]` to the same shape: for each stem, the largest value among the others.

    >>> largest_other(np.array([1.0, 3.0, 2.0])).tolist()
    [3.0, 2.0, 3.0]
    """
    highest = np.full_like(values, -np.inf)
    for stem in range(len(values)):
        rest = np.delete(values, stem, axis=0)
        if len(rest):
            highest[stem] = rest.max(0)
    return highest


def _decibel(square: Tensor) -> Tensor:
    return 10 * torch.log10(square.clamp(min=FLOOR))
