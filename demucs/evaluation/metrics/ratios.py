"""nSDR and SI-SDR, of a whole track and of each second."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from demucs.evaluation.metrics.definitions import EPSILON, Measured, window_count

Array = NDArray[Any]


def energy_ratios(references: Array, estimates: Array, samplerate: int) -> Measured:
    """nSDR and SI-SDR in dB; see `demucs.evaluation.metrics.definitions.DEFINITIONS`.

    Both follow from four sums over channels and samples, so these are taken second by second.

    Args:
        references: true stems `[S, C, T]`.
        estimates: `[S, C, T]`.
        samplerate: Hz; a window is of so many samples.

    Returns:
        `nsdr` and `si_sdr`, each for the track `[S]` and its windows `[S, N]`. NaN where the
        reference is silent, the estimate holds NaN or infinity, or SI-SDR is infinite or 0/0.
    """
    sums = []
    for start in range(0, references.shape[-1], samplerate):
        part = slice(start, start + samplerate)
        truth, guess = (signal[..., part].astype(np.float64) for signal in (references, estimates))
        error = guess - truth
        pairs = ((truth, truth), (error, error), (truth, guess), (guess, guess))
        sums.append([np.einsum("sct,sct->s", signal, other) for signal, other in pairs])
    by_window = np.array(sums).transpose(1, 2, 0)  # [4, S, windows and a rest]
    whole = _ratios(by_window.sum(-1))
    count = window_count(references.shape[-1], samplerate)
    parts = _ratios(by_window[..., :count])
    return {name: (whole[name], parts[name]) for name in whole}


def _ratios(sums: Array) -> dict[str, Array]:
    """From the sums of s·s, error·error, s·estimate and estimate·estimate."""
    signal, error, common, estimate = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        nsdr = 10 * np.log10((signal + EPSILON) / (error + EPSILON))
        target = common**2 / signal
        si_sdr = 10 * np.log10(target / np.maximum(estimate - target, 0))
    nsdr[signal == 0] = np.nan
    ratios = {"nsdr": nsdr, "si_sdr": si_sdr}
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in ratios.items()}
