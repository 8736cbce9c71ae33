"""Training examples and their batches, on tracks held in memory."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from demucs.data import AugmentConfig, EpochSampler, Track, TrainingSet, training_loader
from demucs.data.readers import Header
from demucs.errors import AudioError, ConfigError
from demucs.process.children import SIGNALS

RATE = 100
SOURCES = ("drums", "bass", "voice")
FULL = AugmentConfig(repitch_proba=0)


class Memory:
    """A track whose samples say where they are from: the value depends on track and source."""

    def __init__(self, number: int, frames: int, broken: bool = False) -> None:
        self.number, self.frames, self.broken = number, frames, broken
        self.name, self.sources = f"song{number}", SOURCES
        self.location = Path(self.name)

    def path(self, source: str) -> Path:
        return self.location / f"{source}.wav"

    def header(self, source: str) -> Header:
        return Header(RATE, 2, self.frames)

    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor:
        if self.broken:
            raise AudioError(f"{self.path(source)} cannot be read")
        stop = self.frames if frames is None else min(self.frames, start + frames)
        time = torch.arange(start, max(start, stop), dtype=torch.float32)
        value = (1 + self.number) * 100_000 + SOURCES.index(source) * 10_000
        return torch.stack([value + time, 2 * (value + time)])


def track(
    number: int, frames: int = 1000, mean: float = 0, std: float = 1, broken: bool = False
) -> Track:
    reader = Memory(number, frames, broken)
    return Track(reader.name, SOURCES, RATE, 2, frames, mean, std, reader)


def dataset(
    tracks: list[Track] | None = None, augment: AugmentConfig = FULL, normalize: bool = False
) -> TrainingSet:
    tracks = [track(n, 700 + 130 * n) for n in range(6)] if tracks is None else tracks
    return TrainingSet(tracks, segment=3.0, shift=1.0, seed=7, augment=augment, normalize=normalize)


def epoch_of(
    data: TrainingSet, *, batch_size: int = 4, epoch: int = 2, **options: Any
) -> list[Tensor]:
    return list(training_loader(data, batch_size=batch_size, epoch=epoch, **options))


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 2000))
def test_segments_cover_the_track(frames: int) -> None:
    data = dataset([track(0, frames)], AugmentConfig.none())
    assert len(data) == (1 if frames <= 300 else 1 + int(np.ceil((frames - 300) / 100)))
    _, start = data.locate(len(data) - 1)
    assert start + 300 >= frames  # nothing is left out at the end ...
    assert len(data) == 1 or start + 200 < frames  # ... and no segment is but padding


def test_locate_walks_through_the_tracks() -> None:
    data = dataset([track(0, 500), track(1, 100), track(2, 400)], AugmentConfig.none())
    places = [data.locate(i) for i in range(len(data))]
    assert [(t.name, start) for t, start in places] == [
        ("song0", 0), ("song0", 100), ("song0", 200), ("song1", 0), ("song2", 0), ("song2", 100),
    ]  # fmt: skip


def test_a_short_track_gives_one_example_padded_at_the_end() -> None:
    quiet = AugmentConfig(flip=False, remix_proba=0, scale_proba=0, repitch_proba=0)
    data = dataset([track(0, 150)], quiet)
    assert len(data) == 1
    example = data[0, 0]
    assert example.shape == (3, 2, 200)
    for stem in range(3):
        start = int(example[stem, 0, 0]) % 10_000
        filled = 150 - start
        assert (
            example[stem, 0, :filled].eq(torch.arange(start, 150) + 100_000 + 10_000 * stem).all()
        )
        assert example[stem, :, filled:].eq(0).all()


def test_stems_keep_their_identity_and_tracks_mix() -> None:
    augment = AugmentConfig(flip=False, scale_proba=0, repitch_proba=0)
    data = dataset([track(n, 2000) for n in range(6)], augment)
    mixed = 0
    for position in range(len(data)):
        first = data[0, position][:, 0, 0]
        assert [int(v) // 10_000 % 10 for v in first] == [0, 1, 2]
        mixed += len({int(v) // 100_000 for v in first}) > 1
    assert mixed > len(data) // 2


def test_crops_move_from_epoch_to_epoch_and_by_stem() -> None:
    quiet = AugmentConfig(flip=False, remix_proba=0, scale_proba=0, repitch_proba=0)
    data = dataset([track(0, 300)], quiet)
    starts = np.array([[int(v) % 10_000 for v in data[e, 0][:, 0, 0]] for e in range(200)])
    assert starts.min() < 5
    assert 94 < starts.max() < 100
    assert (starts[:, 0] != starts[:, 1]).any()


def test_gain_and_flips_are_applied_to_whole_stems() -> None:
    plain = dataset(augment=AugmentConfig(flip=False, scale_proba=0, repitch_proba=0))
    data = dataset()
    gains: list[float] = []
    swapped: list[bool] = []
    for position in range(16):
        before, after = plain[0, position], data[0, position]
        for stem in range(3):
            swap = bool(after[stem, 0].abs().mean() > after[stem, 1].abs().mean())
            original = before[stem].flip(0) if swap else before[stem]
            gain = float(after[stem, 0, 0] / original[0, 0])
            assert torch.allclose(after[stem], original * gain, rtol=1e-5)
            gains.append(gain)
            swapped.append(swap)
    assert set(swapped) == {True, False}
    assert min(gains) < 0 < max(gains)
    assert all(0.25 <= abs(gain) <= 1.25 for gain in gains)


def test_normalisation_uses_the_numbers_of_the_track_of_each_stem() -> None:
    quiet = AugmentConfig(flip=False, scale_proba=0, repitch_proba=0)
    plain = dataset([track(n, 2000) for n in range(4)], quiet)
    data = dataset(
        [track(n, 2000, mean=n + 1.0, std=10.0 * (n + 1)) for n in range(4)], quiet, True
    )
    for position in range(8):
        before, after = plain[0, position], data[0, position]
        for stem in range(3):
            number = int(before[stem, 0, 0]) // 100_000
            torch.testing.assert_close(after[stem], (before[stem] - number) / (10.0 * number))


def test_the_same_examples_whatever_the_batch_size_or_workers() -> None:
    data = dataset()
    expected = torch.cat(epoch_of(data, batch_size=4))
    assert torch.equal(torch.cat(epoch_of(data, batch_size=12)), expected[: len(data) // 12 * 12])
    assert torch.equal(torch.cat(epoch_of(data, batch_size=4, num_workers=2)), expected)
    assert torch.equal(torch.cat(epoch_of(dataset(), batch_size=4)), expected)
    assert not torch.equal(torch.cat(epoch_of(data, epoch=3)), expected)
    assert not torch.equal(torch.cat(epoch_of(data, seed=8)), expected)
    assert data.seed == 7


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_each_global_batch(world_size: int) -> None:
    data = dataset()
    alone = epoch_of(data, batch_size=8)
    ranks = [epoch_of(data, batch_size=8, rank=r, world_size=world_size) for r in range(world_size)]
    assert {len(batches) for batches in ranks} == {len(alone)}
    for b, batch in enumerate(alone):
        assert torch.equal(torch.cat([batches[b] for batches in ranks]), batch)


def test_resume_in_the_middle_and_shorter_epochs() -> None:
    data = dataset()
    whole = epoch_of(data)
    rest = epoch_of(data, start_batch=3)
    assert len(rest) == len(whole) - 3
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[3:], strict=True))
    loader = training_loader(data, batch_size=4, epoch=2, max_batches=5, start_batch=3)
    assert len(loader) == len(list(loader)) == 2


@settings(max_examples=60, deadline=None)
@given(
    examples=st.integers(1, 50), share=st.integers(1, 5), world=st.integers(1, 4), data=st.data()
)
def test_sampler_deals_each_position_once(
    examples: int, share: int, world: int, data: st.DataObject
) -> None:
    batch_size = share * world
    if examples < batch_size:
        return
    start = data.draw(st.integers(0, examples // batch_size))
    seen: list[tuple[int, int]] = []
    for rank in range(world):
        sampler = EpochSampler(
            examples, batch_size=batch_size, epoch=1, start_batch=start, rank=rank, world_size=world
        )
        batches = list(sampler)
        assert len(batches) == len(sampler) == examples // batch_size - start
        seen += [index for batch in batches for index in batch]
    stop = examples // batch_size * batch_size
    assert sorted(seen) == [(1, p) for p in range(start * batch_size, stop)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_worker_error_names_the_file(num_workers: int) -> None:
    data = dataset([track(n, 600, broken=True) for n in range(2)])
    with pytest.raises(AudioError, match=r"^song\d.\w+\.wav cannot be read$"):
        epoch_of(data, num_workers=num_workers)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dataset([]), r"tracks of one kind .* got \[\]"),
        (lambda: TrainingSet([track(0)], segment=1, shift=1), r"segment=1 s .* dset\.shift=1 s"),
        (lambda: TrainingSet([track(0)], shift=0), r"dset\.shift=0 s"),
        (lambda: TrainingSet([track(0)], seed=-1, augment=AugmentConfig.none()), r"seed=-1"),
        (lambda: dataset([track(0, 400)]), r"group_size=4, but an epoch has only 2 examples"),
        (lambda: epoch_of(dataset(), batch_size=5, world_size=2), r"batch_size=5 .* 2 processes"),
        (lambda: epoch_of(dataset(), batch_size=0), r"batch_size=0"),
        (lambda: epoch_of(dataset(), batch_size=900), r"batch_size=900, .* only \d+ examples"),
        (lambda: epoch_of(dataset(), rank=2, world_size=2), r"rank=2"),
        (lambda: epoch_of(dataset(), start_batch=99), r"start_batch=99"),
    ],
)
def test_wrong_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_positions_beyond_the_epoch_are_an_index_error() -> None:
    with pytest.raises(IndexError):
        dataset()[0, 10_000]


def test_a_reader_that_is_told_to_end_while_it_starts_reads_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scheduler signals every process of a job, also one that has only just begun."""
    from demucs.data import loader

    settle = loader._settle

    def told_first(worker: int, *, parent: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        settle(worker, parent=parent)

    monkeypatch.setattr(loader, "_settle", told_first)
    data = dataset()
    assert len(epoch_of(data, num_workers=1)) == len(data) // 4
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(SIGNALS)
