"""Gains and clip modes."""

import pytest
import torch

from demucs.audio import common_gain, normalise, prevent_clipping
from demucs.errors import ConfigError


def test_quiet_stems_are_left_alone() -> None:
    assert common_gain([torch.full((2, 3), 0.9), torch.full((2, 3), -0.5)]) == 1.0
    assert common_gain([]) == 1.0


def test_one_gain_fits_the_loudest() -> None:
    stems = [torch.tensor([[0.5, -4.0]]), torch.tensor([[1.0, 0.0]])]
    gain = common_gain(stems)
    assert 0.98 < max(float((stem * gain).abs().max()) for stem in stems) < 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("rescale", [0.0660, 0.6601, -0.9901]),
        ("clamp", [0.2, 0.99, -0.99]),
        ("tanh", [0.1974, 0.9640, -0.9951]),
        ("none", [0.2, 2.0, -3.0]),
    ],
)
def test_modes_give_the_public_numbers(mode: str, expected: list[float]) -> None:
    wav = torch.tensor([[0.2, 2.0, -3.0]])
    fitted = prevent_clipping(wav, mode)
    torch.testing.assert_close(fitted, torch.tensor([expected]), rtol=0, atol=1e-4)
    assert wav.tolist() == torch.tensor([[0.2, 2.0, -3.0]]).tolist()


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ConfigError, match="'loud'"):
        prevent_clipping(torch.zeros(1, 1), "loud")


@pytest.mark.parametrize("samples", [[0.25], [0.0, 0.0, 0.0], [0.5, 0.5]])
def test_what_has_no_deviation_is_normalised_to_silence(samples: list[float]) -> None:
    mixture = torch.tensor([samples, samples])
    normal, mean, scale = normalise(mixture)
    assert torch.equal(normal, torch.zeros_like(mixture))
    torch.testing.assert_close(normal * scale + mean, mixture)


def test_a_signal_is_normalised_by_its_mono_version() -> None:
    mixture = torch.randn(2, 5000, generator=torch.Generator().manual_seed(1)) * 0.1 + 0.02
    normal, mean, scale = normalise(mixture)
    mono = normal.mean(0)
    assert abs(float(mono.mean())) < 1e-6
    assert abs(float(mono.std()) - 1) < 1e-5
    torch.testing.assert_close(normal * scale + mean, mixture, rtol=1e-5, atol=1e-7)
