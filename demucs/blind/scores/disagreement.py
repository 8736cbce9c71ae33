"""Disagreement of a teacher with itself, when its input changes as its stems should too.

Each probe turns the mixture, has it separated, and turns the stems back. A teacher that is sure of
a stem gives the same one again; how much it differs is seen without ground truth.
"""

import julius
import torch
from torch import Tensor
from torch.nn import functional as F

from demucs.blind.records import Measures
from demucs.blind.scores.agreement import agreement
from demucs.blind.teacher import Teacher

SHIFT = 0.0537  # seconds; no multiple of any stride of the networks
GAIN = 0.25
SPEED = (50, 51)  # old and new sample rate: 2 % slower and a third of a semitone lower
NOISE_DB = -26.0  # of the mixture's deviation


def polarity(teacher: Teacher, mixture: Tensor, estimates: Tensor) -> Measures:
    """Against the stems of −x."""
    return agreement(estimates, -teacher(-mixture), teacher.samplerate)


def swap(teacher: Teacher, mixture: Tensor, estimates: Tensor) -> Measures | None:
    """Against the stems of x with left and right exchanged; None for mono."""
    if mixture.shape[0] < 2:
        return None
    return agreement(estimates, teacher(mixture.flip(0)).flip(1), teacher.samplerate)


def shift(teacher: Teacher, mixture: Tensor, estimates: Tensor) -> Measures:
    """Against the stems of x after 54 ms of silence."""
    delay = round(SHIFT * teacher.samplerate)
    moved = teacher(F.pad(mixture, (delay, 0)))[..., delay:]
    return agreement(estimates, moved, teacher.samplerate)


def gain(teacher: Teacher, mixture: Tensor, estimates: Tensor) -> Measures:
    """Against the stems of x at a quarter of its amplitude.

    Says nothing of models that normalise their input, as all of Demucs do.
    """
    return agreement(estimates, teacher(mixture * GAIN) / GAIN, teacher.samplerate)


def speed(teacher: Teacher, mixture: Tensor, estimates: Tensor) -> Measures:
    """Against the stems of x played 2 % slower, pitch and tempo together.

    Both sides go through the same two resamplings, so that only the teacher's part is seen.
    """
    old, new = SPEED

    def back(stems: Tensor) -> Tensor:
        resampled = julius.resample_frac(stems, new, old)[..., :length]
        return F.pad(resampled, (0, length - resampled.shape[-1]))

    length = mixture.shape[-1]
    slow = teacher(julius.resample_frac(mixture, old, new))
    return agreement(
        back(julius.resample_frac(estimates, old, new)), back(slow), teacher.samplerate
    )


def noise(teacher: Teacher, mixture: Tensor, estimates: Tensor) -> Measures:
    """Against the stems of x with white noise 26 dB below it, always the same noise."""
    generator = torch.Generator().manual_seed(0)
    hiss = torch.randn(mixture.shape, generator=generator, dtype=mixture.dtype)
    loud = 10 ** (NOISE_DB / 20) * mixture.std()
    return agreement(estimates, teacher(mixture + loud * hiss), teacher.samplerate)
