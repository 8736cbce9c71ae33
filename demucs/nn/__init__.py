"""The networks: time and spectral branches, from plain keyword arguments."""

from demucs.nn.build import MODELS, ModelSpec, build_model
from demucs.nn.empty import build_empty
from demucs.nn.hdemucs import HDemucs

__all__ = ["MODELS", "HDemucs", "ModelSpec", "build_empty", "build_model"]
