"""The augmentations of Demucs, as numbers drawn for a place and a function that applies them.

Shift, flips and scale are those of Défossez et al., "Music Source Separation in the Waveform
Domain" (1911.13254); repitch is in `demucs.data.repitch`, remix in `demucs.data.epoch_plan`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from demucs.data.rng import Purpose, generator
from demucs.errors import ConfigError

TEMPO_SPREAD = 5.0  # standard deviation of the tempo change in percent, before clipping


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """The `augment` block of the configuration.

    Attributes:
        shift_same: all stems of an example get the same crop.
        flip: swap left and right, and turn the polarity, each with probability 1/2.
        remix_proba: probability that a group of examples exchanges its stems.
        remix_group: examples in a group (`augment.remix.group_size`).
        scale_proba: probability that the stems of an example are scaled.
        scale_min: smallest gain, linear.
        scale_max: largest gain, linear.
        repitch_proba: probability that an example changes tempo and pitch.
        repitch_max_tempo: largest change of tempo, percent.
        repitch_max_pitch: largest change of pitch, semitones.
    """

    shift_same: bool = False
    flip: bool = True
    remix_proba: float = 1.0
    remix_group: int = 4
    scale_proba: float = 1.0
    scale_min: float = 0.25
    scale_max: float = 1.25
    repitch_proba: float = 0.2
    repitch_max_tempo: float = 12.0
    repitch_max_pitch: int = 2

    def __post_init__(self) -> None:
        for name in ("remix", "scale", "repitch"):
            proba = getattr(self, f"{name}_proba")
            if not 0 <= proba <= 1:
                raise ConfigError(f"augment.{name}.proba={proba} is not within 0 and 1")
        if self.remix_group < 1:
            raise ConfigError(
                f"augment.remix.group_size={self.remix_group} must be at least 1; "
                "to switch remix off, set augment.remix.proba=0"
            )
        if not 0 <= self.scale_min <= self.scale_max:
            raise ConfigError(
                f"augment.scale.min={self.scale_min} and augment.scale.max={self.scale_max}: "
                "need 0 <= min <= max"
            )
        if not 0 <= self.repitch_max_tempo < 100:
            raise ConfigError(
                f"augment.repitch.max_tempo={self.repitch_max_tempo} is a percentage: "
                "need 0 <= max_tempo < 100"
            )
        if self.repitch_max_pitch < 0:
            raise ConfigError(
                f"augment.repitch.max_pitch={self.repitch_max_pitch} must not be negative"
            )

    @classmethod
    def none(cls) -> "AugmentConfig":
        """Every augmentation off but the random crop."""
        return cls(flip=False, remix_proba=0, scale_proba=0, repitch_proba=0)


@dataclass(frozen=True)
class StemDraw:
    """What happens to one stem: crop offset in frames, left/right swap, signed linear gain."""

    offset: int
    swap: bool
    gain: float

    def apply(self, wav: Tensor) -> Tensor:
        """`[C, T]` to `[C, T]`: swaps (stereo only) and scales. The crop is made when reading."""
        out = torch.empty_like(wav)
        self.into(out, wav)
        return out

    def into(self, out: Tensor, wav: Tensor, mean: float = 0.0, std: float = 1.0) -> None:
        """Writes `wav` `[C, t]` to `out` `[C, T]`, T >= t: normalised, swapped, scaled, padded."""
        frames = wav.shape[1]
        order = (1, 0) if self.swap and wav.shape[0] == 2 else range(wav.shape[0])
        for row, channel in zip(out, order, strict=True):  # a channel stays in the cache meanwhile
            torch.sub(wav[channel], mean, out=row[:frames]).div_(std).mul_(self.gain)
            row[frames:] = 0


@dataclass(frozen=True)
class Stretch:
    """A change of tempo in percent and of pitch in semitones, shared by the stems of an item."""

    tempo: float
    pitch: int


def draw_stems(
    config: AugmentConfig, *, seed: int, epoch: int, position: int, stems: int, shift: int
) -> list[StemDraw]:
    """Draws crop, flips and gain for each stem of the item at `position`.

    The same numbers are drawn whatever is switched on, so that one switch does not reshuffle
    the others. `shift` is in frames: offsets lie in `[0, shift)`.
    """
    rng = generator(seed, Purpose.AUGMENT, epoch, position)
    offsets = rng.integers(0, max(shift, 1), size=stems)
    swaps = rng.random(stems) < 0.5
    signs = np.where(rng.random(stems) < 0.5, -1.0, 1.0)
    gains = rng.uniform(config.scale_min, config.scale_max, size=stems)
    scaled = bool(rng.random() < config.scale_proba)
    return [
        StemDraw(
            offset=int(offsets[0 if config.shift_same else stem]),
            swap=bool(config.flip and swaps[stem]),
            gain=float((signs[stem] if config.flip else 1.0) * (gains[stem] if scaled else 1.0)),
        )
        for stem in range(stems)
    ]


def draw_stretch(config: AugmentConfig, *, seed: int, epoch: int, segment: int) -> Stretch | None:
    """Draws the tempo and pitch of a segment, or None where it stays as it is."""
    rng = generator(seed, Purpose.REPITCH, epoch, segment)
    if rng.random() >= config.repitch_proba:
        return None
    limit = config.repitch_max_tempo
    tempo = float(np.clip(rng.normal(0.0, TEMPO_SPREAD), -limit, limit))
    pitch = int(rng.integers(-config.repitch_max_pitch, config.repitch_max_pitch + 1))
    return Stretch(tempo, pitch)
