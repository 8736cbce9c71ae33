"""The drum kit: one wave for each piece, with a timbre drawn for the song."""

from collections.abc import Callable

import numpy as np

from demucs.demo_songs.tones import Wave, bandpass, decay, noise, seconds_axis, sine

METAL = (1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523, 2.7893, 3.1713)  # ratios of cymbal partials
VARIANTS = 3  # waves of a piece, so that no two hits in a row are equal
# Share of the kit's pieces: gain, and pan seen by the listener.
GAINS = {
    "kick": 1.0,
    "snare": 0.8,
    "closed": 0.3,
    "open": 0.3,
    "ride": 0.25,
    "low": 0.75,
    "middle": 0.7,
    "high": 0.65,
    "crash": 0.45,
}
PANS = {
    "closed": 0.35,
    "open": 0.35,
    "ride": -0.4,
    "low": 0.45,
    "middle": 0.0,
    "high": -0.4,
    "crash": -0.5,
}


def make_kit(rng: np.random.Generator, samplerate: int) -> dict[str, list[Wave]]:
    """Waves `[T]` of every piece of a new kit: acoustic-like, tight, or electronic."""
    character = str(rng.choice(("acoustic", "tight", "electronic")))
    length = {"acoustic": 1.0, "tight": 0.6, "electronic": 1.25}[character]
    clap = character == "electronic" and rng.random() < 0.6
    kick, snare = _Kick(rng, length), _Snare(rng, length, clap)
    base = float(rng.uniform(300.0, 460.0))
    shine = float(rng.uniform(0.3, 1.0))
    toms = float(rng.uniform(80.0, 110.0))
    closed, opened = float(rng.uniform(0.018, 0.045)), float(rng.uniform(0.12, 0.25))
    makers: dict[str, Callable[[], Wave]] = {
        "kick": lambda: kick.strike(rng, samplerate),
        "snare": lambda: snare.strike(rng, samplerate),
        "closed": lambda: _cymbal(rng, samplerate, base, closed, shine, 6500.0),
        "open": lambda: _cymbal(rng, samplerate, base, opened, shine, 6000.0),
        "ride": lambda: _cymbal(rng, samplerate, 1.3 * base, 0.35 * length, 0.9, 4500.0),
        "crash": lambda: _cymbal(rng, samplerate, 0.9 * base, 0.5 * length, 0.35, 3000.0),
        "low": lambda: _tom(rng, samplerate, toms, 0.16 * length),
        "middle": lambda: _tom(rng, samplerate, 1.35 * toms, 0.14 * length),
        "high": lambda: _tom(rng, samplerate, 1.8 * toms, 0.12 * length),
    }
    kit = {}
    for piece, make in makers.items():
        waves = [make() for _ in range(VARIANTS if piece != "crash" else 1)]
        kit[piece] = [wave * np.float32(GAINS[piece] / np.abs(wave).max()) for wave in waves]
    return kit


class _Kick:
    """A falling sine with a click."""

    def __init__(self, rng: np.random.Generator, length: float) -> None:
        self.low = float(rng.uniform(44.0, 62.0))
        self.high = float(rng.uniform(140.0, 340.0))
        self.fall = float(rng.uniform(0.015, 0.04))
        self.seconds = float(rng.uniform(0.07, 0.14)) * length
        self.click = float(rng.uniform(0.15, 0.5))
        self.drive = float(rng.uniform(1.0, 2.5))

    def strike(self, rng: np.random.Generator, samplerate: int) -> Wave:
        frames = int(6 * self.seconds * samplerate)
        times = seconds_axis(frames, samplerate)
        swept = self.fall * (self.high - self.low) * (1.0 - np.exp(-times / self.fall))
        body = sine(self.low * times + swept) * decay(frames, self.seconds, samplerate)
        click = bandpass(noise(rng, frames), 1500.0, 6000.0, samplerate)
        click *= decay(frames, 0.004, samplerate)
        wave: Wave = np.tanh(self.drive * body + self.click * click).astype(np.float32)
        return wave


class _Snare:
    """Two modes of the skin and the noise of the wires; or a clap of four bursts."""

    def __init__(self, rng: np.random.Generator, length: float, clap: bool) -> None:
        self.tone = float(rng.uniform(165.0, 240.0))
        self.ratio = float(rng.uniform(1.5, 1.9))
        self.ring = float(rng.uniform(0.03, 0.08)) * length
        self.wires = float(rng.uniform(0.05, 0.12)) * length
        self.bright = float(rng.uniform(900.0, 2200.0))
        self.mix = float(rng.uniform(0.35, 0.7))
        self.clap = clap

    def strike(self, rng: np.random.Generator, samplerate: int) -> Wave:
        frames = int(6 * self.wires * samplerate)
        times = seconds_axis(frames, samplerate)
        if self.clap:
            burst = bandpass(noise(rng, frames), 0.8 * self.bright, 5500.0, samplerate)
            gate = 0.6 * decay(frames, self.wires, samplerate)
            for k in range(3):
                late = np.maximum(times - 0.011 * k, 0.0).astype(np.float32)
                gate += (times >= 0.011 * k) * np.exp(-late / np.float32(0.006))
            clapped: Wave = (burst * gate).astype(np.float32)
            return clapped
        bend = 1.0 + 0.25 * np.exp(-times / 0.012)
        skin = sine(np.cumsum(self.tone * bend) / samplerate)
        skin += 0.6 * sine(np.cumsum(self.ratio * self.tone * bend) / samplerate)
        skin *= decay(frames, self.ring, samplerate)
        wires = bandpass(noise(rng, frames), self.bright, 11000.0, samplerate)
        wires *= decay(frames, self.wires, samplerate)
        wave: Wave = (self.mix * skin + (1.3 - self.mix) * wires).astype(np.float32)
        return wave


def _tom(rng: np.random.Generator, samplerate: int, low: float, seconds: float) -> Wave:
    frames = int(5 * seconds * samplerate)
    times = seconds_axis(frames, samplerate)
    cycles = low * times + 0.4 * low * 0.05 * (1.0 - np.exp(-times / 0.05))
    skin = sine(cycles) + 0.3 * sine(1.6 * cycles) * decay(frames, 0.4 * seconds, samplerate)
    hit = bandpass(noise(rng, frames), 600.0, 4000.0, samplerate)
    wave: Wave = skin * decay(frames, seconds, samplerate)
    return wave + 0.25 * hit * decay(frames, 0.012, samplerate)


def _cymbal(
    rng: np.random.Generator,
    samplerate: int,
    base: float,
    seconds: float,
    metal: float,
    low: float,
) -> Wave:
    """Noise and square-like partials above `low` Hz; `metal` is the share of the partials."""
    frames = int(5 * seconds * samplerate)
    times = seconds_axis(frames, samplerate)
    ring = np.zeros(frames, dtype=np.float32)
    for ratio in METAL:
        ring += np.sign(sine(base * ratio * times * float(rng.uniform(0.995, 1.005))))
    wave = bandpass(metal * ring / 2.8 + noise(rng, frames), low, None, samplerate)
    wave = wave * decay(frames, seconds, samplerate)
    wave += 0.6 * wave * decay(frames, 0.15 * seconds, samplerate)
    return wave
