"""Channels and sample rates."""

import julius
import pytest
import torch

from demucs.audio import convert_audio
from demucs.audio.convert import interpolate
from demucs.errors import AudioError


def test_mono_is_copied_and_stereo_averaged() -> None:
    mono = torch.randn(3, 1, 10)
    assert torch.equal(convert_audio(mono, 44100, 44100, 2), mono.expand(3, 2, 10))
    stereo = torch.randn(2, 10)
    assert torch.equal(convert_audio(stereo, 8, 8, 1), stereo.mean(0, keepdim=True))


def test_the_first_of_many_channels_are_kept() -> None:
    surround = torch.randn(6, 10)
    assert torch.equal(convert_audio(surround, 8, 8, 2), surround[:2])


def test_nothing_to_do_is_nothing_done() -> None:
    wav = torch.randn(2, 10)
    assert convert_audio(wav, 44100, 44100, 2) is wav


def test_stereo_does_not_become_surround() -> None:
    with pytest.raises(AudioError, match="6 channels out of 2"):
        convert_audio(torch.zeros(2, 10), 8, 8, 6)


@pytest.mark.parametrize("rates", [(0, 44100), (44100, -1)])
def test_a_rate_is_positive(rates: tuple[int, int]) -> None:
    with pytest.raises(AudioError, match=f"from {rates[0]} Hz to {rates[1]} Hz"):
        convert_audio(torch.zeros(2, 10), *rates, 2)


@pytest.mark.parametrize("from_rate", [8000, 22050, 48000, 96000, 44101])
def test_a_sine_stays_a_sine(from_rate: int) -> None:
    def sine(rate: int) -> torch.Tensor:
        return torch.sin(2 * torch.pi * 440 * torch.arange(rate // 5) / rate)[None]

    converted = convert_audio(sine(from_rate), from_rate, 44100, 1)
    assert converted.shape == (1, from_rate // 5 * 44100 // from_rate)
    inner = slice(500, 8000)
    torch.testing.assert_close(converted[:, inner], sine(44100)[:, inner], rtol=0, atol=2e-3)


@pytest.mark.parametrize("rates", [(48000, 44100), (8000, 44100), (96000, 44100)])
def test_interpolation_gives_the_numbers_of_julius(rates: tuple[int, int]) -> None:
    wav = torch.randn(2, 2000, generator=torch.Generator().manual_seed(1))
    expected = julius.resample_frac(wav, *rates)
    torch.testing.assert_close(interpolate(wav, *rates), expected, rtol=0, atol=1e-4)


def test_coprime_rates_need_no_table_of_filters() -> None:
    assert convert_audio(torch.randn(2, 44101), 44101, 44100, 2).shape == (2, 44100)
