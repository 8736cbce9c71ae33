"""Attributes of a model that evaluation needs and records."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from demucs.release import weights_sha256


def weights_of(model: nn.Module) -> str:
    """The sha256 of a model's weights: what its release says, or computed."""
    release = getattr(model, "release", None)
    checksum = getattr(release, "provenance", {}).get("weights_sha256")
    return str(checksum or weights_sha256(model.state_dict()))


@dataclass(frozen=True)
class ModelFacts:
    """The attributes every model has.

    Attributes:
        sources: names of the stems, in the order of the model's output.
        samplerate: Hz.
        segment: length of a chunk in seconds.
        songs: marks of those it was trained on (`demucs.release.provenance.song_mark`), where its
            release has them.
        members: networks whose stems are averaged; 1 for a single model.
    """

    sources: list[str]
    samplerate: int
    segment: float
    songs: frozenset[str] = frozenset()
    members: int = 1

    @classmethod
    def of(cls, model: nn.Module) -> "ModelFacts":
        seen: Any = model  # nn.Module declares its attributes as tensors or modules
        release = getattr(model, "release", None)
        data = getattr(release, "provenance", {}).get("data") or {}
        return cls(
            list(seen.sources),
            int(seen.samplerate),
            float(seen.segment),
            frozenset(data.get("songs") or ()),
            len(seen.models) if isinstance(getattr(model, "models", None), nn.ModuleList) else 1,
        )
