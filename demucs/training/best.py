"""Keeping the best state of all: of every epoch, of the model and of its moving averages."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best state so far.

    Attributes:
        state: weights, on the CPU.
        epoch: the epoch it is from, counted from 1.
        name: what it is best by, as `loss` or `nsdr`.
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


def best_name(metric: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """The name among `found` (measures by name) whose `metric` is best; the first among equals."""
    names = iter(found)
    chosen = next(names)
    for name in names:
        than = found[chosen][metric]
        if is_better(metric, found[name][metric], than if math.isfinite(than) else None):
            chosen = name
    return chosen
