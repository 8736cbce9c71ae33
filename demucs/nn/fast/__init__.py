"""HDemucs for inference on a CPU: the same function as the plain modules, in another layout."""

from demucs.nn.fast.model import FastHDemucs
from demucs.nn.fast.pool import release_memory

__all__ = ["FastHDemucs", "release_memory"]
