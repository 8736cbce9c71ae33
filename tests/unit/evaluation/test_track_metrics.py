"""The metrics of a track against their formulas, written down plainly, and librosa's numbers."""

import json
import math

import numpy as np
import pytest

from demucs.evaluation.metrics.definitions import BSS_METRICS, DEFINITIONS, METRICS, VALUES
from demucs.evaluation.metrics.perceptual import log_wmse
from demucs.evaluation.metrics.ratios import energy_ratios
from demucs.evaluation.metrics.spectral import _mel_bank, bleedless_and_fullness, l1_frequency
from demucs.evaluation.track_scores import Track, score_track
from tests.golden.make_spectral import GOLDEN, signals

RATE = 4000
GOLDENS = json.loads(GOLDEN.read_text())


def stems(seed, seconds=3.3, channels=2):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, channels, int(seconds * RATE))).astype(np.float32)


def nsdr(truth, guess):
    return 10 * math.log10(((truth**2).sum() + 1e-7) / (((truth - guess) ** 2).sum() + 1e-7))


def si_sdr(truth, guess):
    target = (truth * guess).sum() / (truth**2).sum() * truth
    return 10 * math.log10((target**2).sum() / ((target - guess) ** 2).sum())


@pytest.mark.parametrize("seconds", [0.4, 1, 3.3])
def test_ratios_of_the_track_and_of_each_second(seconds):
    truth = stems(0, seconds).astype(np.float64)
    guess = 0.7 * truth + 0.2 * truth[::-1] + 0.05 * stems(1, seconds)
    found = energy_ratios(truth, guess, RATE)
    for name, formula in (("nsdr", nsdr), ("si_sdr", si_sdr)):
        whole, windows = found[name]
        assert whole == pytest.approx([formula(*one) for one in zip(truth, guess, strict=True)])
        assert windows.shape == (2, max(1, int(seconds)))
        for second in range(windows.shape[1]):
            part = slice(second * RATE, (second + 1) * RATE)
            assert windows[1, second] == pytest.approx(
                formula(truth[1, :, part], guess[1, :, part])
            )


def test_scale_does_not_matter_to_si_sdr():
    truth, guess = stems(0), stems(0) + 0.1 * stems(1)
    one, two = (energy_ratios(truth, gain * guess, RATE)["si_sdr"][0] for gain in (1, 0.01))
    assert one == pytest.approx(two, abs=1e-4)
    excellent = energy_ratios(truth, 3 * truth + 1e-4 * stems(1), RATE)["si_sdr"][0]
    assert excellent == pytest.approx([20 * math.log10(3e4)] * 2, abs=0.1)


@pytest.mark.parametrize(
    "case", GOLDENS["cases"], ids=lambda case: f"{case['kind']} {case['frames']}"
)
def test_spectral_metrics_are_those_of_librosa(case):
    truth, guess = (one[None] for one in signals(case))
    found = l1_frequency(truth, guess, case["samplerate"])
    found |= bleedless_and_fullness(truth, guess, case["samplerate"])
    for name in ("l1_freq", "bleedless", "fullness"):
        assert found[name][0][0] == pytest.approx(case[name], rel=2e-4), name
        assert len(found[name][1][0]) == max(1, case["frames"] // case["samplerate"])


@pytest.mark.parametrize("rate", [44100, 22050])
def test_mel_bands_are_those_of_librosa(rate):
    bank, golden = _mel_bank(rate, 4096).toarray(), GOLDENS["banks"][str(rate)]
    np.testing.assert_allclose(bank.sum(1), golden["rows"], rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(bank.sum(0), golden["columns"], rtol=1e-4, atol=1e-7)


def test_windows_of_spectral_metrics_tell_where_the_error_is():
    rate = 44100
    truth = np.tile(stems(0, 4), 12)[..., : 4 * rate]
    guess = truth.copy()
    guess[:, :, 2 * rate : 3 * rate] *= 3
    _, windows = bleedless_and_fullness(truth, guess, rate)["bleedless"]
    assert (windows[:, 0] == 100).all()
    assert (windows[:, 2] < 12).all()  # 20 log10(3) = 9.5 dB too much: 100 / 10.5
    _, windows = l1_frequency(truth, guess, rate)["l1_freq"]
    assert windows[0, 2] < 5
    assert windows[0, 0] == 100


def test_log_wmse_is_its_package_s_and_knows_silence():
    package = pytest.importorskip("log_wmse_audio_quality")
    truth, rate = stems(0, 2) / 10, 44100
    guess = truth + 0.01 * stems(1, 2)
    truth[1] = 0
    mixture = truth.sum(0)
    whole, windows = log_wmse(mixture, truth, guess, RATE)["log_wmse"]
    for index in range(2):
        expected = package.calculate_log_wmse(mixture, guess[index], truth[index], RATE)
        assert whole[index] == pytest.approx(float(expected))
    assert windows.shape == (2, 2)
    part = (one[..., :RATE] for one in (mixture, guess[0], truth[0]))
    assert windows[0, 0] == pytest.approx(float(package.calculate_log_wmse(*part, RATE)))
    perfect, _ = log_wmse(mixture, truth, truth, rate)["log_wmse"]
    assert perfect == pytest.approx([-4 * math.log(1e-8)] * 2, abs=1e-3)


def track(truth, guess):
    return Track(mixture=truth.sum(0), references=truth, estimates=guess, samplerate=RATE,
                 sources=["a", "b"])  # fmt: skip


def test_everything_at_once():
    truth = stems(0)
    scores = score_track(track(truth, truth + 0.1 * stems(1)), METRICS)
    assert tuple(scores.values) == VALUES == tuple(scores.windows)
    assert all(isinstance(row["a"], float) for row in scores.values.values())
    assert {len(row["b"]) for row in scores.windows.values()} == {3}
    assert scores.notes == []
    assert scores.audio == score_track(track(truth, stems(2)), ["nsdr"]).audio
    truth[0, 0, 5] += 1e-4
    assert scores.audio != score_track(track(truth, truth), ["nsdr"]).audio
    json.dumps(scores.windows, allow_nan=False)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_broken_estimate_is_named_once_and_harms_no_other(value):
    truth, guess = stems(0), stems(0) + 0.1 * stems(1)
    whole = score_track(track(truth, guess), METRICS)
    guess[1, 0, 7] = value
    scores = score_track(track(truth, guess), METRICS)
    assert len(scores.notes) == 1
    assert scores.notes[0].startswith("b: the estimate holds NaN or infinity, so it has no nSDR, ")
    for metric in VALUES:
        assert scores.values[metric]["b"] is None, metric
        assert scores.values[metric]["a"] == pytest.approx(whole.values[metric]["a"], 1e-6)


def test_a_silent_reference_has_the_values_that_exist():
    truth = stems(0)
    truth[1] = 0
    scores = score_track(track(truth, 0.5 * stems(0)), METRICS)
    lacking = {metric for metric in VALUES if scores.values[metric]["b"] is None}
    assert lacking == {"nsdr", "si_sdr", *BSS_METRICS}
    assert scores.windows["nsdr"]["b"] == [None] * 3
    assert any(
        note.startswith("b: the reference is silent, so it has no nSDR") for note in scores.notes
    )


def test_every_value_has_a_definition():
    assert set(VALUES) <= set(DEFINITIONS)
    for name in VALUES:
        assert "dB" in DEFINITIONS[name] or "no unit" in DEFINITIONS[name] or name == "fullness"
