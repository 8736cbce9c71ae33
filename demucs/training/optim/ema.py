"""Exponential moving averages of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    own = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    try:
        yield
    finally:
        model.load_state_dict(own)
