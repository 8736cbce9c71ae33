"""SDR of BSS Eval v4 by itself, without distortion filters, on any device.

The filters split the error of an estimate into spatial distortion, interference and artefacts,
which add up to the error again: the SDR of a window is |s|² / |ŝ - s|², whatever the filters are
(sigsep/sigsep-mus-eval issue 101).
"""

import torch
from torch import Tensor

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import window_count

SPARSE = 64  # of so many samples one is looked at first: it nearly always tells silence from sound


@torch.no_grad()
def sdr_windows(references: Tensor, estimates: Tensor, samplerate: int) -> Tensor:
    """The SDR of each window of one second, as the museval package defines it.

    Args:
        references, estimates: `[S, C, T]`, on one device.
        samplerate: Hz; windows and hops are of so many samples.

    Returns:
        `[S, windows]` in dB, float64 (float32 on MPS), on their device. NaN in a window where any
        reference or estimate is silent (its channels add up to 0 at every sample), and where the
        ratio is infinite or not a number. Samples after the last whole window count for nothing; a
        song shorter than a window is one.

    Raises:
        ConfigError: the shapes differ or are not `[S, C, T]`.

    >>> references = torch.ones(1, 2, 3000)  # an error of a tenth is 20 dB below
    >>> sdr_windows(references, 0.9 * references, 1000).round()
    tensor([[20., 20., 20.]], dtype=torch.float64)
    """
    if references.dim() != 3 or references.shape != estimates.shape:
        raise ConfigError(
            f"SDR compares references {list(references.shape)} with estimates "
            f"{list(estimates.shape)}: give both as [stems, channels, samples]."
        )
    frames = references.shape[-1]
    size = min(samplerate, frames)
    ratios = []
    for first in range(0, window_count(frames, samplerate) * size, size):
        window = slice(first, first + size)  # one at a time: it stays in the cache
        truth, guess = references[..., window], estimates[..., window]
        ratio = _energy(truth) / _energy(guess - truth)
        silent = _any_silent(truth) | _any_silent(guess)
        ratios.append(ratio.masked_fill(silent, torch.nan))
    decibels = 10 * torch.log10(torch.stack(ratios, -1))
    return decibels.masked_fill(~decibels.isfinite(), torch.nan)


def track_sdr(references: Tensor, estimates: Tensor, samplerate: int) -> Tensor:
    """The SDR of a track: the median over the windows that have one; NaN without any.

    Args: as `sdr_windows`.

    Returns:
        `[S]` in dB.
    """
    windows = sdr_windows(references, estimates, samplerate)
    ordered = windows.sort(-1).values  # NaN comes last
    last = (~ordered.isnan()).sum(-1) - 1
    places = torch.stack([last // 2, (last + 1) // 2], -1).clamp(min=0)
    return ordered.gather(-1, places).mean(-1)


def _energy(signals: Tensor) -> Tensor:
    """`[S, C, samples]` to `[S]`; thousands of squares are added up in 64 bits."""
    kind = torch.float32 if signals.device.type == "mps" else torch.float64
    norms: Tensor = torch.linalg.vector_norm(signals, dim=(1, 2), dtype=kind)
    return norms.square()


def _any_silent(signals: Tensor) -> Tensor:
    """Whether the channels of any stem of `[S, C, samples]` cancel at every sample."""
    if signals.device.type == "cpu" and signals[..., ::SPARSE].sum(1).any(-1).all():
        return torch.tensor(False)  # on a GPU, to ask would be to wait
    return ~signals.sum(1).any(-1).all()
