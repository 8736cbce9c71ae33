"""Our scores against museval called directly, and against what it refuses."""

import warnings

import numpy as np
import pytest

from demucs.evaluation.metrics.bss_eval import bss_windows
from demucs.evaluation.metrics.definitions import BSS_METRICS
from demucs.evaluation.metrics.sdr import sdr_windows
from demucs.evaluation.track_scores import Track, score_track

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


@pytest.fixture(params=["own", "museval", "sdr alone"])
def score(request):
    """Both backends, and ours without filters: they give the same numbers, notes and gaps."""
    alone = request.param == "sdr alone"
    backend, metrics = ("own", ["sdr"]) if alone else (request.param, BSS_METRICS)

    def of_backend(references, estimates, rate, names):
        track = Track(
            mixture=references.sum(0),
            references=references,
            estimates=estimates,
            samplerate=rate,
            sources=names,
        )
        return score_track(track, metrics, backend=backend)

    return of_backend


def direct(references, estimates):
    """museval's own numbers, medians over windows, `[4][S]`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        windows = museval.evaluate(
            references.swapaxes(1, 2).copy(), estimates.swapaxes(1, 2).copy(), win=RATE, hop=RATE
        )
        return [np.nanmedian(np.where(np.isinf(w), np.nan, w), axis=1) for w in windows]


def check(scores, expected, names=NAMES):
    for metric, row in zip(BSS_METRICS, expected, strict=True):
        for name, value in zip(names, row, strict=True):
            if metric in scores.values:
                bound = 1e-6 if metric == "sdr" else 1e-4
                found = scores.values[metric][name]
                assert found == pytest.approx(value, abs=bound), (metric, name)


def listed(scores):
    """Those that were measured, as notes list them."""
    return ", ".join(metric.upper() for metric in scores.values)


@pytest.mark.parametrize("channels", [1, 2])
def test_equal_to_museval(score, channels):
    truth = noise(0, channels)
    guess = truth + 0.3 * truth[::-1] + 0.1 * noise(1, channels)
    scores = score(truth, guess, RATE, NAMES)
    check(scores, direct(truth, guess))
    assert scores.notes == []


def test_windows_where_a_stem_is_silent_do_not_count(score):
    truth = noise(0)
    truth[0, :, :RATE] = 0
    guess = truth + 0.2 * noise(1)
    guess[1, :, RATE : 2 * RATE] = 0
    check(score(truth, guess, RATE, NAMES), direct(truth, guess))


def test_shorter_than_a_window(score):
    truth = noise(0, seconds=0.95)
    guess = truth + 0.2 * noise(1, seconds=0.95)
    check(score(truth, guess, RATE, NAMES), direct(truth, guess))


def test_silent_reference_is_left_out(score):
    truth, guess = noise(0), noise(0) + 0.3 * noise(1)
    truth[1] = 0
    with pytest.raises(ValueError, match="silent"):
        direct(truth, guess)
    scores = score(truth, guess, RATE, NAMES)
    if "sir" in scores.values:
        assert scores.notes[0].startswith("a: no window has a finite value")  # nothing interferes
        assert scores.notes[0].endswith("so it has no SIR")
    assert scores.notes[-1] == f"b: the reference is silent, so it has no {listed(scores)}"
    assert {row["b"] for row in scores.values.values()} == {None}
    expected = direct(truth[:1], guess[:1])
    assert scores.values["sdr"]["a"] == pytest.approx(expected[0][0], abs=1e-6)


@pytest.mark.parametrize(("value", "word"), [(0.0, "silent"), (np.nan, "NaN"), (np.inf, "NaN")])
def test_broken_estimate_leaves_the_others_their_scores(score, value, word):
    truth, guess = noise(0), noise(0) + 0.3 * noise(1)
    expected = direct(truth, guess)
    guess[1] = value
    scores = score(truth, guess, RATE, NAMES)
    assert len(scores.notes) == 1
    assert scores.notes[0].startswith("b: the estimate")
    assert word in scores.notes[0]
    assert {row["b"] for row in scores.values.values()} == {None}
    assert [row["a"] for row in scores.values.values()] == pytest.approx(
        [row[0] for row in expected][: len(scores.values)], abs=1e-4
    )


def test_channels_that_cancel_are_silent_to_museval(score):
    truth, guess = noise(0), noise(0) + 0.3 * noise(1)
    truth[1, 1] = -truth[1, 0]
    with pytest.raises(ValueError, match="silent"):
        direct(truth, guess)
    assert "b: the reference is silent" in score(truth, guess, RATE, NAMES).notes[-1]


def test_nothing_but_silence(score):
    scores = score(np.zeros((2, 2, RATE)), np.ones((2, 2, RATE)), RATE, NAMES)
    assert {value for row in scores.values.values() for value in row.values()} == {None}
    assert len(scores.notes) == 2


def test_perfect_estimate_has_no_finite_sdr(score):
    scores = score(noise(0), noise(0), RATE, NAMES)
    assert scores.values["sdr"] == {"a": None, "b": None}
    assert "no window has a finite value" in scores.notes[0]
    assert "SDR" in scores.notes[0].split("so it has no ")[1]


def test_never_a_window_with_all_stems(score):
    truth = noise(0, seconds=2)
    truth[0, :, :RATE] = 0
    truth[1, :, RATE:] = 0
    scores = score(truth, truth + 0.1 * noise(1, seconds=2), RATE, NAMES)
    assert all(row == {"a": None, "b": None} for row in scores.values.values())
    assert "no window has a finite value" in scores.notes[1]
    assert scores.notes[1].endswith(f"so it has no {listed(scores)}")


def test_inputs_are_left_as_they_are(score):
    truth, guess = noise(0), noise(1)
    guess[0] = 0
    before = truth.copy(), guess.copy()
    score(truth, guess, RATE, NAMES)
    assert np.array_equal(truth, before[0])
    assert np.array_equal(guess, before[1])


def assert_same_windows(truth, guess, rate=RATE):
    """As near to museval as it is to itself: at least 1e-4 dB, or what the 13th digit changes.

    Where references have next to nothing in a band (music that was coded with losses), or hardly
    differ, many filters do as well, and rounding chooses one.
    """

    def by_museval(references):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = museval.evaluate(
                references.swapaxes(1, 2), guess.swapaxes(1, 2), win=rate, hop=rate
            )
        return [np.where(np.isfinite(one), one, np.nan) for one in found]

    last_digit = 1 + 1e-13 * np.random.default_rng(9).standard_normal(truth.shape)
    expected, moved = by_museval(truth), by_museval(truth * last_digit)
    own = bss_windows(truth, guess, rate)
    alone = sdr_windows(truth, guess, rate)
    assert np.array_equal(np.isnan(alone), np.isnan(expected[0]))
    assert float(np.nanmax(np.abs(alone - expected[0]))) <= 1e-6
    for metric, one, other in zip(own, expected, moved, strict=True):
        assert np.array_equal(np.isnan(own[metric]), np.isnan(one)), metric
        limit = max(1e-4, 4 * float(np.nanmax(np.abs(one - other))))
        assert float(np.nanmax(np.abs(own[metric] - one))) <= limit, metric


def four_stems(channels, rate, seconds, seed=0):
    """Tones, pulses and noise at unlike levels, `[4, C, T]`."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(rate * seconds)) / rate
    drums = rng.standard_normal((channels, len(time))) * np.exp(-9 * (2.3 * time % 1))
    bass = np.sin(2 * np.pi * 55 * time + 3 * np.sin(2 * np.pi * 0.7 * time)) * np.ones(
        (channels, 1)
    )
    other = sum(
        np.sin(2 * np.pi * f * time + np.arange(channels)[:, None]) for f in (220, 277, 330)
    )
    vocals = np.sin(2 * np.pi * 300 * time + 40 * np.sin(2 * np.pi * 5 * time)) * (time % 3 < 2)
    vocals = vocals * np.linspace(1, 0.4, channels)[:, None]
    stems = np.stack([drums, bass, 0.2 * other, 0.05 * vocals])
    return stems + 1e-3 * rng.standard_normal(stems.shape)


@pytest.mark.long
@pytest.mark.parametrize(
    ("channels", "leak"), [(1, 0.3), (1, 1e-2), (1, 1e-4), (1, 1e-6), (2, 0.3), (2, 1e-4)]
)
def test_each_window_from_bad_to_excellent_estimates(channels, leak):
    """The better, the less 32 bits do: the last ones are scored in 64."""
    truth = four_stems(channels, RATE, 4.2)
    guess = truth + leak * truth[::-1] + 0.5 * leak * four_stems(channels, RATE, 4.2, seed=1)
    assert_same_windows(truth, guess)


def test_a_mono_stem_in_two_channels():
    """Its normal equations are singular: they have many solutions, and one projection."""
    truth = four_stems(2, RATE, 2)
    truth[1, 1] = truth[1, 0]
    assert_same_windows(truth, truth + 0.1 * truth[::-1] + 0.05 * four_stems(2, RATE, 2, seed=1))


@pytest.mark.long
def test_real_music_at_its_own_rate():
    """The excerpt that stempeg brings, its stems against what streams leak into each other."""
    stempeg = pytest.importorskip("stempeg", reason="needs stempeg and ffmpeg")
    stems, rate = stempeg.read_stems(stempeg.example_stem_path())
    truth = np.ascontiguousarray(stems[1:].transpose(0, 2, 1))[:, :, : 4 * int(rate)]
    noise_ = np.random.default_rng(0).standard_normal(truth.shape)
    guess = truth + 0.2 * truth[::-1] + 0.003 * noise_
    assert_same_windows(truth, guess, int(rate))
