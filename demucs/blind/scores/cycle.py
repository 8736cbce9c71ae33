"""Cycle consistency: stems are mixed anew, and separating that mixture should give them back.

The remix of RemixIT (arXiv:2202.08862): a remix of estimates is a mixture whose stems are known.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from demucs.blind.records import Measures
from demucs.blind.scores.agreement import agreement
from demucs.blind.teacher import Teacher


def self_cycle(teacher: Teacher, estimates: Tensor) -> Measures:
    """Agreement in dB with the stems of a mixture of the song's own stems, each from another time.

    Stem i is moved round by i/S of the song.
    """
    length = estimates.shape[-1]
    moves = [stem * length // len(estimates) for stem in range(len(estimates))]
    moved = [stem.roll(move, -1) for stem, move in zip(estimates, moves, strict=True)]
    found = teacher(torch.stack(moved).sum(0))
    back = [stem.roll(-move, -1) for stem, move in zip(found, moves, strict=True)]
    return agreement(estimates, torch.stack(back), teacher.samplerate)


def cycle(teacher: Teacher, estimates: Tensor, others: Sequence[Tensor]) -> Measures:
    """Agreement in dB with the stems of a mixture of the song's stems with another song's.

    Two mixtures: the stems of even number from this song and those of odd number from another,
    and the other way round.

    Args:
        others: estimates `[S, C, T']` of another song for each of the two; one serves for both.
    """
    length = estimates.shape[-1]
    found = torch.empty_like(estimates)
    for parity in (0, 1):
        other = _fitted(others[parity % len(others)], length)
        mixed = torch.cat([estimates[parity::2], other[1 - parity :: 2]]).sum(0)
        found[parity::2] = teacher(mixed)[parity::2]
    return agreement(estimates, found, teacher.samplerate)


def _fitted(stems: Tensor, length: int) -> Tensor:
    """Cut, or padded with silence, to `length` samples."""
    return F.pad(stems[..., :length], (0, max(0, length - stems.shape[-1])))
