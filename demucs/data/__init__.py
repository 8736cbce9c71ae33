"""Datasets: tracks, training examples, augmentation; the doctor and automix.

Names are loaded when they are used: the official lists are read without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demucs.data.augment import AugmentConfig
    from demucs.data.examples import TrainingSet
    from demucs.data.loader import EpochSampler, training_loader
    from demucs.data.readers import register_layout
    from demucs.data.tracks import Track, find_tracks, tracks_in

__all__ = [
    "AugmentConfig",
    "EpochSampler",
    "Track",
    "TrainingSet",
    "find_tracks",
    "register_layout",
    "tracks_in",
    "training_loader",
]
_HOMES = {
    "AugmentConfig": "augment",
    "EpochSampler": "loader",
    "Track": "tracks",
    "TrainingSet": "examples",
    "find_tracks": "tracks",
    "register_layout": "readers",
    "tracks_in": "tracks",
    "training_loader": "loader",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"demucs.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
