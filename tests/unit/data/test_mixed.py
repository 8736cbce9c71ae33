"""Labelled and pseudo-labelled examples in one epoch, on tracks held in memory."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from demucs.data import AugmentConfig, Track, TrainingSet, training_loader
from demucs.data.batch import Batch
from demucs.data.distilled import Labels, Rating
from demucs.data.mixed_set import MixedSet, Pattern
from demucs.data.readers import Header
from demucs.data.silence import SilenceSet
from demucs.errors import ConfigError

RATE = 100
SOURCES = ("drums", "bass", "voice")
WINDOWS = 10  # of a second
FULL = AugmentConfig(repitch_proba=0)
SHARES = st.integers(1, 99).map(lambda percent: percent / 100)


class Memory:
    """Samples that say where they are from: 1e6 a set, 1e5 a song, 1e4 a source, 1 a frame."""

    def __init__(self, kind: int, number: int) -> None:
        self.name, self.value = f"song{number}", kind * 1_000_000 + number * 100_000
        self.location, self.sources = Path(self.name), (*SOURCES, "mixture")

    def path(self, source: str) -> Path:
        return self.location / f"{source}.wav"

    def header(self, source: str) -> Header:
        return Header(RATE, 2, WINDOWS * RATE)

    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor:
        stop = min(WINDOWS * RATE, start + (frames or WINDOWS * RATE))
        value = self.value + self.sources.index(source) * 10_000
        return (value + torch.arange(start, stop, dtype=torch.float32)).expand(2, -1).clone()


def songs(kind: int, count: int, augment: AugmentConfig) -> TrainingSet:
    tracks = [
        Track(f"song{n}", SOURCES, RATE, 2, WINDOWS * RATE, 0.0, 1.0, Memory(kind, n))
        for n in range(count)
    ]
    return TrainingSet(tracks, segment=3.0, shift=1.0, seed=7, augment=augment, normalize=False)


def predicted(count: int) -> list[Labels]:
    """nSDR of song n, stem s, window w: n + 3s + w/2; the voice is silent in windows 4 to 8."""
    found = []
    for song in range(count):
        nsdr = song + 3.0 * np.arange(3)[:, None] + np.arange(WINDOWS) / 2
        active = np.ones((3, WINDOWS))
        active[2, 4:9] = 0.01
        found.append(Labels(window=1.0, nsdr=nsdr, active=active))
    return found


def mixed(
    ratio: float = 0.4, silence: float = 0.0, augment: AugmentConfig = FULL, **options: Any
) -> MixedSet:
    labelled, pseudo = songs(0, 3, augment), songs(1, 2, augment)
    quiet = SilenceSet(labelled, pseudo, predicted(2), most=0.1) if silence else None
    return MixedSet(
        labelled, pseudo, predicted(2), pattern=Pattern.of(ratio, silence), silence=quiet,
        rating=Rating(kind="weight"), **options,
    )  # fmt: skip


def epoch_of(data: MixedSet, **options: Any) -> list[Batch]:
    found = training_loader(data, **{"batch_size": 4, "epoch": 2, **options})
    return [Batch.of(one) for one in found]


def same(some: list[Batch], others: list[Batch]) -> bool:
    def alike(one: Tensor | None, other: Tensor | None) -> bool:
        if one is None or other is None:
            return one is other
        return torch.equal(one, other)

    return len(some) == len(others) and all(
        alike(a, b) for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(ratio=SHARES, part=SHARES, first=st.integers(0, 300), count=st.integers(1, 40))
def test_any_stretch_of_positions_has_the_shares_up_to_rounding(
    ratio: float, part: float, first: int, count: int
) -> None:
    pattern = Pattern(Fraction(str(ratio)), Fraction(str(ratio)) * Fraction(str(part)))
    kinds = [pattern.at(place).kind for place in range(first, first + count)]
    assert abs(count - kinds.count("labelled") - count * pattern.ratio) < 1
    # of the pseudo-labelled ones, which are that many up to one, again up to rounding
    assert abs(kinds.count("silence") - count * pattern.silence) < 2


@settings(max_examples=30, deadline=None)
@given(ratio=SHARES, labelled=st.integers(1, 60))
def test_an_epoch_counts_each_kind_up_and_hears_each_labelled_segment_once(
    ratio: float, labelled: int
) -> None:
    pattern = Pattern.of(ratio, ratio / 2)
    places = [pattern.at(place) for place in range(pattern.length(labelled))]
    for kind in ("labelled", "pseudo", "silence"):
        numbers = [one.number for one in places if one.kind == kind]
        assert numbers == list(range(len(numbers)))
    # the last may be short of its turn, where the next position is pseudo-labelled again
    assert sum(one.kind == "labelled" for one in places) == labelled


@pytest.mark.parametrize("silence", [0.0, 0.2])
def test_batches_are_the_same_for_any_number_of_processes_workers_and_after_a_stop(
    silence: float,
) -> None:
    data = mixed(silence=silence)
    whole = epoch_of(data)
    assert len(whole) == len(data) // 4
    ranks = [epoch_of(data, rank=rank, world_size=2) for rank in range(2)]
    joined = [
        Batch(*(None if a is None else torch.cat([a, b]) for a, b in zip(one, two, strict=True)))
        for one, two in zip(*ranks, strict=True)
    ]
    assert same(joined, whole)
    assert same(epoch_of(data, start_batch=3), whole[3:])
    assert same(epoch_of(data, num_workers=1, start_batch=3), whole[3:])
    assert not same(epoch_of(data, epoch=3), whole)
    assert not same(epoch_of(data, seed=8), whole)
    assert same(epoch_of(data, seed=7), whole)


def test_labelled_examples_are_those_of_the_labelled_set() -> None:
    data = mixed()
    alone = songs(0, 3, FULL)
    found = [data[1, place] for place in range(len(data))]
    kinds = [data.pattern.at(place) for place in range(len(data))]
    for example, (kind, number) in zip(found, kinds, strict=True):
        if kind == "labelled":
            assert torch.equal(example.stems, alone[1, number])
            assert example.weights is not None
            assert example.weights.tolist() == [1.0] * 3


def test_pseudo_labelled_segments_are_each_heard_before_one_is_again() -> None:
    data = mixed(0.6, augment=AugmentConfig.none())
    starts = []
    for place in range(len(data)):
        if data.pattern.at(place).kind == "pseudo":
            value = float(data[0, place].stems[0, 0, 0])
            assert value >= 1_000_000
            starts.append(int(value) // 100)  # crops begin within a second of the segment's start
    assert len(starts) > len(data.pseudo)
    assert len(set(starts[: len(data.pseudo)])) == len(data.pseudo)


def test_a_stem_weighs_what_is_predicted_of_the_windows_it_was_cut_from() -> None:
    """Also after the remix, which takes the stems of an example from different songs."""
    augment = AugmentConfig(repitch_proba=0, scale_proba=0, flip=False, remix_group=4)
    data = mixed(augment=augment)
    checked = 0
    for place in range(len(data)):
        example = data[0, place]
        if data.pattern.at(place).kind != "pseudo":
            continue
        assert example.weights is not None
        for stem, wav in enumerate(example.stems):
            value = int(wav[0, 0]) - 1_000_000
            song, start = value // 100_000, value % 10_000
            touched = range(start // 100, min(WINDOWS, -(-(start + 200) // 100)))
            playing = [w for w in touched if stem != 2 or not 4 <= w < 9]
            mean = np.mean([song + 3 * stem + w / 2 for w in playing]) if playing else np.inf
            expected = min(1.0, max(0.0, mean / 10))
            assert float(example.weights[stem]) == pytest.approx(expected, abs=1e-6)
            checked += 1
    assert checked >= 30


@pytest.mark.parametrize(
    ("rating", "quality", "weight"),
    [
        (Rating(), -5.0, 1.0),
        (Rating(kind="weight"), 4.0, 0.4),
        (Rating(kind="weight", floor=2, full=6), 3.0, 0.25),
        (Rating(kind="weight"), -3.0, 0.0),
        (Rating(kind="weight"), 30.0, 1.0),
        (Rating(kind="weight"), None, 1.0),
        (Rating(kind="weight"), float("nan"), 0.0),
        (Rating(kind="truncate", floor=2), 1.9, 0.0),
        (Rating(kind="truncate", floor=2), 2.0, 1.0),
        (Rating(kind="truncate", floor=2), None, 1.0),
    ],
)
def test_quality_becomes_weight(rating: Rating, quality: float | None, weight: float) -> None:
    assert rating.weight(quality) == pytest.approx(weight)


def test_windows_without_a_prediction_are_left_out_and_the_unknown_plays() -> None:
    nsdr = np.array([[4.0, np.nan, 8.0], [np.nan] * 3])
    active = np.array([[np.nan, 1.0, 0.4], [1.0] * 3])
    labels = Labels(window=1.0, nsdr=nsdr, active=active)
    assert labels.quality(0, 0.0, 3.0) == 4.0
    assert labels.quality(0, 2.5, 9.0) is None
    assert np.isnan(labels.quality(1, 0.0, 3.0))  # type: ignore[arg-type]
    assert labels.silent(0, 0.5).tolist() == [False, False, True]


def test_certified_silence_is_a_mixture_without_a_stem_and_that_stem() -> None:
    plain = AugmentConfig.none()
    data = mixed(0.5, 0.5, augment=plain)
    assert data.silence is not None
    seen = set()
    for place in range(1, len(data), 2):
        stems, _, certified, _ = data[4, place]
        assert certified is not None
        assert int(certified) == 2  # only the voice is silent anywhere
        value = float(stems[2, 0, 0])
        assert 20_000 <= value % 100_000 < 30_000
        assert value < 1_000_000
        mixture = float(stems[0, 0, 0])
        assert mixture > 1_000_000
        start = int(mixture) % 10_000
        assert int(mixture) % 100_000 // 10_000 == 3
        assert 400 <= start <= 900 - data.silence.labelled.example_frames
        assert stems[1].abs().sum() == 0
        assert torch.equal(stems.sum(0), stems[0] + stems[2])
        seen.add(start)
    assert len(seen) > 5
    assert int(data[4, 0].certified) == -1  # type: ignore[arg-type]


def test_without_silence_that_is_long_enough_the_longest_is_named() -> None:
    labelled, pseudo = songs(0, 3, FULL), songs(1, 2, FULL)
    found = predicted(2)
    for one in found:
        one.active[2, 5:] = 1
    with pytest.raises(ConfigError, match=r"2\.0 s of an example.*voice 1\.0 s.*silence_below"):
        SilenceSet(labelled, pseudo, found, most=0.1)


def test_unlabelled_examples_hold_the_mixture_alone() -> None:
    data = mixed(unlabelled=True)
    for place in range(len(data)):
        example = data[0, place]
        assert example.unlabelled is not None
        assert bool(example.unlabelled) == (data.pattern.at(place).kind == "pseudo")
        if example.unlabelled:
            assert int(example.stems[0, 0, 0]) % 100_000 // 10_000 == 3
            assert example.stems[1:].abs().sum() == 0


def test_a_batch_is_split_and_changed_field_by_field() -> None:
    batch = Batch(torch.arange(5.0)[:, None, None, None], torch.arange(5.0)[:, None])
    parts = batch.split(2)
    assert [len(part.stems) for part in parts] == [2, 2, 1]
    assert parts[1].weights is not None
    assert parts[1].weights.flatten().tolist() == [2.0, 3.0]
    assert parts[1].certified is None
