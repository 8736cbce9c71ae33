"""The networks: time and spectral branches, from plain keyword arguments."""

from demucs.nn.build import MODELS, ModelSpec, build_model
from demucs.nn.demucs import Demucs
from demucs.nn.empty import build_empty
from demucs.nn.hdemucs import HDemucs
from demucs.nn.htdemucs import HTDemucs
from demucs.nn.torch_hdemucs import TorchHDemucs, torchaudio_network

__all__ = [
    "MODELS",
    "Demucs",
    "HDemucs",
    "HTDemucs",
    "ModelSpec",
    "TorchHDemucs",
    "build_empty",
    "build_model",
    "torchaudio_network",
]
