"""Tempo and beats from an onset envelope.

The tempo is the lag at which the envelope resembles itself, the beats are the row of moments that
are strong and evenly spaced, found by dynamic programming (Ellis, "Beat tracking by dynamic
programming", 2007).
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from demucs.data.automix.onsets import Array

SLOWEST, FASTEST = 55.0, 220.0  # beats per minute
USUAL, OCTAVES = 110.0, 0.9  # where most music is, and how far around
MULTIPLES = (1.0, 0.8, 0.4, 0.6)  # weight of one to four beats later in the self-resemblance
TIGHTNESS = 100.0  # how much an uneven beat costs
SMOOTHING = 8  # beats to each side over which the beats are evened out
DEGREE = 2  # of the curve through them: the tempo may change at a constant rate
ROUNDS = 3  # of leaving out what does not fit


@dataclass(frozen=True)
class Pulse:
    """Beats in seconds; beats per minute; 0..1, how much the song repeats itself at that tempo."""

    beats: Array
    tempo: float
    clarity: float


def find_pulse(envelope: Array, rate: float) -> Pulse:
    """The beats of an onset envelope `[N]` with `rate` values per second.

    No beats where there is too little to go by.
    """
    if len(envelope) < 4 * 60 / SLOWEST * rate or not envelope.any():
        return Pulse(np.zeros(0), 0.0, 0.0)
    period, clarity = _period(envelope, rate)
    beats = _even(_track(envelope, period))
    tempo = 60 * rate / float(np.median(np.diff(beats)))
    return Pulse(beats / rate, tempo, clarity)


def _period(envelope: Array, rate: float) -> tuple[float, float]:
    """Values per beat, and the correlation of the envelope with itself so much later."""
    centred = ndimage.gaussian_filter1d(envelope, 0.01 * rate)
    centred = centred - centred.mean()
    size = fft.next_fast_len(2 * len(centred), real=True)
    alike = fft.irfft(np.square(np.abs(fft.rfft(centred, size))), size)[: len(centred)]
    alike /= alike[0]
    lags = np.arange(60 * rate / FASTEST, 60 * rate / SLOWEST, 0.25)
    places = np.arange(len(alike))
    score = sum(
        weight * np.interp(count * lags, places, alike, right=0.0)
        for count, weight in enumerate(MULTIPLES, 1)
    )
    octaves = np.log2(60 * rate / lags / USUAL)
    best = int(np.argmax(score * np.exp(-0.5 * (octaves / OCTAVES) ** 2)))
    period = float(lags[best])
    return period, float(np.clip(np.interp(period, places, alike), 0, 1))


def _track(envelope: Array, period: float) -> Array:
    """Places of the beats, by dynamic programming, with about `period` values between them."""
    strength = ndimage.gaussian_filter1d(envelope, period / 32)
    steps = np.arange(-round(2 * period), -round(period / 2) + 1)
    cost = -TIGHTNESS * np.log(-steps / period) ** 2
    reach = -int(steps[0])
    total = np.zeros(len(strength) + reach)  # padded before the start
    total[reach:] = strength
    before = np.full(len(strength), -1)
    for here in range(len(strength)):
        window = total[here : here + len(steps)] + cost
        best = int(np.argmax(window))
        previous = here + int(steps[best])
        if previous >= 0:
            total[here + reach] += window[best]
            before[here] = previous
    scores = total[reach:]
    place = len(scores) - round(period) + int(np.argmax(scores[-round(period) :]))
    beats = []
    while place >= 0:
        beats.append(place)
        place = int(before[place])
    return np.array(beats[::-1], dtype=np.float64)


def _even(beats: Array) -> Array:
    """Moves each beat onto a curve through its neighbours, so that single ones do not stray.

    The curve is fitted to `SMOOTHING` beats to each side, less those far off it.
    """
    evened = np.empty_like(beats)
    for here in range(len(beats)):
        first = max(0, min(here - SMOOTHING, len(beats) - 2 * SMOOTHING - 1))
        near = beats[first : first + 2 * SMOOTHING + 1]
        index = np.arange(first, first + len(near)) - here
        weight = np.ones(len(near))
        for _ in range(ROUNDS):
            curve = np.polyfit(index, near, DEGREE, w=weight)
            off = np.abs(near - np.polyval(curve, index))
            weight = 1 / (1 + (off / (np.median(off) + 0.5)) ** 2)
        evened[here] = curve[-1]
    return evened
