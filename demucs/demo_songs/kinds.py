"""Kinds of demo songs: as they are made in a studio, and as another kind of music altogether.

`live` music is for the question how a model, or a score, fares on music that it does not know: the
instruments are tuned and pitched otherwise, played through overdriven amplifiers in a large room,
balanced carelessly, and some songs lack an instrument.
"""

from dataclasses import dataclass

import numpy as np
from scipy import signal

from demucs.demo_songs.mastering import active_rms
from demucs.demo_songs.tones import Wave, decibels

KINDS = ("studio", "live")

# Of live songs; pairs are ranges from which each song, or stem, draws uniformly.
SPEEDS = ((0.80, 0.90), (1.12, 1.25))  # lower or higher, in pitch and tempo together
DRIVE_DB = (2.0, 14.0)  # of a stem into a soft limiter, over its own level
REVERB_SECONDS = (1.8, 3.5)
MORE_REVERB_DB = (8.0, 16.0)
SPREAD_DB = 5.0
LACKING = 0.3  # share of songs without one of the stems


@dataclass(frozen=True)
class Stage:
    """What makes one song live; drawn before it is synthesised.

    Attributes:
        speed: of the recording against the performance.
        drive: dB for each stem.
        spread: dB for each stem.
        reverb: seconds to fall by 60 dB.
        wet: dB that the reverb is louder than in a studio.
        lacking: name of the stem that does not play.
    """

    speed: float
    drive: dict[str, float]
    spread: dict[str, float]
    reverb: float
    wet: float
    lacking: str | None

    @classmethod
    def draw(cls, rng: np.random.Generator, stems: tuple[str, ...]) -> "Stage":
        low, high = SPEEDS[int(rng.integers(len(SPEEDS)))]
        return cls(
            speed=float(rng.uniform(low, high)),
            drive={name: float(rng.uniform(*DRIVE_DB)) for name in stems},
            spread={name: float(rng.uniform(-SPREAD_DB, SPREAD_DB)) for name in stems},
            reverb=float(rng.uniform(*REVERB_SECONDS)),
            wet=float(rng.uniform(*MORE_REVERB_DB)),
            lacking=stems[int(rng.integers(len(stems)))] if rng.random() < LACKING else None,
        )

    def amplify(self, name: str, wave: Wave, frames: int) -> Wave:
        """A dry stem `[2, T]` at the song's speed, `[2, frames]`, and through its amplifier."""
        played = signal.resample(wave, frames, axis=-1)
        loudness = active_rms(played)
        if name == self.lacking or loudness == 0:
            return np.zeros((2, frames), dtype=np.float32)
        drive = decibels(self.drive[name]) / (3 * loudness)
        driven: Wave = np.tanh(played * drive).astype(np.float32)
        return driven

    def mix(self, name: str, wave: Wave) -> Wave:
        """A stem at its careless level."""
        mixed: Wave = wave * np.float32(decibels(self.spread[name]))
        return mixed
