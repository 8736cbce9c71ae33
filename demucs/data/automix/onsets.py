"""The onset envelope of a signal.

Spectral flux: how much louder, in all, the bands of a spectrum get from one moment to the next, on
a logarithmic scale (Bello et al., "A tutorial on onset detection in music signals", 2005).
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Array: TypeAlias = NDArray[np.float64]

RATE = 200  # values per second, about
WINDOW = 0.023  # seconds
BANDS = 32
LOWEST, HIGHEST = 30.0, 16000.0  # Hz
LAG = 2  # values between the two moments that are compared
FLOOR_DB = -60.0  # against the loudest band of the song: what is below does not count
LOCAL_SECONDS = 1.0  # over which the mean is taken off
BLOCK = 4096  # spectra at a time


def onset_envelope(wav: NDArray[np.float32], samplerate: int) -> tuple[Array, float]:
    """How strongly something starts at each moment of a mono signal `[T]`.

    Returns:
        Values `[N]`, at least 0 and of deviation 1 (all 0 for silence), and their rate in Hz.
        Value n belongs to second n / rate.
    """
    hop = max(1, round(samplerate / RATE))
    levels = _band_levels(wav, samplerate, hop)
    flux = np.zeros(len(levels))
    flux[LAG:] = np.maximum(levels[LAG:] - levels[:-LAG], 0).mean(1)
    rate = samplerate / hop
    # A rise over LAG values has its middle half of them earlier.
    flux = np.roll(flux, -(LAG // 2))
    flux = np.maximum(flux - ndimage.uniform_filter1d(flux, round(LOCAL_SECONDS * rate)), 0)
    spread = float(flux.std())
    return (flux / spread if spread > 0 else flux), rate


def _band_levels(wav: NDArray[np.float32], samplerate: int, hop: int) -> Array:
    """`[N, BANDS]` in dB above the floor; value n is centred on sample n * hop."""
    size = fft.next_fast_len(round(WINDOW * samplerate), real=True)
    window = np.hanning(size).astype(np.float32)
    bands = _bands(size, samplerate)
    padded = np.pad(wav, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(wav) + 1 : hop]
    power = [
        np.square(np.abs(fft.rfft(frames[start : start + BLOCK] * window, axis=1))) @ bands
        for start in range(0, len(frames), BLOCK)
    ]
    summed = np.concatenate(power).astype(np.float64)
    floor = max(float(summed.max()), 1e-20) * 10 ** (FLOOR_DB / 10)
    return np.asarray(10 * np.log10(np.maximum(summed, floor) / floor))


def _bands(size: int, samplerate: int) -> NDArray[np.float32]:
    """`[F, BANDS]`: 1 where a bin belongs to a band; bands are equally wide on the mel scale."""
    bins = fft.rfftfreq(size, 1 / samplerate)
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST, min(HIGHEST, samplerate / 2)))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 1) / 2595) - 1)
    which = np.searchsorted(edges, bins, side="right") - 1
    return np.asarray(which[:, None] == np.arange(BANDS), dtype=np.float32)
