"""SDR of BSS Eval v4 by itself, without distortion filters, on any device.

The filters split the error of an estimate into spatial distortion, interference and artefacts,
which add up to the error again: the SDR of a window is |s|² / |ŝ - s|², whatever the filters are
(sigsep/sigsep-mus-eval issue 101).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import window_count

if TYPE_CHECKING:  # the processes that score do without torch
    from torch import Tensor

Array = NDArray[Any]

SPARSE = 61  # of so many samples one is looked at first: it nearly always tells sound from silence


def sdr_windows(references: Array, estimates: Array, samplerate: int) -> Array:
    """The SDR of each window of one second, as the museval package defines it.

    Args:
        references, estimates: `[S, C, T]`.
        samplerate: Hz; windows and hops are of so many samples.

    Returns:
        `[S, windows]` in dB. NaN in a window where any reference or estimate is silent (its
        channels add up to 0 at every sample), and where the ratio is infinite or not a number.
        Samples after the last whole window count for nothing; a song shorter than a window is one.

    Raises:
        ConfigError: the shapes differ or are not `[S, C, T]`.

    >>> references = np.ones((1, 2, 3000))  # an error of a tenth is 20 dB below
    >>> sdr_windows(references, 0.9 * references, 1000).round()
    array([[20., 20., 20.]])
    """
    _check(references.shape, estimates.shape)
    frames = references.shape[-1]
    size, count = min(samplerate, frames), window_count(frames, samplerate)
    scores = np.full((len(references), count), np.nan)
    with np.errstate(all="ignore"):
        for number in range(count):
            window = slice(number * size, (number + 1) * size)  # one at a time stays in the cache
            truth, guess = (
                signal[..., window].astype(np.float64) for signal in (references, estimates)
            )
            if not (_any_silent(truth) or _any_silent(guess)):
                guess -= truth
                signal, error = (np.einsum("sct,sct->s", wav, wav) for wav in (truth, guess))
                scores[:, number] = 10 * np.log10(signal / error)
    scores[~np.isfinite(scores)] = np.nan
    return scores


def track_sdr(references: "Tensor", estimates: "Tensor", samplerate: int) -> "Tensor":
    """The SDR of a track: the median over the windows that have one; NaN without any.

    Args:
        references, estimates: `[S, C, T]`, on one device.
        samplerate: Hz.

    Returns:
        `[S]` in dB, on their device.

    Raises:
        ConfigError: as `sdr_windows`.
    """
    import torch

    if references.device.type == "cpu":
        windows = torch.from_numpy(sdr_windows(references.numpy(), estimates.numpy(), samplerate))
    else:
        windows = sdr_windows_on_device(references, estimates, samplerate)
    ordered = windows.sort(-1).values  # NaN comes last
    last = (~ordered.isnan()).sum(-1) - 1
    places = torch.stack([last // 2, (last + 1) // 2], -1).clamp(min=0)
    return ordered.gather(-1, places).mean(-1)


def sdr_windows_on_device(references: "Tensor", estimates: "Tensor", samplerate: int) -> "Tensor":
    """As `sdr_windows`, on the device of both, without waiting for it."""
    import torch

    _check(references.shape, estimates.shape)
    frames = references.shape[-1]
    size, count = min(samplerate, frames), window_count(frames, samplerate)
    kind = torch.float32 if references.device.type == "mps" else torch.float64  # of sums
    truth, guess = (
        signal.detach()[..., : count * size].reshape(*signal.shape[:2], count, size)
        for signal in (references, estimates)
    )
    signal, error = (
        torch.linalg.vector_norm(wav, dim=(1, 3), dtype=kind).square()
        for wav in (truth, guess - truth)
    )
    silent = [~wav.sum(1).any(-1).all(0) for wav in (truth, guess)]
    decibels = 10 * torch.log10(signal / error)
    return decibels.masked_fill(silent[0] | silent[1] | ~decibels.isfinite(), torch.nan)


def _check(references: tuple[int, ...], estimates: tuple[int, ...]) -> None:
    if len(references) != 3 or references != estimates:
        raise ConfigError(
            f"SDR compares references {list(references)} with estimates {list(estimates)}: give "
            "both as [stems, channels, samples]."
        )


def _any_silent(window: Array) -> bool:
    """Whether the channels of any stem of `[S, C, samples]` cancel at every sample."""
    if window[..., ::SPARSE].sum(1).any(-1).all():
        return False
    return not window.sum(1).any(-1).all()
