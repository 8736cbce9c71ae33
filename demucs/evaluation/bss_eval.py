"""BSS Eval v4: SDR, ISR, SIR and SAR of each window, as the museval package defines them.

Vincent, Araki, Theis, Nolte, Bofill, Sawada, Ozerov, Gowreesunker, Lutter and Duong, "The Signal
Separation Evaluation Campaign (2007-2010)" (2012); version 4 by Stöter, Liutkus and Ito, "The 2018
Signal Separation Evaluation Campaign" (2018): one filter for the whole song, scores for windows.

An estimate is taken apart into the true stem, a part that filters of its own reference explain
(spatial distortion), one that filters of all references explain besides (interference), and the
rest (artefacts). Energies are added up in the frequency domain, by Parseval's theorem: no part is
ever transformed back.
"""

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from demucs.evaluation.bss_filters import TAPS, distortion_filters
from demucs.evaluation.metrics import BSS_METRICS

Array = NDArray[Any]

CHUNK = 8  # windows at a time


def bss_windows(references: Array, estimates: Array, samplerate: int) -> dict[str, Array]:
    """The scores of each window of one second.

    Args:
        references, estimates: `[S, C, T]`; none silent throughout, all finite.
        samplerate: Hz; windows and hops are of so many samples.

    Returns:
        `[S, windows]` in dB by metric. NaN in a window where any reference or estimate is silent
        (its channels add up to 0 at every sample), and where a ratio is infinite. Samples after
        the last whole window have a part in the filters alone; a song shorter than a window is one.
    """
    references, estimates = (one.astype(np.float64) for one in (references, estimates))
    frames = references.shape[-1]
    size = min(samplerate, frames)
    count = (frames - size) // size + 1
    filters = _Filters(*distortion_filters(references, estimates), size)
    scores = np.full((len(BSS_METRICS), len(references), count), np.nan)
    truth, guess = (_windows(one, count, size) for one in (references, estimates))
    heard = [n for n in range(count) if not (_any_silent(truth[n]) or _any_silent(guess[n]))]
    for first in range(0, len(heard), CHUNK):
        some = heard[first : first + CHUNK]
        scores[:, :, some] = _scores(truth[some], guess[some], filters)
    return dict(zip(BSS_METRICS, scores, strict=True))


class _Filters:
    """Distortion filters in the frequency domain, one matrix a bin: `[F, outputs, inputs]`."""

    def __init__(self, everything: Array, own: Array, size: int) -> None:
        stems, channels = own.shape[:2]
        # The product of a window and a filter is longer than the window: nothing may wrap around.
        self.length = scipy.fft.next_fast_len(size + TAPS - 1, real=True)
        rows = stems * channels
        self.everything = self._matrices(everything.reshape(rows, rows, TAPS))
        self.own = [self._matrices(one) for one in own]
        self.weights = np.full(self.length // 2 + 1, 2.0)  # of bins, for those they stand for
        self.weights[0] = 1
        if self.length % 2 == 0:
            self.weights[-1] = 1

    def _matrices(self, taps: Array) -> Array:
        return np.ascontiguousarray(scipy.fft.rfft(taps, self.length).transpose(2, 0, 1))


def _scores(truth: Array, guess: Array, filters: _Filters) -> Array:
    """`[4, S, N]` in dB of windows `[N, S, C, samples]`."""
    count, stems, channels, _ = truth.shape
    reference, estimate = (_spectra(one, filters.length) for one in (truth, guess))  # [F, S C, N]
    everything = filters.everything @ reference
    own = np.empty_like(everything)
    for stem, matrix in enumerate(filters.own):
        part = slice(stem * channels, (stem + 1) * channels)
        own[:, part] = matrix @ reference[:, part]

    def energy(spectra: Array) -> Array:
        parts = spectra.view(np.float64).reshape(len(spectra), stems * channels, count, 2)
        total = np.einsum("frnc,frnc,f->rn", parts, parts, filters.weights, optimize=False)
        summed: Array = total.reshape(stems, channels, count).sum(1)
        return summed

    scale = 1.0 / filters.length
    signal, error = np.square(truth), np.square(guess - truth)
    ratios = [
        (signal.sum((2, 3)).T, error.sum((2, 3)).T),
        (signal.sum((2, 3)).T, scale * energy(own - reference)),
        (energy(own), energy(everything - own)),
        (energy(everything), energy(estimate - everything)),
    ]
    return np.stack([_decibels(above, below) for above, below in ratios])


def _spectra(windows: Array, length: int) -> Array:
    """`[N, S, C, samples]` to `[F, S * C, N]`, contiguous."""
    found = scipy.fft.rfft(windows.reshape(len(windows), -1, windows.shape[-1]), length)
    return np.ascontiguousarray(found.transpose(2, 1, 0))


def _windows(signals: Array, count: int, size: int) -> Array:
    """`[S, C, T]` to `[N, S, C, size]`."""
    stems, channels, _ = signals.shape
    whole: Array = signals[..., : count * size].reshape(stems, channels, count, size)
    return whole.transpose(2, 0, 1, 3)


def _any_silent(window: Array) -> bool:
    """Whether the channels of any signal of `[S, C, samples]` cancel at every sample."""
    return bool((~window.sum(1).any(-1)).any())


def _decibels(above: Array, below: Array) -> Array:
    """10 log10 of a ratio; NaN where it is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = 10 * np.log10(above / below)
    found[~np.isfinite(found)] = np.nan
    return found
