"""Stretching with NumPy and SciPy alone.

Time stretching by WSOLA (Verhelst and Roelands, "An overlap-add technique based on waveform
similarity (WSOLA) for high quality time-scale modification of speech", ICASSP 1993): pieces of the
input are joined where they continue the previous piece best, so that pitch stays. Pitch is then
moved by resampling, and the stretch before it makes up for the change of length.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from demucs.data.augment import Stretch

LARGEST_TERM = 100  # of the fraction that stands for a pitch: 0.1 cents off within ±4 semitones
STOPBAND = ("kaiser", 8.0)  # window of the resampling filter: 80 dB
TINY = 1e-9
PENALTY = 2.0  # for energy that is lost or doubled, against a correlation within ±1


@dataclass(frozen=True)
class Pieces:
    """Lengths in seconds: of a piece, of the cross-fade into the next, of the search for it."""

    length: float
    fade: float
    search: float


MUSIC = Pieces(length=0.070, fade=0.010, search=0.020)
SPEECH = Pieces(length=0.040, fade=0.008, search=0.015)


@dataclass(frozen=True)
class BuiltIn:
    """The engine that needs no program and no library."""

    def at_once(self, threads: int) -> int:
        """One: threads would wait for Python's lock, and took longer than none."""
        return 1

    def describe(self) -> str:
        """What it is, for the log."""
        return "our own code"

    def stretch(
        self,
        wav: NDArray[np.float32],
        samplerate: int,
        stretch: Stretch,
        frames: int,
        *,
        speech: bool,
    ) -> NDArray[np.float32]:
        """Stretches `[T, C]` to at most `[frames, C]`."""
        rate = Fraction(2 ** (-stretch.pitch / 12)).limit_denominator(LARGEST_TERM)
        speed = (1 + stretch.tempo / 100) * float(rate)
        wav = time_stretch(wav, speed, samplerate, SPEECH if speech else MUSIC)
        if rate != 1:
            from scipy import signal  # a second or two, which a run with SoundTouch need not wait

            wav = signal.resample_poly(
                wav, rate.numerator, rate.denominator, axis=0, window=STOPBAND
            )
        return np.ascontiguousarray(wav[:frames], dtype=np.float32)


def time_stretch(
    wav: NDArray[np.float32], speed: float, samplerate: int, pieces: Pieces
) -> NDArray[np.float32]:
    """`[T, C]` to `[round(T / speed), C]` at the same pitch."""
    total = round(len(wav) / speed)
    length, fade = round(pieces.length * samplerate), round(pieces.fade * samplerate)
    reach = round(pieces.search * samplerate) // 2
    step = length - fade  # from one piece to the next in the output
    if speed == 1 or total <= step:
        return _cut(wav, total)
    count = -(-total // step)
    padded = np.pad(wav, ((reach, reach + length + fade), (0, 0)))
    power = np.zeros(len(padded) + 1)
    np.cumsum(np.square(padded, dtype=np.float64).sum(1), out=power[1:])
    out = np.empty((count * step, wav.shape[1]), dtype=np.float32)
    rise = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)[:, None]
    place = reach  # in `padded`
    for piece in range(count):
        end = place  # where the previous piece would go on
        if piece:
            first = min(round(piece * step * speed), len(wav))
            place = first + _best(padded, power, end, first, 2 * reach + 1, fade)
        joined = out[piece * step : (piece + 1) * step]
        joined[:] = padded[place : place + step]
        joined[:fade] *= rise
        joined[:fade] += (1 - rise) * padded[end : end + fade]
        place += step
    return out[:total]


def _best(
    wav: NDArray[np.float32],
    power: NDArray[np.float64],
    end: int,
    first: int,
    places: int,
    fade: int,
) -> int:
    """Which of the places from `first` on is the best one to go on at, instead of at `end`.

    That is where the next frames resemble those after `end` (normalised correlation over all
    channels), unless what lies between the two, and is left out or comes twice, holds more than its
    share of the energy around: a drum that is hit once should be heard once.

    Args:
        wav: `[T, C]`.
        power: `[T + 1]`, the energy before each frame.
        end: the frame after the previous piece.
        first: of the places.
        places: how many.
        fade: frames that are compared.
    """
    window, target = wav[first : first + places - 1 + fade], wav[end : end + fade]
    size = fft.next_fast_len(len(window), real=True)
    spectrum = fft.rfft(window, size, axis=0) * fft.rfft(target, size, axis=0).conj()
    alike = fft.irfft(spectrum.sum(1), size)[:places]
    before = power[first : first + places]
    level = np.sqrt(power[first + fade : first + fade + places] - before + TINY)
    level *= np.sqrt(power[end + fade] - power[end] + TINY)
    low, high = min(first, end), max(first + places, end) + fade
    between = np.abs(before - power[end]) / (power[high] - power[low] + TINY)
    share = np.abs(np.arange(first - end, first - end + places)) / (high - low)
    return int(np.argmax(alike / level - PENALTY * np.maximum(between - share, 0)))


def _cut(wav: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """`[T, C]`, cut or padded with zeros to `[frames, C]`."""
    return np.pad(wav[:frames], ((0, max(0, frames - len(wav))), (0, 0)))
