"""SDR without filters: what it is in each kind of window, and the median of a track."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from demucs.errors import ConfigError
from demucs.evaluation.metrics.bss_eval import bss_windows
from demucs.evaluation.metrics.sdr import sdr_windows as sdr_of_arrays
from demucs.evaluation.metrics.sdr import sdr_windows_on_device, track_sdr

RATE = 2000


def on_cpu(truth: torch.Tensor, guess: torch.Tensor, rate: int) -> torch.Tensor:
    return torch.from_numpy(sdr_of_arrays(truth.numpy(), guess.numpy(), rate))


@pytest.fixture(params=[on_cpu, sdr_windows_on_device], ids=["arrays", "tensors"])
def sdr_windows(request: pytest.FixtureRequest) -> Any:
    """Both forms; the one for GPUs runs on a CPU too."""
    return request.param


def stems(seed: int, seconds: float = 5.4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 2, int(RATE * seconds), generator=generator)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Stems and estimates, with windows in which one of either is silent or perfect."""
    truth = stems(0)
    guess = truth + 0.2 * stems(1)
    truth[0, :, :RATE] = 0
    guess[1, :, RATE : 2 * RATE] = 0
    truth[2, 1, 2 * RATE : 3 * RATE] = -truth[2, 0, 2 * RATE : 3 * RATE]  # channels cancel
    guess[0, :, 3 * RATE : 4 * RATE] = truth[0, :, 3 * RATE : 4 * RATE]
    return truth, guess


def test_it_is_the_sdr_of_the_four_metrics(sdr_windows: Any) -> None:
    truth, guess = pair()
    filtered = bss_windows(truth.numpy(), guess.numpy(), RATE)["sdr"]
    alone = sdr_windows(truth, guess, RATE).numpy()
    assert np.array_equal(np.isnan(alone), np.isnan(filtered))
    assert np.isnan(alone[:, :3]).all()
    assert np.isnan(alone[:, 3]).tolist() == [True, False, False]
    assert np.nanmax(np.abs(alone - filtered)) < 1e-6


def test_almost_silent_is_not_silent(sdr_windows: Any) -> None:
    truth, guess = stems(0, 2), stems(1, 2)
    truth[0, :, :RATE] = 0
    truth[0, 0, 777] = 1e-9
    assert not sdr_windows(truth, guess, RATE).isnan().any()


def test_a_track_is_the_median_of_the_windows_that_have_a_value() -> None:
    truth, guess = pair()
    windows = on_cpu(truth, guess, RATE).numpy()
    assert track_sdr(truth, guess, RATE).numpy() == pytest.approx(
        [np.median(row[np.isfinite(row)]) for row in windows], abs=1e-12
    )
    even = track_sdr(truth[..., 3 * RATE :], guess[..., 3 * RATE :], RATE)
    assert float(even[1]) == pytest.approx(windows[1, 3:].mean(), abs=1e-12)
    assert math.isnan(float(track_sdr(torch.zeros(1, 2, RATE), torch.ones(1, 2, RATE), RATE)))


def test_samples_after_the_last_window_count_for_nothing(sdr_windows: Any) -> None:
    truth, guess = stems(0, 2.5), stems(1, 2.5)
    before = sdr_windows(truth, guess, RATE)
    guess[..., 2 * RATE :] = 100
    assert torch.equal(sdr_windows(truth, guess, RATE), before)
    short = sdr_windows(truth[..., :100], guess[..., :100], RATE)
    assert short.shape == (3, 1)


def test_what_is_not_a_number_has_no_value(sdr_windows: Any) -> None:
    truth, guess = stems(0), stems(1)
    guess[1, 0, 5] = torch.nan
    guess[2, 0, 5] = torch.inf
    windows = sdr_windows(truth, guess, RATE)
    assert windows[:, 0].isnan().tolist() == [False, True, True]
    assert not windows[:, 1:].isnan().any()


def test_shapes_that_differ_are_refused(sdr_windows: Any) -> None:
    with pytest.raises(ConfigError, match=r"\[3, 2, 100\].*\[3, 2, 99\]"):
        sdr_windows(stems(0)[..., :100], stems(0)[..., :99], RATE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same() -> None:
    truth, guess = pair()
    there = sdr_windows_on_device(truth.cuda(), guess.cuda(), RATE).cpu()
    torch.testing.assert_close(there, on_cpu(truth, guess, RATE), rtol=0, atol=1e-9, equal_nan=True)
    track = track_sdr(truth.cuda(), guess.cuda(), RATE).cpu()
    torch.testing.assert_close(track, track_sdr(truth, guess, RATE), rtol=0, atol=1e-9)
