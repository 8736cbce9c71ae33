"""Pitch classes of a song, and the key that they suggest.

The peaks of the spectra are sorted into pitch classes (chroma). Two songs go together at the
transposition at which their chromas are most alike; this needs no key, so it works for modes too.
The key, which is for people, is the one of 24 whose profile of the pitch classes in written music
(Albrecht and Shanahan, "The use of large corpora to train a new type of key-finding algorithm",
2013) the chroma correlates with best.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from demucs.data.automix.onsets import Array

PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
PROFILES: dict[str, tuple[float, ...]] = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}

SAMPLERATE = 11025  # Hz, of the spectra
WINDOW = 0.37  # seconds
LOWEST, HIGHEST = 60.0, 2000.0  # Hz
PEAKS_DB = -40.0  # against the loudest peak of the moment: what is below does not count
COMPRESSION = 0.5  # exponent of a peak's power
BLOCK = 256  # spectra at a time


def find_key(chroma: Array) -> str:
    """The name of the key of a chroma `[12]`, such as `Eb minor`; empty for silence."""
    if not chroma.any():
        return ""
    fits = {
        f"{name} {mode}": float(np.corrcoef(chroma, np.roll(profile, tonic))[0, 1])
        for mode, profile in PROFILES.items()
        for tonic, name in enumerate(PITCH_NAMES)
    }
    return max(fits, key=lambda key: fits[key])


@dataclass(frozen=True)
class Transposition:
    """Semitones, and the correlation of the chromas after it (1 where they are the same)."""

    semitones: int
    likeness: float


def transposition(source: Array, target: Array) -> Transposition | None:
    """The one of -6 to 5 semitones that makes a chroma `[12]` most like `target` `[12]`.

    None if either says nothing, as for silence.
    """
    if not (source.std() > 0 and target.std() > 0):
        return None
    alike = [float(np.corrcoef(np.roll(source, step), target)[0, 1]) for step in range(-6, 6)]
    best = int(np.argmax(alike))
    return Transposition(best - 6, alike[best])


def chroma(wav: NDArray[np.float32], samplerate: int) -> Array:
    """How much each pitch class (0 is C) sounds in a mono signal `[T]`; sums to 1, or 0.

    The tuning of the song is found first: the pitch classes lie where its peaks are.
    """
    ratio = Fraction(SAMPLERATE, samplerate).limit_denominator(1000)
    low = signal.resample_poly(wav, ratio.numerator, ratio.denominator)
    pitches, weights = _peaks(low, float(samplerate * ratio))
    if not weights.any():
        return np.zeros(12)
    off = np.angle(np.sum(weights * np.exp(2j * np.pi * pitches))) / (2 * np.pi)
    classes = np.rint(pitches - off).astype(int) % 12
    summed = np.bincount(classes, weights, minlength=12)
    return np.asarray(summed / summed.sum())


def _peaks(wav: NDArray[np.float32], samplerate: float) -> tuple[Array, Array]:
    """Peaks of the spectra: MIDI numbers (60 is middle C), not rounded, and weights."""
    size = fft.next_fast_len(round(WINDOW * samplerate), real=True)
    window = np.hanning(size).astype(np.float32)
    padded = np.pad(wav, (0, max(0, size - len(wav))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    first, last = (round(f * size / samplerate) for f in (LOWEST, HIGHEST))
    pitches, weights = [np.zeros(0)], [np.zeros(0)]
    for start in range(0, len(frames), BLOCK):
        spectra = np.abs(fft.rfft(frames[start : start + BLOCK] * window, axis=1))
        levels = np.log(np.square(spectra[:, first - 1 : last + 1], dtype=np.float64) + 1e-12)
        before, here, after = levels[:, :-2], levels[:, 1:-1], levels[:, 2:]
        floor = np.maximum(here.max(1, keepdims=True) + PEAKS_DB * np.log(10) / 10, np.log(1e-8))
        row, column = np.nonzero((here > before) & (here >= after) & (here > floor))
        a, b, c = (part[row, column] for part in (before, here, after))
        place = first + column + 0.5 * (a - c) / (a - 2 * b + c)  # top of the parabola
        pitches.append(69 + 12 * np.log2(place * samplerate / size / 440))
        weights.append(np.exp(COMPRESSION * b))
    return np.concatenate(pitches), np.concatenate(weights)
