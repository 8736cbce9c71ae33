"""The networks: time and spectral branches, from plain keyword arguments."""

from demucs.nn.build import (
    BUILT_IN,
    MODELS,
    ModelSpec,
    build_empty,
    build_model,
    find_model,
    register_model,
)
from demucs.nn.demucs import Demucs
from demucs.nn.hdemucs import HDemucs
from demucs.nn.htdemucs import HTDemucs
from demucs.nn.torch_hdemucs import TorchHDemucs, torchaudio_network

__all__ = [
    "BUILT_IN",
    "MODELS",
    "Demucs",
    "HDemucs",
    "HTDemucs",
    "ModelSpec",
    "TorchHDemucs",
    "build_empty",
    "build_model",
    "find_model",
    "register_model",
    "torchaudio_network",
]
