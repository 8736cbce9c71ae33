"""The span of a song that is played: the one in which most stems are most active."""

from collections.abc import Sequence

import torch
from torch import Tensor

HOP = 0.5  # seconds


def busiest(stems: Sequence[Tensor], samplerate: int, seconds: float) -> int:
    """The first sample of the span of `seconds` in which the stems play most.

    How active a stem is in half a second is its RMS there over its largest one in the song, so a
    loud stem counts no more than a soft one; a silent stem counts nothing.

    Args:
        stems: `[C, T]` each, of one length.
        samplerate: Hz.
        seconds: length of the span; a shorter song is taken whole.
    """
    hop = max(1, round(HOP * samplerate))
    count = stems[0].shape[-1] // hop
    wanted = max(1, round(seconds / HOP))
    if count <= wanted:
        return 0
    activity = torch.zeros(count, dtype=torch.float64)
    for stem in stems:
        power = stem[:, : count * hop].double().square().mean(0)
        rms = power.reshape(count, hop).mean(1).sqrt()
        activity += rms / rms.max().clamp(min=1e-8)
    sums = activity.cumsum(0)
    of_spans = sums[wanted - 1 :] - torch.cat([sums.new_zeros(1), sums[:-wanted]])
    return int(of_spans.argmax()) * hop
