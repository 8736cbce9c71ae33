"""Separating each stem again: a clean one comes back as it is, and as nothing else.

The matrix P is that of Rouard et al., "Hybrid Transformers for Music Source Separation"
(arXiv:2211.08553, section 4): P_ij is the share of active seconds of stem i in which stem j of its
separation is at most 10 dB quieter than stem i itself.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from demucs.blind.quality import Array
from demucs.blind.records import Measures
from demucs.blind.scores.agreement import agreement, level
from demucs.blind.teacher import Teacher

NEAR = 10.0  # dB
ACTIVE = -40.0  # dBFS: a second in which a stem plays


def separate_again(teacher: Teacher, estimates: Tensor) -> Tensor:
    """`[S, C, T]` to `[S, S, C, T]`: the stems j of each stem i; zeros of a stem of zeros."""
    return torch.stack(
        [teacher(stem) if bool(stem.any()) else torch.zeros_like(estimates) for stem in estimates]
    )


def reseparation(teacher: Teacher, estimates: Tensor) -> dict[str, Measures]:
    """The scores that separating each stem again gives.

    Returns:
        `reseparation`: agreement of stem i with stem i of its separation, dB;
        `reseparation_gap`: how much louder that is than the loudest other, dB;
        `reseparation_own`: P_ii, and `reseparation_leak`: the largest P_ij (j ≠ i), in [0, 1]
        (of a window: whether it is one of those seconds).
    """
    again = separate_again(teacher, estimates)
    rate, stems = teacher.samplerate, range(len(estimates))
    own = torch.stack([again[stem, stem] for stem in stems])
    before = level(estimates, rate)
    levels = [level(measures, rate) for measures in again]
    near = np.array([levels[stem].windows > before.windows[stem] - NEAR for stem in stems])
    matrix = reseparation_matrix(
        before.windows, np.array([measures.windows for measures in levels])
    )
    diagonal, leak = _diagonal_and_rest(matrix)
    near_own, near_rest = _diagonal_and_rest(near.astype(np.float64))
    gap = [_diagonal_and_rest(np.array([getattr(measures, name) for measures in levels]))
           for name in ("track", "windows")]  # fmt: skip
    return {
        "reseparation": agreement(estimates, own, rate),
        "reseparation_gap": Measures(track=gap[0][0] - gap[0][1], windows=gap[1][0] - gap[1][1]),
        "reseparation_own": Measures(track=diagonal, windows=near_own),
        "reseparation_leak": Measures(track=leak, windows=near_rest),
    }


def reseparation_matrix(before: Array, after: Array) -> Array:
    """P, `[S, S]`, of levels in dB; a row is NaN where the stem never plays.

    Args:
        before: of each stem's seconds, `[S, N]`.
        after: of the stems j of its separation, `[S, S, N]`.
    """
    active = before > ACTIVE
    near = (after > before[:, None] - NEAR) & active[:, None]
    counts = active.sum(-1)[:, None].astype(np.float64)
    counts[counts == 0] = np.nan
    shares: Array = near.sum(-1) / counts
    return shares


def _diagonal_and_rest(values: Array) -> tuple[Array, Array]:
    """Of `[S, S, ...]`, what stands at (i, i), and the largest at (i, j), j ≠ i; `[S, ...]`."""
    stems = np.arange(len(values))
    others = values.copy()
    others[stems, stems] = -np.inf
    return values[stems, stems], others.max(1)


def self_cycle(teacher: Teacher, estimates: Tensor) -> Measures:
    """Agreement in dB with the stems of a mixture of the song's own stems, each from another time.

    Stem i is moved round by i/S of the song.
    """
    length = estimates.shape[-1]
    moves = [stem * length // len(estimates) for stem in range(len(estimates))]
    moved = [stem.roll(move, -1) for stem, move in zip(estimates, moves, strict=True)]
    separated = teacher(torch.stack(moved).sum(0))
    back = [stem.roll(-move, -1) for stem, move in zip(separated, moves, strict=True)]
    return agreement(estimates, torch.stack(back), teacher.samplerate)


def cycle(teacher: Teacher, estimates: Tensor, others: Sequence[Tensor]) -> Measures:
    """Agreement in dB with the stems of a mixture of the song's stems with another song's.

    Two mixtures: the stems of even number from this song and those of odd number from another,
    and the other way round.

    Args:
        others: estimates `[S, C, T']` of another song for each of the two; one serves for both.
    """
    length = estimates.shape[-1]
    stems = torch.empty_like(estimates)
    for parity in (0, 1):
        other = _fitted(others[parity % len(others)], length)
        mixed = torch.cat([estimates[parity::2], other[1 - parity :: 2]]).sum(0)
        stems[parity::2] = teacher(mixed)[parity::2]
    return agreement(estimates, stems, teacher.samplerate)


def _fitted(stems: Tensor, length: int) -> Tensor:
    """Cut, or padded with silence, to `length` samples."""
    return F.pad(stems[..., :length], (0, max(0, length - stems.shape[-1])))
