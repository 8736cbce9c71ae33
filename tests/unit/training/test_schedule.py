"""The learning rate: warm-up, then constant or falling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demucs.training.config.schema import SCHEDULES
from demucs.training.optim.optimizer import rate_factor


def factors(steps: int, **kwargs: object) -> list[float]:
    return [rate_factor(step, steps, **kwargs) for step in range(steps)]  # type: ignore[arg-type]


def test_without_warm_up_a_constant_rate_is_one_throughout() -> None:
    assert factors(5, warmup=0, schedule="constant", final=0.0) == [1.0] * 5


def test_it_rises_in_equal_steps() -> None:
    assert factors(5, warmup=3, schedule="constant", final=0.0) == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize(("schedule", "middle"), [("linear", 0.55), ("cosine", 0.55)])
def test_it_falls_to_the_final_share_at_the_last_step(schedule: str, middle: float) -> None:
    found = factors(5, warmup=0, schedule=schedule, final=0.1)
    assert found[0] == 1.0
    assert found[2] == pytest.approx(middle)
    assert found[-1] == pytest.approx(0.1)
    assert found == sorted(found, reverse=True)


def test_a_cosine_is_flat_at_both_ends() -> None:
    found = factors(101, warmup=0, schedule="cosine", final=0.0)
    assert found[25] == pytest.approx(0.853553, abs=1e-6)  # (1 + cos(pi / 4)) / 2


@given(st.integers(1, 50), st.integers(0, 60), st.sampled_from(SCHEDULES), st.floats(0, 1))
def test_it_is_never_outside_zero_and_one(
    steps: int, warmup: int, schedule: str, final: float
) -> None:
    found = factors(steps + 3, warmup=warmup, schedule=schedule, final=final)
    assert all(0 <= factor <= 1 + 1e-12 for factor in found)
