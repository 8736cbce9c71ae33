"""Memory of large tensors, used again by the next ones.

The system clears what it hands out, which takes longer than many a layer; malloc either gives large
blocks back to it or lies them side by side with holes between. A network knows when it is done with
a tensor, so it hands the memory on itself.
"""

import math
import threading

import torch
from torch import Tensor

LARGE = 16 * 2**20  # bytes from which it is worth it
WASTE = 1.3  # at most so many times as much memory as asked for


class Pool:
    """Storages that nothing uses at present; safe to be used by several threads."""

    def __init__(self) -> None:
        self._free: list[torch.UntypedStorage] = []
        self._lock = threading.Lock()

    def empty(self, shape: list[int], dtype: torch.dtype) -> Tensor:
        """A channels-last tensor `[B, C, F, N]` of any content."""
        wanted = math.prod(shape) * dtype.itemsize
        if wanted < LARGE:
            return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)
        storage = self._find(wanted)
        if storage is None:
            storage = torch.empty(wanted, dtype=torch.uint8).untyped_storage()
        _, channels, bins, frames = shape
        strides = (channels * bins * frames, 1, channels * frames, channels)
        return torch.empty(0, dtype=dtype).set_(storage, 0, tuple(shape), strides)

    def _find(self, wanted: int) -> torch.UntypedStorage | None:
        """A storage that fits; where there is none, room is made for a new one."""
        with self._lock:
            fits = [one for one in self._free if wanted <= one.nbytes() <= WASTE * wanted]
            found = min(fits, key=lambda one: one.nbytes(), default=None)
            if found is not None:
                self._free = [one for one in self._free if one is not found]
                return found
            while self._free and wanted > 0:
                wanted -= self._free.pop(0).nbytes()
        return None

    def give(self, *tensors: Tensor | None) -> None:
        """Hands over the memory of tensors that nobody will look at again."""
        storages = [one.untyped_storage() for one in tensors if one is not None]
        with self._lock:
            self._free += [one for one in storages if one.nbytes() >= LARGE]

    def clear(self) -> None:
        """Returns the memory to the system."""
        with self._lock:
            self._free = []


POOL = Pool()  # one for all networks, as those of a bag run one after the other


def release_memory() -> None:
    """Returns to the system what fast networks keep between passes; to be called after a song."""
    POOL.clear()
