"""A pool of the memory of large tensors, which the next tensors reuse.

The system clears the memory that it hands out, which takes longer than many layers; malloc either
returns large blocks to it or fragments. A network knows when it no longer needs a tensor, so it
returns the memory to this pool itself.
"""

import math
import threading

import torch
from torch import Tensor

LARGE = 16 * 2**20  # bytes; smaller tensors are not pooled
WASTE = 1.3  # a storage may be larger than asked for by this factor


class Pool:
    """Unused storages; safe to use from several threads."""

    def __init__(self) -> None:
        self._free: list[torch.UntypedStorage] = []
        self._lock = threading.Lock()

    def empty(self, shape: list[int], dtype: torch.dtype) -> Tensor:
        """A channels-last tensor `[B, C, F, N]` of any content."""
        size = math.prod(shape) * dtype.itemsize
        if size < LARGE:
            return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)
        storage = self._find(size)
        if storage is None:
            storage = torch.empty(size, dtype=torch.uint8).untyped_storage()
        _, channels, bins, frames = shape
        strides = (channels * bins * frames, 1, channels * frames, channels)
        return torch.empty(0, dtype=dtype).set_(storage, 0, tuple(shape), strides)

    def _find(self, size: int) -> torch.UntypedStorage | None:
        """A storage that fits; if there is none, others are freed to make room for a new one."""
        with self._lock:
            fits = [storage for storage in self._free if size <= storage.nbytes() <= WASTE * size]
            best = min(fits, key=lambda storage: storage.nbytes(), default=None)
            if best is not None:
                self._free = [storage for storage in self._free if storage is not best]
                return best
            while self._free and size > 0:
                size -= self._free.pop(0).nbytes()
        return None

    def give(self, *tensors: Tensor | None) -> None:
        """Returns the memory of tensors that are not used again to the pool."""
        storages = [tensor.untyped_storage() for tensor in tensors if tensor is not None]
        with self._lock:
            self._free += [tensor for tensor in storages if tensor.nbytes() >= LARGE]

    def clear(self) -> None:
        """Returns the memory to the system."""
        with self._lock:
            self._free = []


POOL = Pool()  # one for all networks, as those of a bag run one after the other


def release_memory() -> None:
    """Returns to the system what fast networks keep between passes; to be called after a song."""
    POOL.clear()
