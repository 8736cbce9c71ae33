"""Properties of `apply_model` that need no reference."""

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from demucs.apply import apply_model
from demucs.apply.plan import overlap_window, window
from demucs.apply.runner import ordered_map
from demucs.errors import ConfigError


class Halves(nn.Module):
    """Splits the mixture into a quarter and three quarters; notes the length of each chunk."""

    def __init__(self, segment: float = 1.0) -> None:
        super().__init__()
        self.sources = ["quarter", "rest"]
        self.audio_channels, self.samplerate, self.segment = 2, 100, segment
        self.lengths: list[int] = []

    def forward(self, mix: Tensor) -> Tensor:
        self.lengths.append(mix.shape[-1])
        mix *= 0.25  # in place: what apply_model hands out must be a copy
        return torch.stack([mix, mix * 3], dim=1)


class Neighbours(Halves):
    """Sums the samples around each one, without padding, so it needs context to get it right."""

    def valid_length(self, length: int) -> int:
        return length + 6

    def forward(self, mix: Tensor) -> Tensor:
        summed = nn.functional.avg_pool1d(mix, 7, stride=1) * 7
        return torch.stack([summed, summed], dim=1)


@settings(deadline=None, max_examples=40)
@given(
    length=st.integers(1, 400),
    batch=st.integers(1, 2),
    overlap=st.floats(0, 0.9),
    segment=st.floats(0.2, 3),
    power=st.floats(1, 3),
    shifts=st.integers(0, 2),
    split=st.booleans(),
)
def test_a_pointwise_model_is_applied_to_every_sample(
    length: int,
    batch: int,
    overlap: float,
    segment: float,
    power: float,
    shifts: int,
    split: bool,
) -> None:
    mix = torch.randn(batch, 2, length)
    before = mix.clone()
    stems = apply_model(
        Halves(), mix, shifts, split, overlap, transition_power=power, segment=segment
    )
    assert torch.equal(mix, before)
    expected = torch.stack([mix * 0.25, mix * 0.75], dim=1)
    torch.testing.assert_close(stems, expected, rtol=1e-4, atol=1e-5)


def test_context_comes_from_the_neighbouring_chunks() -> None:
    mix = torch.randn(1, 2, 333)
    whole = apply_model(Neighbours(), mix, shifts=0, split=False)
    chunked = apply_model(Neighbours(), mix, shifts=0, split=True, overlap=0)
    torch.testing.assert_close(chunked, whole, rtol=1e-4, atol=1e-5)


def test_no_chunk_is_longer_than_the_segment() -> None:
    model = Halves(segment=0.5)
    apply_model(model, torch.randn(1, 2, 180), shifts=1)
    assert max(model.lengths) == 50
    model.lengths.clear()
    apply_model(model, torch.randn(1, 2, 180), shifts=0, split=False)
    assert model.lengths == [180]


def test_equal_seeds_give_equal_shifts() -> None:
    model = Neighbours()
    lengths = []

    def stems(**options: Any) -> Tensor:
        model_input = torch.randn(1, 2, 150, generator=torch.Generator().manual_seed(0))
        sizes: list[int] = []
        result = apply_model(
            model,
            model_input,
            split=False,
            callback=lambda info: sizes.append(info["segment_offset"]),
            **options,
        )
        lengths.append(sizes)
        return result

    assert torch.equal(stems(seed=3), stems(seed=3))
    assert torch.equal(stems(seed=3), stems(rng=random.Random(3)))


def test_different_seeds_give_different_shifts() -> None:
    seen = []
    for seed in range(4):
        model = Halves()
        apply_model(model, torch.randn(1, 2, 150), split=False, seed=seed)
        seen.append(model.lengths[0])
    assert len(set(seen)) > 1
    assert all(150 <= length <= 200 for length in seen)


@pytest.mark.parametrize("workers", [0, 3])
def test_the_callback_hears_of_every_chunk(workers: int) -> None:
    heard: list[dict[str, Any]] = []
    apply_model(
        Halves(),
        torch.randn(1, 2, 200),
        shifts=0,
        num_workers=workers,
        callback=heard.append,
        callback_arg={"mine": 1, "state": "overridden"},
    )
    starts = [info for info in heard if info["state"] == "start"]
    assert sorted(info["segment_offset"] for info in starts) == [0, 75, 150]
    assert len(heard) == 6
    assert starts[0] == {
        "mine": 1,
        "state": "start",
        "model_idx_in_bag": 0,
        "shift_idx": 0,
        "segment_offset": starts[0]["segment_offset"],
        "audio_length": 200,
        "models": 1,
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_the_callback_can_abort(workers: int) -> None:
    def abort(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_model(Halves(), torch.randn(1, 2, 500), num_workers=workers, callback=abort)


def test_training_mode_is_given_back() -> None:
    model = Halves().train()
    apply_model(model, torch.randn(1, 2, 10))
    assert model.training


def test_nothing_is_tracked_for_gradients() -> None:
    class Scaled(Halves):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(1))

        def forward(self, mix: Tensor) -> Tensor:
            return super().forward(mix * self.gain)

    for workers in (0, 2):
        stems = apply_model(Scaled(), torch.randn(1, 2, 300), num_workers=workers)
        assert not stems.requires_grad


def test_the_progress_bar_ends_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    apply_model(Halves(), torch.randn(1, 2, 250), shifts=0, progress=True)
    assert "2.5/2.5s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shifts": -1}, "shifts=-1"),
        ({"overlap": 1.0}, r"overlap=1\.0"),
        ({"overlap": -0.1}, r"overlap=-0\.1"),
        ({"overlap": float("nan")}, "overlap=nan"),
        ({"transition_power": 0.5}, "transition_power=0.5"),
        ({"num_workers": -2}, "num_workers=-2"),
        ({"segment": 0.0}, r"segment=0\.0: give seconds above 0"),
        ({"segment": -1.0}, r"segment=-1\.0: give seconds above 0"),
        ({"segment": 0.001}, "less than one sample"),
        ({"segment": float("nan")}, "segment=nan"),
        ({"mix": torch.zeros(1, 2, 0)}, r"\[1, 2, 0\]"),
        ({"mix": torch.zeros(2, 10)}, r"\[2, 10\]"),
        ({"mix": torch.zeros(1, 2, 10, dtype=torch.int16)}, "int16"),
        ({"mix": torch.zeros(1, 3, 10)}, "3 channels and the model takes 2"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], said: str) -> None:
    arguments = {"mix": torch.zeros(1, 2, 10), **options}
    with pytest.raises(ConfigError, match=said):
        apply_model(Halves(), **arguments)


@given(length=st.integers(1, 50))
def test_the_triangle_is_symmetric_and_positive(length: int) -> None:
    weights = overlap_window(length)
    assert len(weights) == length
    assert weights.min() > 0
    assert weights.max() == 1
    assert torch.equal(weights, weights.flip(0))


@given(start=st.integers(-20, 30), length=st.integers(0, 40))
def test_a_window_is_zero_where_there_is_no_signal(start: int, length: int) -> None:
    mix = torch.arange(1.0, 11.0)
    expected = [mix[i] if 0 <= i < 10 else 0.0 for i in range(start, start + length)]
    assert window(mix, start, length).tolist() == expected


def test_ordered_map_keeps_the_order_and_works_ahead_a_little() -> None:
    from concurrent.futures import ThreadPoolExecutor

    asked = []

    def items() -> Any:
        for index in range(10):
            asked.append(index)
            yield index

    with ThreadPoolExecutor(2) as pool:
        results = ordered_map(lambda x: x * x, items(), pool, 2)
        assert next(results) == 0
        assert len(asked) <= 3
        assert list(results) == [x * x for x in range(1, 10)]
