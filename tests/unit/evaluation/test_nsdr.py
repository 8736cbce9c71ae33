"""nSDR: the published formula, and what follows from it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from demucs.errors import ConfigError
from demucs.evaluation import nsdr


def stems(seed, batch=2, sources=3, channels=2, length=500):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, sources, channels, length, generator=generator)


def formula(references, estimates):
    references, estimates = references.double().numpy(), estimates.double().numpy()
    signal = (references**2).sum((2, 3)) + 1e-7
    return 10 * np.log10(signal / (((references - estimates) ** 2).sum((2, 3)) + 1e-7))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 4), st.integers(1, 2),
    st.integers(1, 300), st.floats(1e-4, 10),
)  # fmt: skip
def test_equals_the_formula(seed, batch, sources, channels, length, noise):
    truth = stems(seed, batch, sources, channels, length)
    guess = truth + noise * stems(seed + 1, batch, sources, channels, length)
    found = nsdr(truth, guess)
    assert found.shape == (batch, sources)
    np.testing.assert_allclose(found.numpy(), formula(truth, guess), atol=1e-4)


def test_ten_times_less_noise_is_twenty_decibels():
    truth, noise = stems(0), stems(1)
    gain = nsdr(truth, truth + 0.01 * noise) - nsdr(truth, truth + 0.1 * noise)
    assert torch.allclose(gain, torch.full_like(gain, 20.0), atol=1e-3)


@pytest.mark.parametrize("scale", [0.01, 0.5, 30.0])
def test_scaling_both_changes_nothing(scale):
    truth, guess = stems(0), stems(0) + 0.3 * stems(1)
    assert torch.allclose(nsdr(truth, guess), nsdr(scale * truth, scale * guess), atol=1e-3)


def test_scaling_the_estimate_alone_counts():
    truth = stems(0)
    assert torch.allclose(nsdr(truth, 0.5 * truth), torch.full((2, 3), 6.0206), atol=1e-3)


def test_silent_estimate_is_zero_and_perfect_is_large():
    truth = stems(0)
    assert torch.allclose(nsdr(truth, torch.zeros_like(truth)), torch.zeros(2, 3), atol=1e-5)
    assert (nsdr(truth, truth) > 90).all()


def test_silent_reference_measures_a_level():
    silence = torch.zeros(1, 1, 2, 500)
    loud = nsdr(silence, torch.ones_like(silence))
    assert loud.item() == pytest.approx(10 * np.log10(1e-7 / (1000 + 1e-7)), abs=1e-4)
    assert nsdr(silence, silence).item() == 0


def test_nan_stays_in_its_stem():
    truth = stems(0)
    guess = truth.clone()
    guess[0, 1, 0, 3] = float("nan")
    assert nsdr(truth, guess).isnan().nonzero().tolist() == [[0, 1]]


def test_sums_of_long_tracks_are_exact():
    truth = torch.full((1, 1, 1, 3_000_000), 0.1)
    truth[..., 0] = 3000.0  # a float32 sum would lose what comes after
    expected = formula(truth, 0 * truth + 0.2)
    np.testing.assert_allclose(nsdr(truth, 0 * truth + 0.2).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 2, 499), (3, 2, 500), (1, 3, 2, 500)])
def test_shapes_must_agree(shape):
    with pytest.raises(ConfigError, match=r"\[batch, stems, channels, samples\]"):
        nsdr(stems(0), torch.zeros(shape))
    with pytest.raises(ConfigError, match="nSDR compares"):
        nsdr(torch.zeros(3, 2, 5), torch.zeros(3, 2, 5))
