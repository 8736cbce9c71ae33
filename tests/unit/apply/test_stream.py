"""The engine over blocks gives what `apply_model` gives over the whole."""

import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from demucs.apply import apply_model
from demucs.apply.memory import MemoryGuard
from demucs.apply.stream import Block, apply_blocks
from demucs.errors import ConfigError


class Placed(nn.Module):
    """Stems that depend on where a sample lies in its chunk, from a padded context."""

    def __init__(self, segment: float = 1.0, wants: int = 16, gain: float = 1.0) -> None:
        super().__init__()
        self.sources = ["a", "b", "c"]
        self.audio_channels, self.samplerate, self.segment = 2, 100, segment
        self.wants, self.gain = wants, gain

    def valid_length(self, length: int) -> int:
        return -(-length // self.wants) * self.wants

    def forward(self, mix: Tensor) -> Tensor:
        ramp = torch.linspace(0.5, 1.5, mix.shape[-1]) * self.gain
        smooth = nn.functional.avg_pool1d(mix, 5, stride=1, padding=2)
        return torch.stack([mix * ramp, smooth, mix.flip(-1)], dim=1)


class Fixed(Placed):
    """Wants its whole segment however short the chunk is, as HTDemucs does."""

    def valid_length(self, length: int) -> int:
        return int(self.segment * self.samplerate)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.models = nn.ModuleList([Placed(1.0), Fixed(0.7, gain=2), Placed(1.3, 1)])
        self.weights = [[1.0, 0.5, 0.0], [2.0, 0.1, 0.3], [0.0, 0.0, 1.0]]


MODELS = {"placed": Placed(), "fixed": Fixed(), "bag": Bag()}


def signal(length: int, seed: int = 0) -> Tensor:
    return torch.randn(2, length, generator=torch.Generator().manual_seed(seed))


def whole(blocks: Iterator[Block], length: int) -> tuple[Tensor, Tensor]:
    """Mixture and stems, of blocks that follow each other."""
    found, position = list(blocks), 0
    for block in found:
        assert (block.start, block.total) == (position, length)
        assert block.stems.shape[1:] == block.mixture.shape
        position = block.end
    assert position == length
    return (
        torch.cat([one.mixture for one in found], dim=-1),
        torch.cat([one.stems for one in found], dim=-1),
    )


@settings(deadline=None, max_examples=150)
@given(
    model=st.sampled_from(list(MODELS)),
    length=st.integers(1, 700),
    size=st.integers(1, 300),
    overlap=st.floats(0, 0.95),
    segment=st.one_of(st.none(), st.floats(0.2, 3)),
    power=st.floats(1, 3),
    shifts=st.integers(0, 3),
    split=st.booleans(),
    workers=st.sampled_from([0, 0, 2]),
    seed=st.integers(0, 3),
)
def test_blocks_equal_the_whole(
    model: str,
    length: int,
    size: int,
    overlap: float,
    segment: float | None,
    power: float,
    shifts: int,
    split: bool,
    workers: int,
    seed: int,
) -> None:
    if model != "placed" and (not split or (segment or 0) > 0.7):
        segment, split = 0.6, True  # the network wants no more than its segment
    options: dict[str, Any] = {
        "overlap": overlap,
        "segment": segment,
        "transition_power": power,
        "shifts": shifts,
        "split": split,
        "seed": seed,
        "num_workers": workers,
    }
    mix = signal(length)
    before = mix.clone()
    expected = apply_model(MODELS[model], mix[None], **options)[0]
    mixture, stems = whole(
        apply_blocks(MODELS[model], torch.split(mix, size, dim=-1), length, **options), length
    )
    assert torch.equal(mix, before)
    assert torch.equal(mixture, mix)
    torch.testing.assert_close(stems, expected, rtol=1e-5, atol=1e-5)


def test_the_mixture_is_normalised_and_the_stems_are_scaled_back() -> None:
    mix = signal(500) * 3 + 7
    expected = apply_model(Placed(), ((mix - 7) / 3)[None], seed=1)[0] * 3 + 7
    blocks = apply_blocks(Placed(), mix.split(90, dim=-1), 500, mean=7, scale=3, seed=1)
    mixture, stems = whole(blocks, 500)
    assert torch.equal(mixture, mix)
    torch.testing.assert_close(stems, expected, rtol=1e-5, atol=1e-4)


def test_shifts_come_from_the_same_source() -> None:
    mix = signal(300)
    expected = apply_model(Placed(), mix[None], 4, rng=random.Random(9))[0]
    _, stems = whole(apply_blocks(Placed(), [mix], 300, 4, rng=random.Random(9)), 300)
    torch.testing.assert_close(stems, expected, rtol=1e-5, atol=1e-5)
    _, other = whole(apply_blocks(Placed(), [mix], 300, 4, seed=1), 300)
    assert not torch.allclose(other, expected, atol=1e-3)


def test_blocks_are_asked_for_as_they_are_needed() -> None:
    given: list[int] = []

    def blocks() -> Iterator[Tensor]:
        for index in range(100):
            given.append(index)
            yield signal(50, index)

    for block in apply_blocks(Placed(), blocks(), 5000, shifts=2):
        assert len(given) * 50 <= block.end + 100 + 50 + 100  # a shift, a chunk, context and block


def test_memory_does_not_grow_with_the_length() -> None:
    def peak(length: int) -> int:
        held: list[int] = []
        stream = (signal(1000, index) for index in range(length // 1000))
        for block in apply_blocks(Placed(), stream, length, shifts=2):
            held.append(block.stems.nelement())
        return max(held)

    assert peak(40_000) <= peak(10_000) <= 100 * 3 * 2
    tracemalloc.start()  # of objects: nothing is kept for each chunk
    peak(10_000)
    tracemalloc.reset_peak()
    short = tracemalloc.get_traced_memory()[0]
    peak(80_000)
    assert tracemalloc.get_traced_memory()[0] - short < 40_000
    tracemalloc.stop()


@pytest.mark.parametrize("workers", [0, 3])
def test_the_callback_hears_of_every_chunk_and_can_abort(workers: int) -> None:
    heard: list[dict[str, Any]] = []
    options: dict[str, Any] = {"shifts": 0, "num_workers": workers}
    whole(
        apply_blocks(
            Placed(), [signal(200)], 200, callback=heard.append, callback_arg={"x": 1}, **options
        ),
        200,
    )
    starts = [info for info in heard if info["state"] == "start"]
    assert sorted(info["segment_offset"] for info in starts) == [0, 75, 150]
    assert starts[0] == {
        "x": 1, "state": "start", "model_idx_in_bag": 0, "shift_idx": 0,
        "segment_offset": starts[0]["segment_offset"], "audio_length": 200, "models": 1,
    }  # fmt: skip

    def abort(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole(apply_blocks(Placed(), [signal(500)], 500, callback=abort, **options), 500)


@pytest.mark.parametrize(("length", "said"), [(150, "150 samples"), (250, "250 samples")])
def test_a_signal_of_another_length_is_refused(length: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        whole(apply_blocks(Placed(), signal(200).split(60, dim=-1), length), length)


@pytest.mark.parametrize("options", [{"shifts": -1}, {"overlap": 1.0}, {"num_workers": -1},
                                     {"transition_power": 0.1}, {"segment": 0.001}])  # fmt: skip
def test_bad_arguments_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        next(apply_blocks(Placed(), [signal(10)], 10, **options))
    with pytest.raises(ConfigError, match="3 channels"):
        next(apply_blocks(Placed(), [torch.zeros(3, 10)], 10))


class Small(Placed):
    """A device with room for `room` samples."""

    def __init__(self, room: int, segment: float = 1.0) -> None:
        super().__init__(segment, wants=1)
        self.room = room
        self.lengths: list[int] = []

    def forward(self, mix: Tensor) -> Tensor:
        self.lengths.append(mix.shape[-1])
        if mix.shape[-1] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.stack([mix, mix * 2, mix * 3], dim=1)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_out_of_memory_halves_the_segment(
    split: bool, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    mix, model, guard = signal(450), Small(30), MemoryGuard()
    options: dict[str, Any] = {"split": split, "num_workers": workers, "guard": guard, "shifts": 0}
    _, stems = whole(apply_blocks(model, mix.split(99, dim=-1), 450, **options), 450)
    torch.testing.assert_close(stems, torch.stack([mix, mix * 2, mix * 3]), rtol=1e-4, atol=1e-5)
    assert guard.limit is not None
    assert guard.limit <= 30
    assert "Out of memory for a chunk of" in caplog.text
    tried = sum(length > 30 for length in model.lengths)
    assert tried <= 2 * (5 if not split else 2 + workers)  # not in every chunk anew
    model.lengths.clear()
    whole_again = apply_model(model, mix[None], **options)[0]  # the next file starts with that
    assert max(model.lengths) <= 30
    torch.testing.assert_close(whole_again, stems, rtol=1e-4, atol=1e-5)


def test_where_nothing_fits_the_remedy_is_told() -> None:
    with pytest.raises(torch.OutOfMemoryError, match="--device cpu"):
        whole(apply_blocks(Small(3), [signal(200)], 200), 200)


def test_other_errors_are_no_lack_of_memory() -> None:
    class Broken(Placed):
        def forward(self, mix: Tensor) -> Tensor:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        whole(apply_blocks(Broken(), [signal(200)], 200), 200)


def test_an_abandoned_separation_gives_the_model_back() -> None:
    model = Placed().train()
    stream = apply_blocks(model, [signal(500)], 500)
    next(stream)
    assert not model.training
    stream.close()  # type: ignore[attr-defined]
    assert model.training
