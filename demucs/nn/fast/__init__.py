"""HDemucs for inference on a CPU: the same function as the plain modules, in another layout."""

from demucs.nn.fast.model import FastHDemucs
from demucs.nn.fast.pool import release_memory
from demucs.nn.fast.preparation import PRECISIONS, has_bf16, prepare

__all__ = ["PRECISIONS", "FastHDemucs", "has_bf16", "prepare", "release_memory"]
