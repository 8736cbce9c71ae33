"""Scores without ground truth, on separators whose behaviour is known."""

import numpy as np
import pytest
import torch

from demucs.blind.scores.agreement import MOST, agreement, level
from demucs.blind.scores.mixture_scores import correlation, loudness, residual
from demucs.blind.scores.reseparation import cycle, reseparation, reseparation_matrix, self_cycle
from demucs.blind.scores.song_scores import DEFINITIONS, disagreement, score_track
from demucs.blind.scores.spectrogram_scores import spectral_sanity
from tests.unit.blind_teachers import RATE, Separator, Teacher, bands, halves, song, teacher

HALF = 10 * np.log10(4)  # of an estimate that lacks half of the amplitude


def mixture(**kwargs):
    return song(**kwargs).sum(0)


def test_agreement_is_nsdr_against_another_estimate():
    stems = song()
    found = agreement(stems, 0.9 * stems, RATE)
    assert found.track == pytest.approx([20, 20], abs=1e-2)
    assert found.windows.shape == (2, 3)
    assert found.windows == pytest.approx(np.full((2, 3), 20), abs=1e-2)


def test_agreement_has_a_ceiling_and_no_value_of_silence():
    stems = song()
    stems[1] *= 1e-4
    found = agreement(stems, stems, RATE)
    assert found.track[0] == MOST
    assert np.isnan(found.track[1])
    assert np.isnan(found.windows[1]).all()


def test_a_perfect_separator_gives_its_stems_back():
    judge = teacher(bands)
    found = reseparation(judge, judge(mixture()))
    assert (found["reseparation"].track > 40).all()
    assert found["reseparation_own"].track == pytest.approx([1, 1])
    assert found["reseparation_leak"].track == pytest.approx([0, 0])
    assert (found["reseparation_gap"].track > 30).all()


def test_a_separator_that_does_nothing_is_found_out():
    judge = teacher(halves)
    found = reseparation(judge, judge(mixture()))
    assert found["reseparation"].track == pytest.approx([HALF, HALF], abs=0.01)
    assert found["reseparation_leak"].track == pytest.approx([1, 1])
    assert found["reseparation_gap"].track == pytest.approx([0, 0], abs=1e-3)


def test_matrix_counts_active_seconds_only():
    before = np.array([[-20.0, -20.0, -90.0], [-90.0, -90.0, -90.0]])
    after = np.array(
        [
            [[-25.0, -31.0, 0.0], [-29.0, -90.0, 0.0]],
            [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        ]
    )
    matrix = reseparation_matrix(before, after)
    assert matrix[0] == pytest.approx([0.5, 0.5])
    assert np.isnan(matrix[1]).all()


@pytest.mark.parametrize("probe", ["polarity", "swap", "shift", "gain"])
def test_a_linear_separator_of_both_channels_alike_agrees_with_itself(probe):
    judge, mix = teacher(halves), mixture()
    found = getattr(disagreement, probe)(judge, mix, judge(mix))
    assert (found.track > 60).all()


def test_polarity_sees_what_is_not_odd():
    judge = teacher(lambda mix: torch.stack([mix + 0.05 * mix**2, mix], dim=1))
    mix = mixture()
    found = disagreement.polarity(judge, mix, judge(mix))
    assert 10 < found.track[0] < 30
    assert found.track[1] > 60


def test_swap_sees_a_preferred_side():
    sides = torch.tensor([[1.0], [0.5]])
    judge = teacher(lambda mix: torch.stack([mix * sides, mix], dim=1))
    mix = mixture()
    found = disagreement.swap(judge, mix, judge(mix))
    # left: 1 against 0.5, right: 0.5 against 1
    assert found.track[0] == pytest.approx(10 * np.log10(1.25 / 0.5), abs=0.1)
    assert found.track[1] > 60


def test_shift_sees_what_depends_on_the_place():
    def place(mix):
        slow = torch.cos(torch.arange(mix.shape[-1]) * 2 * torch.pi / RATE)
        return torch.stack([mix * slow, mix], dim=1)

    judge, mix = teacher(place), mixture()
    found = disagreement.shift(judge, mix, judge(mix))
    assert found.track[0] < 20
    assert found.track[1] > 60


def test_speed_sees_a_fixed_filter_but_not_its_own_resampling():
    mix = mixture()
    fixed, free = teacher(bands), teacher(halves)
    assert (disagreement.speed(free, mix, free(mix)).track > 50).all()
    tone = torch.sin(torch.arange(3 * RATE) * 2 * torch.pi * 1010 / RATE)  # just above the edge
    tone = 0.1 * tone.expand(2, -1)
    assert disagreement.speed(fixed, tone, fixed(tone)).track[1] < 10


def test_noise_is_always_the_same():
    judge, mix = teacher(bands), mixture()
    first, second = (disagreement.noise(judge, mix, judge(mix)) for _ in range(2))
    assert first.track == pytest.approx(second.track)
    assert ((first.track > 20) & (first.track < 40)).all()


def test_cycles_of_a_perfect_separator_close():
    judge, other = teacher(bands), song(seed=1)
    stems = judge(mixture())
    assert (self_cycle(judge, stems).track > 30).all()
    assert (cycle(judge, stems, [other]).track > 30).all()
    assert (cycle(judge, stems, [other[..., :RATE]]).track > 30).all(), "a shorter song"


def test_cycles_of_a_bad_one_do_not():
    judge = teacher(halves)
    stems = judge(mixture())
    assert (self_cycle(judge, stems).track < 10).all()
    assert (cycle(judge, stems, [song(seed=1)]).track < 10).all()


def test_residual_is_what_the_stems_leave():
    stems = song()
    found = residual(stems.sum(0), 0.9 * stems, RATE)
    assert found.track == pytest.approx([20, 20], abs=0.01)
    assert found.windows.shape == (2, 3)


def test_loudness_and_activity():
    stems = song()
    stems[1, :, RATE:] *= 1e-4
    found = loudness(stems, RATE)
    assert found["level"].track[0] == pytest.approx(-20, abs=0.1)
    assert found["level_gap"].windows[0, 1:] == pytest.approx([80, 80], abs=1)
    assert found["active_share"].track == pytest.approx([1, 1 / 3])
    assert level(torch.zeros(1, 2, RATE), RATE).track == pytest.approx([-100])


def test_correlation_sees_the_same_sound_in_two_stems():
    stems = song()
    assert (correlation(stems, RATE).track < 0.05).all()
    stems[1] = stems[1] - stems[0]
    assert correlation(stems, RATE).track == pytest.approx([0.7, 0.7], abs=0.05)


def test_spectral_sanity_sees_holes_and_isolated_tones():
    stems = song(seconds=4)
    clean = spectral_sanity(stems.sum(0), stems, RATE)
    spectrum = torch.stft(stems[0], 512, window=torch.hann_window(512), return_complex=True)
    gate = torch.rand(spectrum.shape[-2:], generator=torch.manual_seed(3)) < 0.3
    torn = torch.istft(spectrum * gate, 512, window=torch.hann_window(512), length=4 * RATE)
    found = spectral_sanity(stems.sum(0), torch.stack([torn, stems[1]]), RATE)
    assert found["musical_noise"].track[0] > clean["musical_noise"].track[0] + 0.2
    assert found["bandwidth"].track[1] == pytest.approx(clean["bandwidth"].track[1])
    assert clean["bandwidth"].track[0] == pytest.approx(0.8, abs=0.1)


def test_holes_are_bins_far_below_their_neighbours():
    stems = song(seconds=4)
    clean = spectral_sanity(stems.sum(0), stems, RATE)["holes"]
    spectrum = torch.fft.rfft(stems[0])
    hertz = torch.linspace(0, RATE / 2, spectrum.shape[-1])
    spectrum[:, hertz % 50 < 16] = 0  # four bins of every thirteen
    notched = torch.fft.irfft(spectrum, n=4 * RATE)
    found = spectral_sanity(stems.sum(0), torch.stack([notched, stems[1]]), RATE)["holes"]
    assert clean.track[0] < 0.02
    assert found.track[0] > clean.track[0] + 0.05
    assert (found.windows[0] > clean.windows[0] + 0.02).all()


def test_all_scores_have_definitions_and_shapes():
    judge = teacher(bands)
    stems, found = score_track(judge, mixture(), others=[song(seed=1)], members=[song()])
    assert stems.shape == (2, 2, 3 * RATE)
    assert list(found) == list(DEFINITIONS)
    for name, one in found.items():
        assert one.track.shape == (2,), name
        assert one.windows.shape == (2, 3), name


def test_mono_has_no_swap():
    found = score_track(teacher(bands, channels=1), mixture(channels=1))[1]
    assert "swap" not in found
    assert "cycle" not in found, "no other song was given"


@pytest.mark.parametrize("seconds", [0.3, 1.7])
def test_short_songs_have_one_window(seconds):
    found = score_track(teacher(bands), mixture(seconds=seconds))[1]
    assert found["reseparation"].windows.shape == (2, 1)
    assert np.isfinite(found["reseparation"].track).all()


def test_silence_has_no_scores_but_levels():
    found = score_track(teacher(bands), torch.zeros(2, 2 * RATE))[1]
    assert np.isnan(found["reseparation"].track).all()
    assert np.isnan(found["reseparation_own"].track).all()
    assert found["level"].track == pytest.approx([-100, -100])


def test_models_of_a_bag_are_members():
    class Bag(Separator):
        def __init__(self):
            super().__init__(lambda mix: 0.75 * bands(mix))
            self.models = nn_list(Separator(bands), Separator(lambda mix: bands(mix) / 2))
            self.weights = [[1.0, 1.0], [1.0, 1.0]]

    judge = Teacher.of(Bag(), "bag")
    found = score_track(judge, mixture())[1]["members"]
    # 0.75 against 1 and against 0.5: 20·log10(3) each
    assert found.track == pytest.approx([20 * np.log10(3)] * 2, abs=0.05)


def test_a_bag_of_one_has_no_members():
    class Bag(Separator):
        def __init__(self):
            super().__init__(bands)
            self.models = nn_list(Separator(bands))
            self.weights = [[1.0, 1.0]]

    assert "members" not in score_track(Teacher.of(Bag(), "bag"), mixture())[1]


def nn_list(*modules):
    return torch.nn.ModuleList(modules)


def test_the_same_song_has_the_same_scores():
    judge = teacher(bands)
    first, second = (score_track(judge, mixture())[1] for _ in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name].track, second[name].track)
