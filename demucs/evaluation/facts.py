"""What evaluation asks of a model, and what it writes down about it."""

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class ModelFacts:
    """The attributes every model has.

    Attributes:
        sources: names of the stems, in the order of the model's output.
        samplerate: Hz.
        segment: length of a chunk in seconds.
    """

    sources: list[str]
    samplerate: int
    segment: float

    @classmethod
    def of(cls, model: nn.Module) -> "ModelFacts":
        seen: Any = model  # nn.Module declares its attributes as tensors or modules
        return cls(list(seen.sources), int(seen.samplerate), float(seen.segment))
