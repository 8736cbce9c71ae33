"""Short-time spectra of several waves at once, across the borders of blocks."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from demucs.audio.sndfile import Samples

Spectra = NDArray[np.complex64]
HOP_SECONDS = 2048 / 44100  # a window is two hops: 93 ms, bins 10.8 Hz apart
BLOCK_HOPS = 128  # hops read at a time, 6 s


def hop_frames(samplerate: int) -> int:
    """Samples of a hop: near `HOP_SECONDS`, and quick to transform."""
    return int(fft.next_fast_len(max(16, round(HOP_SECONDS * samplerate)), real=True))


class Spectrograph:
    """Hann windows of two hops, one hop apart; a sine of amplitude 1 has power 1/2 in all.

    Args:
        waves: how many are transformed together.
        hop: samples.
    """

    def __init__(self, waves: int, hop: int) -> None:
        self._hop = hop
        window = np.hanning(2 * hop + 1)[:-1]
        # Parseval, and half the spectrum only: |X|^2 then sums to the mean square of a window.
        scale = np.sqrt(2.0 / (2 * hop * np.square(window).sum()))
        self._window = (window * scale).astype(np.float32)
        self._before = np.zeros((waves, hop), np.float32)

    def add(self, block: Samples) -> Spectra:
        """The spectra `[W, K, hop + 1]` of the next samples `[W, T]`, T a multiple of the hop."""
        whole = np.concatenate([self._before, block], axis=1)
        self._before = block[:, -self._hop :].copy()
        hops = whole.reshape(len(whole), -1, self._hop)
        windows = np.concatenate([hops[:, :-1], hops[:, 1:]], axis=2)
        spectra: Spectra = fft.rfft(windows * self._window, axis=2)
        return spectra


def bin_hertz(samplerate: int, hop: int) -> NDArray[np.float64]:
    """Frequencies `[hop + 1]` of the bins in Hz."""
    hertz: NDArray[np.float64] = np.arange(hop + 1, dtype=np.float64) * samplerate / (2 * hop)
    return hertz
