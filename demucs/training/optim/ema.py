"""Exponential moving averages of the weights, and the best state of all epochs."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """The bias-corrected moving average of a model's floating-point state.

    After n updates with the states s₁ … sₙ, the average is Σ dⁿ⁻ⁱ sᵢ / Σ dⁿ⁻ⁱ, with decay d. So
    it has no trace of an initial value, and d = 0 is the latest state. Entries that are not
    floats (counters) are those of the latest state.

    Args:
        decay: in [0, 1).
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.mass = 0.0  # Σ dⁿ⁻ⁱ
        self.state: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes the present state of `model` in; the average lives on the model's device."""
        self.mass = self.mass * self.decay + 1
        means, values = [], []
        for name, value in model.state_dict().items():
            mean = self.state.get(name)
            if mean is None or not value.is_floating_point():
                self.state[name] = value.detach().clone()
            else:
                means.append(mean)
                values.append(value.to(mean))
        if means:  # all at once: a few kernels of a GPU, not one a weight
            torch._foreach_lerp_(means, values, 1 / self.mass)

    def state_dict(self) -> dict[str, Any]:
        return {"decay": self.decay, "mass": self.mass, "state": dict(self.state)}

    def load_state_dict(self, data: Mapping[str, Any], device: torch.device | str = "cpu") -> None:
        self.decay, self.mass = float(data["decay"]), float(data["mass"])
        self.state = {name: value.to(device) for name, value in data["state"].items()}


@contextmanager
def swapped_state(model: nn.Module, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Gives `model` another state inside the block, and its own back after."""
    original = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    try:
        yield
    finally:
        model.load_state_dict(original)


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best state so far.

    Attributes:
        state: weights, on the CPU.
        epoch: the epoch it is from, counted from 1.
        name: what it is best by, e.g. `loss`, `nsdr` or `sdr`.
        metric: the value of that on the validation songs.
        weights: `main` for the model itself, or the moving average it is.
    """

    state: dict[str, Tensor]
    epoch: int
    name: str
    metric: float
    weights: str

    def to_dict(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Best":
        return cls(**data)


def is_better(metric: str, value: float, than: float | None) -> bool:
    """Whether `value` improves on `than`: losses down, nSDR up; what is not finite never does."""
    if not math.isfinite(value):
        return False
    if than is None:
        return True
    return value < than if metric == "loss" else value > than


def best_name(metric: str, measures: Mapping[str, Mapping[str, float]]) -> str:
    """The name among `measures` whose `metric` is best; the first among equals, and without any."""
    names = iter(measures)
    chosen = next(names)
    for name in names:
        value, than = (measures[key].get(metric, math.nan) for key in (name, chosen))
        if is_better(metric, value, than if math.isfinite(than) else None):
            chosen = name
    return chosen
