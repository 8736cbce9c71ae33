"""Bar lines: the beats where the harmony changes and something low is struck."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from demucs.data.automix.onsets import Array, onset_envelope

BEATS = 4  # of a bar
SAMPLERATE = 5512.5  # Hz, for the harmony
LOWEST, HIGHEST = 50.0, 1500.0  # Hz
SIZE = 8192  # of the spectrum of a beat
LOW = 120.0  # Hz, below which a bass drum is
BEFORE, AFTER = 0.03, 0.05  # seconds around a beat in which it may be struck
LOW_WEIGHT = 0.5
CONTRAST = 100.0


def first_downbeat(
    rhythm: NDArray[np.float32], harmony: NDArray[np.float32], samplerate: int, beats: Array
) -> int:
    """The first beat that begins a bar, 0 to 3, where a bar has four beats.

    Args:
        rhythm: mono signal `[T]` of what gives the beat.
        harmony: mono signal `[T]` of what has chords.
        samplerate: Hz.
        beats: in seconds, at least five.
    """
    signs = _scaled(_changes(harmony, samplerate, beats))
    signs += LOW_WEIGHT * _scaled(_low_hits(rhythm, samplerate, beats))
    return int(np.argmax([signs[phase::BEATS].mean() for phase in range(BEATS)]))


def _changes(wav: NDArray[np.float32], samplerate: int, beats: Array) -> Array:
    """How much the spectrum after each beat differs from that before, `[beats]`."""
    ratio = Fraction(SAMPLERATE / samplerate).limit_denominator(100)
    low = signal.resample_poly(wav, ratio.numerator, ratio.denominator)
    rate = float(samplerate * ratio)
    places = np.rint(np.maximum(beats, 0) * rate).astype(int)
    bins = fft.rfftfreq(SIZE, 1 / rate)
    used = (bins > LOWEST) & (bins < HIGHEST)
    semitones = np.rint(12 * np.log2(bins[used] / LOWEST)).astype(int)
    spectra = []
    for start, end in pairwise(places):
        part = low[start:end]
        power = np.square(np.abs(fft.rfft(part * np.hanning(len(part)), SIZE)))[used]
        spectra.append(np.sqrt(np.bincount(semitones, power)))
    levels = np.array(spectra)
    levels = np.log1p(CONTRAST * levels / max(float(levels.max()), 1e-12))
    changes = np.zeros(len(beats))
    changes[1:-1] = np.abs(np.diff(levels, axis=0)).mean(1)
    return changes


def _low_hits(wav: NDArray[np.float32], samplerate: int, beats: Array) -> Array:
    """How strongly something low starts at each beat, `[beats]`."""
    sections = signal.butter(2, LOW, fs=samplerate, output="sos")
    low = signal.sosfilt(sections, wav).astype(np.float32)
    envelope, rate = onset_envelope(low, samplerate)
    first = np.maximum((beats - BEFORE) * rate, 0).astype(int)
    last = np.maximum((beats + AFTER) * rate, 0).astype(int) + 1
    hits = [envelope[a:b].max(initial=0) for a, b in zip(first, last, strict=True)]
    return np.array(hits)


def _scaled(values: Array) -> Array:
    """To deviation 1, where they differ at all."""
    spread = float(values.std())
    return values / spread if spread > 0 else values
