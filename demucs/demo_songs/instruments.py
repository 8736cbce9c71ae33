"""Instruments of the "other" stem: each a maker that draws a timbre and returns a player.

A player turns a note into a wave `[T]`, or `[2, T]` where the sound itself is wide.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from demucs.demo_songs.music import Note
from demucs.demo_songs.tones import (
    TABLE,
    Wave,
    adsr,
    decay,
    hertz,
    noise,
    oscillate,
    oscillate_sweep,
    seconds_axis,
    sine,
    sweep_tables,
    wavetable,
)

Player: TypeAlias = Callable[[Note], Wave]
Maker: TypeAlias = Callable[[np.random.Generator, int], Player]


def pad(rng: np.random.Generator, samplerate: int) -> Player:
    """Subtractive: detuned saws on both sides, a slow attack and a moving low-pass filter."""
    attack, cutoff = float(rng.uniform(0.05, 0.35)), float(rng.uniform(600.0, 1600.0))
    detune, rate = float(rng.uniform(0.001, 0.004)), float(rng.uniform(0.1, 0.5))
    cutoffs = np.geomspace(0.5 * cutoff, 2.5 * cutoff, 5)
    law = 1.0 / np.arange(1, 81)

    def play(note: Note) -> Wave:
        frames = int((note.length + 0.25) * samplerate)
        frequency, times = hertz(note.pitch), seconds_axis(frames, samplerate)
        tables = sweep_tables(law, frequency, cutoffs, samplerate)
        position = 0.5 + 0.4 * sine(rate * (times + note.start))
        start = rng.random(2)
        sides = [
            oscillate_sweep(tables, frequency * (1 + sign * detune) * times + phase, position)
            for sign, phase in zip((-1, 1), start, strict=True)
        ]
        envelope = adsr(frames, samplerate, attack=attack, fall=1.0, sustain=0.85, release=0.3)
        wide: Wave = np.stack(sides) * envelope * np.float32(0.5)
        return wide

    return play


def electric_piano(rng: np.random.Generator, samplerate: int) -> Player:
    """Two-operator FM with a bell-like tine at the start and a tremolo."""
    index, ring = float(rng.uniform(0.12, 0.3)), float(rng.uniform(0.8, 1.6))
    tine, tremolo = float(rng.uniform(0.05, 0.2)), float(rng.uniform(0.0, 0.35))
    rate = float(rng.uniform(3.5, 6.0))

    def play(note: Note) -> Wave:
        frames = int((note.length + 0.12) * samplerate)
        frequency, times = hertz(note.pitch), seconds_axis(frames, samplerate)
        bend = index * note.velocity * decay(frames, 0.4 * ring, samplerate)
        wave = sine(frequency * times + bend * sine(frequency * times))
        if 14 * frequency < 0.4 * samplerate:
            wave += tine * decay(frames, 0.08, samplerate) * sine(14.0 * frequency * times)
        envelope = adsr(frames, samplerate, attack=0.003, fall=ring, sustain=0.0, release=0.12)
        swing = 0.5 * tremolo * sine(rate * (times + note.start))
        wide: Wave = (
            wave * envelope * np.stack([1.0 - tremolo / 2 + swing, 1.0 - tremolo / 2 - swing])
        )
        return wide

    return play


def bell(rng: np.random.Generator, samplerate: int) -> Player:
    """FM with an inharmonic ratio and a long ring."""
    ratio = float(rng.choice((1.4, 2.76, 3.5, 5.4)))
    index, ring = float(rng.uniform(0.2, 0.45)), float(rng.uniform(0.5, 1.2))

    def play(note: Note) -> Wave:
        frames = int((note.length + 0.6) * samplerate)
        frequency, times = hertz(note.pitch), seconds_axis(frames, samplerate)
        bend = index * note.velocity * decay(frames, 0.3 * ring, samplerate)
        wave = sine(frequency * times + bend * sine(ratio * frequency * times))
        envelope = adsr(frames, samplerate, attack=0.002, fall=ring, sustain=0.0, release=0.3)
        return wave * envelope

    return play


def guitar(rng: np.random.Generator, samplerate: int) -> Player:
    """Karplus and Strong's plucked string (Computer Music Journal 7(2), 1983)."""
    bright, hold = float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.99, 0.997))
    spot = float(rng.uniform(0.12, 0.35))
    strings: dict[float, Wave] = {}

    def play(note: Note) -> Wave:
        if note.pitch not in strings:
            strings[note.pitch] = _string(rng, samplerate, hertz(note.pitch), bright, hold, spot)
        frames = min(int((note.length + 0.1) * samplerate), len(strings[note.pitch]))
        envelope = adsr(frames, samplerate, attack=0.001, fall=1.0, sustain=1.0, release=0.08)
        return strings[note.pitch][:frames] * envelope

    return play


def _string(
    rng: np.random.Generator,
    samplerate: int,
    frequency: float,
    bright: float,
    hold: float,
    spot: float,
    seconds: float = 2.5,
) -> Wave:
    """A string plucked at a share `spot` of its length, one period at a time."""
    period = max(4, int(samplerate / frequency - 0.5))
    burst = noise(rng, period)
    for _ in range(3):
        burst = bright * burst + (1.0 - bright) * np.roll(burst, 1)
    burst = burst - np.roll(burst, max(1, int(spot * period)))
    burst = burst / np.abs(burst).max()
    periods = int(seconds * samplerate / period) + 2
    out = np.zeros(periods * period + 1, dtype=np.float32)  # one sample of silence in front
    out[1 : period + 1] = burst
    half = np.float32(0.5 * hold)
    for k in range(1, periods):
        start = k * period + 1
        previous = out[start - period - 1 : start]
        out[start : start + period] = half * (previous[1:] + previous[:-1])
    # The loop is period + 1/2 samples long; reading at another speed tunes it.
    speed = (period + 0.5) * frequency / samplerate
    where = np.arange(int(len(out) / speed) - 1) * speed
    tuned: Wave = np.interp(where, np.arange(len(out)), out).astype(np.float32)
    return tuned


def organ(rng: np.random.Generator, samplerate: int) -> Player:
    """Additive: drawbars and a rotating speaker."""
    bars = np.zeros(16)
    drawn = rng.uniform(0.0, 1.0, size=9) ** 1.5
    bars[np.array((1, 2, 3, 4, 6, 8, 10, 12, 16)) - 1] = drawn
    bars[1] = 1.0
    table = wavetable(bars / bars.sum())
    rate, depth = float(rng.choice((0.9, 6.2))), float(rng.uniform(0.1, 0.3))

    def play(note: Note) -> Wave:
        frames = int((note.length + 0.04) * samplerate)
        frequency, times = 0.5 * hertz(note.pitch), seconds_axis(frames, samplerate)
        turn = sine(rate * (times + note.start))
        wave = oscillate(table, frequency * times + 0.04 * turn)
        envelope = adsr(frames, samplerate, attack=0.006, fall=1.0, sustain=1.0, release=0.05)
        wide: Wave = wave * envelope * np.stack([1.0 + depth * turn, 1.0 - depth * turn])
        return wide

    return play


def synth(rng: np.random.Generator, samplerate: int) -> Player:
    """Subtractive: a saw or a pulse whose filter closes after each attack."""
    harmonics = np.arange(1, 61)
    width = float(rng.choice((0.5, 0.25, 0.12)))
    law = 1.0 / harmonics
    if rng.random() < 0.6:
        law = np.abs(np.sin(np.pi * width * harmonics)) / harmonics
    low, high = float(rng.uniform(500.0, 900.0)), float(rng.uniform(2500.0, 6000.0))
    sweep, sustain = float(rng.uniform(0.06, 0.25)), float(rng.uniform(0.3, 0.8))
    cutoffs = np.geomspace(low, high, 6)

    def play(note: Note) -> Wave:
        frames = int((note.length + 0.06) * samplerate)
        frequency, times = hertz(note.pitch), seconds_axis(frames, samplerate)
        tables = sweep_tables(law, frequency, cutoffs, samplerate)
        position = note.velocity * decay(frames, sweep, samplerate)
        wave = oscillate_sweep(tables, frequency * times + rng.integers(TABLE) / TABLE, position)
        envelope = adsr(frames, samplerate, attack=0.004, fall=0.2, sustain=sustain, release=0.06)
        return wave * envelope

    return play


# Which instruments suit which layer.
BEDS: dict[str, Maker] = {"pad": pad, "organ": organ}
COMPS: dict[str, Maker] = {
    "electric piano": electric_piano,
    "guitar": guitar,
    "organ": organ,
    "synth": synth,
}
LINES: dict[str, Maker] = {"synth": synth, "bell": bell, "guitar": guitar}
