"""Datasets: tracks, training examples, augmentation; the doctor and automix."""

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
