"""Our scores against museval called directly, and against what it refuses."""

import warnings

import numpy as np
import pytest

from demucs.evaluation.bss_museval import museval_scores

museval = pytest.importorskip("museval", reason="needs museval")
RATE = 3000
NAMES = ["a", "b"]


def noise(seed, channels=2, seconds=3.3):
    """Two stems `[S, C, T]`, coloured so that filters and windows matter."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((2, channels, int(RATE * seconds) + 9))
    envelope = 0.2 + np.abs(np.sin(np.arange(white.shape[-1]) / (700, 400)[channels - 1]))
    smooth = white[..., 9:] + 0.8 * white[..., 8:-1] + 0.5 * white[..., :-9]
    return smooth * envelope[9:]


def direct(references, estimates):
    """museval's own numbers, medians over windows, `[4][S]`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        windows = museval.evaluate(
            references.swapaxes(1, 2).copy(), estimates.swapaxes(1, 2).copy(), win=RATE, hop=RATE
        )
        return [np.nanmedian(np.where(np.isinf(w), np.nan, w), axis=1) for w in windows]


def check(scores, expected, names=NAMES):
    for metric, row in zip(("sdr", "isr", "sir", "sar"), expected, strict=True):
        for name, value in zip(names, row, strict=True):
            assert scores.values[metric][name] == pytest.approx(value, abs=1e-6), (metric, name)


@pytest.mark.parametrize("channels", [1, 2])
def test_equal_to_museval(channels):
    truth = noise(0, channels)
    guess = truth + 0.3 * truth[::-1] + 0.1 * noise(1, channels)
    scores = museval_scores(truth, guess, RATE, NAMES)
    check(scores, direct(truth, guess))
    assert scores.notes == []


def test_windows_where_a_stem_is_silent_do_not_count():
    truth = noise(0)
    truth[0, :, :RATE] = 0
    guess = truth + 0.2 * noise(1)
    guess[1, :, RATE : 2 * RATE] = 0
    check(museval_scores(truth, guess, RATE, NAMES), direct(truth, guess))


def test_shorter_than_a_window():
    truth = noise(0, seconds=0.4)
    guess = truth + 0.2 * noise(1, seconds=0.4)
    check(museval_scores(truth, guess, RATE, NAMES), direct(truth, guess))


def test_silent_reference_is_left_out():
    truth, guess = noise(0), noise(0) + 0.3 * noise(1)
    truth[1] = 0
    with pytest.raises(ValueError, match="silent"):
        direct(truth, guess)
    scores = museval_scores(truth, guess, RATE, NAMES)
    assert scores.notes[0] == "b: the reference is silent, so it has no SDR"
    assert scores.notes[1].startswith("a: no window has a finite SIR")  # nothing interferes
    assert {row["b"] for row in scores.values.values()} == {None}
    expected = direct(truth[:1], guess[:1])
    assert scores.values["sdr"]["a"] == pytest.approx(expected[0][0], abs=1e-6)


@pytest.mark.parametrize(("value", "word"), [(0.0, "silent"), (np.nan, "NaN"), (np.inf, "NaN")])
def test_broken_estimate_leaves_the_others_their_scores(value, word):
    truth, guess = noise(0), noise(0) + 0.3 * noise(1)
    expected = direct(truth, guess)
    guess[1] = value
    scores = museval_scores(truth, guess, RATE, NAMES)
    assert len(scores.notes) == 1
    assert scores.notes[0].startswith("b: the estimate")
    assert word in scores.notes[0]
    assert {row["b"] for row in scores.values.values()} == {None}
    assert [row["a"] for row in scores.values.values()] == pytest.approx(
        [row[0] for row in expected], abs=1e-6
    )


def test_channels_that_cancel_are_silent_to_museval():
    truth, guess = noise(0), noise(0) + 0.3 * noise(1)
    truth[1, 1] = -truth[1, 0]
    with pytest.raises(ValueError, match="silent"):
        direct(truth, guess)
    assert "b: the reference is silent" in museval_scores(truth, guess, RATE, NAMES).notes[0]


def test_nothing_but_silence():
    scores = museval_scores(np.zeros((2, 2, RATE)), np.ones((2, 2, RATE)), RATE, NAMES)
    assert {value for row in scores.values.values() for value in row.values()} == {None}
    assert len(scores.notes) == 2


def test_perfect_estimate_has_no_finite_sdr():
    scores = museval_scores(noise(0), noise(0), RATE, NAMES)
    assert scores.values["sdr"] == {"a": None, "b": None}
    assert "no window has a finite SDR" in scores.notes[0]


def test_never_a_window_with_all_stems():
    truth = noise(0, seconds=2)
    truth[0, :, :RATE] = 0
    truth[1, :, RATE:] = 0
    scores = museval_scores(truth, truth + 0.1 * noise(1, seconds=2), RATE, NAMES)
    assert scores.values["sar"] == {"a": None, "b": None}
    assert "no window has a finite SDR, ISR, SIR, SAR" in scores.notes[1]


def test_inputs_are_left_as_they_are():
    truth, guess = noise(0), noise(1)
    guess[0] = 0
    before = truth.copy(), guess.copy()
    museval_scores(truth, guess, RATE, NAMES)
    assert np.array_equal(truth, before[0])
    assert np.array_equal(guess, before[1])
