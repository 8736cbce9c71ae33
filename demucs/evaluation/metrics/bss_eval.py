"""BSS Eval v4: SDR, ISR, SIR and SAR of each window, as the museval package defines them.

Vincent, Araki, Theis, Nolte, Bofill, Sawada, Ozerov, Gowreesunker, Lutter and Duong, "The Signal
Separation Evaluation Campaign (2007-2010)" (2012); version 4 by Stöter, Liutkus and Ito, "The 2018
Signal Separation Evaluation Campaign" (2018): one filter for the whole song, scores for windows.

An estimate is taken apart into the true stem, a part that filters of its own reference explain
(spatial distortion), one that filters of all references explain besides (interference), and the
rest (artefacts). Energies are added up in the frequency domain, by Parseval's theorem: no part is
ever transformed back.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from demucs.evaluation.metrics.bss_filters import TAPS, distortion_filters
from demucs.evaluation.metrics.definitions import BSS_METRICS, window_count

Array = NDArray[Any]

CHUNK = 8  # windows at a time
BINS = 512  # at a time: what is worked on stays in the cache
SURE = 1e6  # times what rounding may add: the error is then below 1e-4 dB


def bss_windows(
    references: Array, estimates: Array, samplerate: int, *, threads: int = 1
) -> dict[str, Array]:
    """The scores of each window of one second.

    Args:
        references, estimates: `[S, C, T]`; none silent throughout, all finite.
        samplerate: Hz; windows and hops are of so many samples.
        threads: that share the windows.

    Returns:
        `[S, windows]` in dB by metric. NaN in a window where any reference or estimate is silent
        (its channels add up to 0 at every sample), and where a ratio is infinite. Samples after
        the last whole window have a part in the filters alone; a song shorter than a window is one.
    """
    references, estimates = (
        signal.astype(np.float64, copy=False) for signal in (references, estimates)
    )
    frames = references.shape[-1]
    size = min(samplerate, frames)
    count = window_count(frames, samplerate)
    taps = distortion_filters(references, estimates, threads)
    scores = np.full((len(BSS_METRICS), len(references), count), np.nan)
    truth, guess = (_windows(signal, count, size) for signal in (references, estimates))
    todo = [n for n in range(count) if not (_any_silent(truth[n]) or _any_silent(guess[n]))]
    for kind in (np.float32, np.float64):  # the second for those that the first is too coarse for
        if not todo:
            break
        filters = _Filters(*taps, size, kind)

        def fill(some: list[int], filters: _Filters = filters) -> list[int]:
            scores[:, :, some], sure = filters.scores(truth[some], guess[some])
            return [n for n, good in zip(some, sure, strict=True) if not good]

        with ThreadPoolExecutor(threads) as pool:
            parts = [todo[first : first + CHUNK] for first in range(0, len(todo), CHUNK)]
            todo = [n for unsure in pool.map(fill, parts) for n in unsure]
    return dict(zip(BSS_METRICS, scores, strict=True))


class _Filters:
    """Distortion filters in the frequency domain, one matrix a bin: `[F, outputs, inputs]`.

    Args:
        everything, own: see `distortion_filters`.
        size: of a window, in samples.
        kind: what is computed with. 32 bits do but where distortion is far below the stems.
    """

    def __init__(self, everything: Array, own: Array, size: int, kind: type[Any]) -> None:
        self.stems, self.channels = own.shape[:2]
        self.kind = kind
        # The product of a window and a filter is longer than the window: nothing may wrap around.
        self.length = scipy.fft.next_fast_len(size + TAPS - 1, real=True)
        rows = self.stems * self.channels
        self.weights = np.full(self.length // 2 + 1, 2 / self.length, kind)  # of bins: for two,
        self.weights[0] /= 2  # but for the first, and the last of an even number
        if self.length % 2 == 0:
            self.weights[-1] /= 2
        self.everything = self._spectra(everything.reshape(rows, rows, TAPS))
        self.own = [self._spectra(signal) for signal in own]
        # The largest of any filter at any frequency, as a power.
        self.gain = float(max(np.square(np.abs(s)).max() for s in (self.everything, *self.own)))

    def scores(self, truth: Array, guess: Array) -> tuple[Array, Array]:
        """Of windows `[N, S, C, samples]`: `[4, S, N]` in dB, and `[N]` whether these are sure."""
        reference, estimate = self._signals(truth), self._signals(guess)
        energies = np.zeros((5, self.stems, len(truth)))
        for low in range(0, len(self.weights), BINS):
            bins = slice(low, low + BINS)
            energies += self._energies(bins, reference[..., bins], estimate[..., bins])
        of_own, of_everything, spatial, interference, artefacts = energies
        signal, error = (np.einsum("nsct,nsct->sn", wav, wav) for wav in (truth, guess - truth))
        ratios = [
            (signal, error),
            (signal, spatial),
            (of_own, interference),
            (of_everything, artefacts),
        ]
        smallest = np.min([below for _, below in ratios[1:]], axis=(0, 1))
        noise = (4 * float(np.finfo(self.kind).eps)) ** 2 * max(self.gain, 1) * signal.sum(0)
        return np.stack([_decibels(*ratio) for ratio in ratios]), smallest > SURE * noise

    def _energies(self, bins: slice, reference: Array, estimate: Array) -> Array:
        """What some bins `[N, S * C, bins]` add to the energies `[5, S, N]` of the parts."""
        reference, estimate = (
            np.ascontiguousarray(signal.transpose(2, 1, 0)) for signal in (reference, estimate)
        )
        everything = self.everything[bins] @ reference
        own = np.empty_like(everything)
        for stem, matrix in enumerate(self.own):
            part = slice(stem * self.channels, (stem + 1) * self.channels)
            own[:, part] = matrix[bins] @ reference[:, part]
        np.subtract(estimate, everything, out=estimate)
        np.subtract(own, reference, out=reference)
        total = [self._energy(bins, signal) for signal in (own, everything, reference)]
        np.subtract(everything, own, out=own)
        return np.stack([*total, self._energy(bins, own), self._energy(bins, estimate)])

    def _spectra(self, taps: Array) -> Array:
        """`[outputs, inputs, taps]` to `[F, outputs, inputs]`, contiguous."""
        response = scipy.fft.rfft(taps.astype(self.kind), self.length)
        return np.ascontiguousarray(response.transpose(2, 0, 1))

    def _signals(self, windows: Array) -> Array:
        """`[N, S, C, samples]` to `[N, S * C, F]`."""
        rows = windows.reshape(len(windows), self.stems * self.channels, -1).astype(self.kind)
        spectra: Array = scipy.fft.rfft(rows, self.length)
        return spectra

    def _energy(self, bins: slice, spectra: Array) -> Array:
        """`[bins, S * C, N]` to `[S, N]`: added up over frequencies and channels."""
        count, _, windows = spectra.shape
        parts = np.square(spectra.view(self.kind)).reshape(count, -1)
        total: Array = (self.weights[bins] @ parts).astype(np.float64)
        energies: Array = total.reshape(self.stems, self.channels, windows, 2).sum((1, 3))
        return energies


def _windows(signals: Array, count: int, size: int) -> Array:
    """`[S, C, T]` to `[N, S, C, size]`."""
    stems, channels, _ = signals.shape
    whole = signals[..., : count * size].reshape(stems, channels, count, size)
    by_window: Array = whole.transpose(2, 0, 1, 3)
    return by_window


def _any_silent(window: Array) -> bool:
    """Whether the channels of any signal of `[S, C, samples]` cancel at every sample."""
    return bool((~window.sum(1).any(-1)).any())


def _decibels(above: Array, below: Array) -> Array:
    """10 log10 of a ratio; NaN where it is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels: Array = 10 * np.log10(above / below)
    decibels[~np.isfinite(decibels)] = np.nan
    return decibels
