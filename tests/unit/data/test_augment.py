"""The draws of an epoch: order, remix, crops, flips, gains, stretches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from demucs.data import AugmentConfig
from demucs.data.augment import StemDraw, draw_stems, draw_stretch
from demucs.data.epoch_plan import EpochPlan
from demucs.data.rng import Purpose, generator
from demucs.errors import ConfigError


def plan(
    segments: int = 24, *, seed: int = 1, epoch: int = 0, group: int = 4, proba: float = 1
) -> EpochPlan:
    return EpochPlan(segments, seed=seed, epoch=epoch, stems=4, group=group, remix_proba=proba)


def draws(config: AugmentConfig, count: int = 400, shift: int = 100) -> list[list[StemDraw]]:
    return [
        draw_stems(config, seed=3, epoch=1, position=position, stems=4, shift=shift)
        for position in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(segments=st.integers(1, 60), group=st.integers(1, 9), epoch=st.integers(0, 5))
def test_an_epoch_plays_every_stem_of_every_segment_once(
    segments: int, group: int, epoch: int
) -> None:
    order = plan(segments, group=group, epoch=epoch)
    assert sorted(order.segment(p) for p in range(segments)) == list(range(segments))
    origins = np.array([order.origins(p) for p in range(segments)])  # [N, S]
    for stem in range(4):
        assert sorted(origins[:, stem]) == list(range(segments))
    assert (origins // group == np.arange(segments)[:, None] // group).all()


def test_remix_mixes_segments_and_no_place_is_preferred() -> None:
    order = plan(8000)
    offsets = np.array([order.origins(p) for p in range(8000)]) % 4
    assert any(len(set(row)) > 1 for row in offsets)
    # Each of the four places should be the origin a quarter of the time: 5 sigma is 0.024.
    for place in range(4):
        assert np.abs((offsets[place::4] == place).mean(0) - 0.25).max() < 0.05
    assert np.abs(offsets.mean(0) - 1.5).max() < 1e-9  # a permutation keeps the mean


def test_remix_off_keeps_stems_together() -> None:
    order = plan(proba=0)
    assert [order.origins(p) for p in range(24)] == [[p] * 4 for p in range(24)]
    some = plan(4000, proba=0.5)
    kept = np.mean([some.origins(p) == [p] * 4 for p in range(0, 4000, 4)])
    assert 0.4 < kept < 0.6


def test_order_changes_with_seed_and_epoch_and_repeats() -> None:
    first = list(plan().order)
    assert first == list(plan().order)
    assert first != list(plan(seed=2).order)
    assert first != list(plan(epoch=1).order)


def test_generators_of_one_place_are_equal_and_of_two_are_not() -> None:
    places = [(s, p, e, i) for s in (0, 1) for p in Purpose for e in (0, 1) for i in (0, 1)]
    values = [generator(*place).random() for place in places]
    assert len(set(values)) == len(places)
    assert values == [generator(*place).random() for place in places]


def test_gains_fill_their_range_and_nothing_else() -> None:
    gains = np.array([[abs(d.gain) for d in row] for row in draws(AugmentConfig())])
    assert gains.min() >= 0.25
    assert gains.max() <= 1.25
    assert gains.min() < 0.3
    assert gains.max() > 1.2
    assert abs(gains.mean() - 0.75) < 0.05
    assert len({tuple(row) for row in gains}) == len(gains)  # each stem draws its own
    assert (gains[:, 0] != gains[:, 1]).all()


def test_scale_proba_is_drawn_per_example() -> None:
    rows = draws(AugmentConfig(scale_proba=0.5, flip=False))
    untouched = [all(d.gain == 1 for d in row) for row in rows]
    assert 0.4 < np.mean(untouched) < 0.6
    assert all(
        all(d.gain != 1 for d in row) for row, same in zip(rows, untouched, strict=True) if not same
    )


def test_flips_are_fair_and_can_be_off() -> None:
    rows = draws(AugmentConfig())
    assert 0.45 < np.mean([d.swap for row in rows for d in row]) < 0.55
    assert 0.45 < np.mean([d.gain < 0 for row in rows for d in row]) < 0.55
    off = draws(AugmentConfig(flip=False))
    assert not any(d.swap or d.gain < 0 for row in off for d in row)


def test_one_switch_does_not_reshuffle_the_others() -> None:
    a, b = draws(AugmentConfig()), draws(AugmentConfig(flip=False))
    assert [[d.offset for d in row] for row in a] == [[d.offset for d in row] for row in b]
    assert [[abs(d.gain) for d in row] for row in a] == [[d.gain for d in row] for row in b]


def test_offsets_fill_the_shift_and_may_be_shared() -> None:
    offsets = np.array([[d.offset for d in row] for row in draws(AugmentConfig())])
    assert (offsets.min(), offsets.max()) == (0, 99)
    assert (offsets[:, 0] != offsets[:, 1]).mean() > 0.9
    same = np.array([[d.offset for d in row] for row in draws(AugmentConfig(shift_same=True))])
    assert (same == same[:, :1]).all()


def test_apply_swaps_channels_and_scales() -> None:
    wav = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert StemDraw(0, True, -0.5).apply(wav).tolist() == [[-1.5, -2.0], [-0.5, -1.0]]
    assert StemDraw(0, False, 1.0).apply(wav).equal(wav)
    assert StemDraw(0, True, 1.0).apply(wav[:1]).equal(wav[:1])  # mono has nothing to swap


def test_stretch_is_as_frequent_and_as_large_as_asked() -> None:
    config = AugmentConfig(repitch_proba=0.2, repitch_max_tempo=6)
    found = [draw_stretch(config, seed=1, epoch=2, segment=s) for s in range(2000)]
    made = [stretch for stretch in found if stretch is not None]
    assert 0.16 < len(made) / 2000 < 0.24
    assert max(abs(s.tempo) for s in made) == 6  # the bell curve is clipped there
    assert {s.pitch for s in made} == {-2, -1, 0, 1, 2}
    assert found == [draw_stretch(config, seed=1, epoch=2, segment=s) for s in range(2000)]
    none = AugmentConfig(repitch_proba=0)
    assert all(draw_stretch(none, seed=1, epoch=2, segment=s) is None for s in range(50))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"remix_proba": 1.5}, r"augment\.remix\.proba=1\.5"),
        ({"scale_proba": -0.1}, r"augment\.scale\.proba=-0\.1"),
        ({"repitch_proba": 2}, r"augment\.repitch\.proba=2"),
        ({"remix_group": 0}, r"group_size=0 .* augment\.remix\.proba=0"),
        ({"scale_min": 2}, r"augment\.scale\.min=2 .*max=1\.25"),
        ({"repitch_max_tempo": 100}, r"max_tempo=100"),
        ({"repitch_max_pitch": -1}, r"max_pitch=-1"),
    ],
)
def test_wrong_values_are_named(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AugmentConfig(**wrong)  # type: ignore[arg-type]
