"""Scores of the stems as they are: against the mixture, and against each other."""

import numpy as np
import torch
from torch import Tensor

from demucs.blind.records import Measures
from demucs.blind.scores.agreement import agreement, by_window, constant, largest_other, level
from demucs.blind.scores.reseparation import ACTIVE


def residual(mixture: Tensor, estimates: Tensor, samplerate: int) -> Measures:
    """How far the mixture is above what the stems leave of it, dB; the same for all stems."""
    measures = agreement(mixture[None], estimates.sum(0, keepdim=True), samplerate)
    stems = len(estimates)
    return Measures(
        track=np.repeat(measures.track, stems), windows=np.repeat(measures.windows, stems, axis=0)
    )


def loudness(estimates: Tensor, samplerate: int) -> dict[str, Measures]:
    """What is known of loudness alone, against which every other score has to show its worth.

    Returns:
        `level` in dB below full scale; `level_gap` in dB to the loudest other stem (BSRNN,
        arXiv:2209.15174, takes 30 dB for a clean target); `active_share`, the share of seconds
        above −40 dB, of a window whether it is one.
    """
    levels = level(estimates, samplerate)
    active = (levels.windows > ACTIVE).astype(np.float64)
    share = active.mean(-1) if active.shape[-1] else np.full(len(active), np.nan)
    return {
        "level": levels,
        "level_gap": Measures(
            track=levels.track - largest_other(levels.track),
            windows=levels.windows - largest_other(levels.windows),
        ),
        "active_share": Measures(track=share, windows=active),
    }


def correlation(estimates: Tensor, samplerate: int) -> Measures:
    """The largest |cosine| between a stem and another: what bleeds is in both, in phase or not."""
    if len(estimates) < 2:
        return constant(np.nan, level(estimates, samplerate))
    return by_window(_largest_cosine, estimates, samplerate)


def _largest_cosine(stems: Tensor) -> Tensor:
    flat = stems.flatten(1).double()
    flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-9)
    cosines = (flat @ flat.T).abs()
    cosines.fill_diagonal_(0)
    largest: Tensor = torch.amax(cosines, dim=1)
    return largest
