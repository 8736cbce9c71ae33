"""Gains and clip modes."""

import pytest
import torch

from demucs.audio import common_gain, prevent_clipping
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
