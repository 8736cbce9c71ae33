"""Distortion filters where many would do: the projection is still the right one."""

import numpy as np
import pytest

from demucs.evaluation.metrics.bss_filters import (
    TAPS,
    correlations,
    distortion_filters,
    normal_matrix,
    solve,
)


def stems(seed=0, seconds=2, rate=8000):
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((2, 2, seconds * rate + 9))
    return white[..., 9:] + 0.8 * white[..., 8:-1] + 0.5 * white[..., :-9]


def rest(rows, filters, estimate):
    """Energy of what filters `[I, TAPS]` of `rows` `[I, T]` leave of an estimate `[T]`."""
    length = rows.shape[-1] + TAPS - 1
    size = 1 << length.bit_length()
    heard = np.fft.irfft((np.fft.rfft(rows, size) * np.fft.rfft(filters, size)).sum(0), size)[
        :length
    ]
    return ((np.pad(estimate, (0, TAPS - 1)) - heard) ** 2).sum()


@pytest.mark.parametrize("kind", ["mono in two channels", "the same stem twice", "no highs"])
def test_a_singular_system_has_the_projection_of_a_regular_one(kind):
    truth = stems()
    guess = truth + 0.1 * truth[::-1] + 0.02 * stems(1)
    if kind == "mono in two channels":
        truth[0, 1] = truth[0, 0]
    elif kind == "the same stem twice":
        truth[1] = truth[0]
    else:
        spectrum = np.fft.rfft(truth)
        spectrum[..., spectrum.shape[-1] // 3 :] = 0
        truth = np.fft.irfft(spectrum, truth.shape[-1])
    rows = truth.reshape(4, -1)
    keep = {"mono in two channels": [0, 2, 3], "the same stem twice": [0, 1]}.get(
        kind, [0, 1, 2, 3]
    )
    everything, _ = distortion_filters(truth, guess)
    for estimate, filters in zip(guess.reshape(4, -1), everything.reshape(4, 4, TAPS), strict=True):
        found = correlations(rows[keep], np.vstack([rows[keep], estimate]))
        auto, cross = found[:, :-1], found[:, -1, TAPS - 1 :]
        best = solve(normal_matrix(auto), cross.reshape(-1, 1)).reshape(len(keep), TAPS)
        least = rest(rows[keep], best, estimate)
        assert rest(rows, filters, estimate) == pytest.approx(least, rel=1e-4)
        assert np.abs(filters).max() < 1e4  # not a large filter that another one undoes
