"""Out-of-memory handling: halve the batch, then the segment, instead of failing."""

import logging
import math
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from demucs.apply.plan import SubModel, overlap_window, window
from demucs.errors import is_out_of_memory

SHORTEST = 0.1  # seconds; a chunk that does not fit is not made shorter than this
MOST_AT_ONCE = 160.0  # seconds of audio: four chunks of HDemucs keep a GPU busy
# Bytes for a second of audio: twice what the tensors of a forward pass take that live at the same
# time (35 MiB in HDemucs of 48 channels, 51 in HTDemucs), for workspaces and what cannot be reused.
_BYTES_A_SECOND = 100 * 2**20
_log = logging.getLogger(__name__)


class MemoryGuard:
    """Limits that were lowered after running out of memory.

    Attributes:
        limit: samples that a chunk may have; None as long as all have fitted.
        batch: chunks that may be worked on at once; None likewise.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self.batch: int | None = None
        self._lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        """For `pickle` and `copy`: all but the lock, of which each copy has its own."""
        return {"limit": self.limit, "batch": self.batch}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self.__dict__.update(state)

    def halve_batch(self, size: int) -> None:
        """Notes that `size` chunks at once, more than one, were too much."""
        with self._lock:
            if self.batch is None or self.batch > size // 2:
                self.batch = size // 2
                _log.warning(
                    "Out of memory for %d chunks at once: continuing with %d. --batch %d avoids "
                    "the attempt.",
                    size,
                    self.batch,
                    self.batch,
                )

    def halve(self, length: int, samplerate: int, error: BaseException) -> None:
        """Notes that a chunk of `length` samples was too much.

        Raises:
            torch.OutOfMemoryError: half of it is too short to be worth a try.
        """
        if length < 2 * SHORTEST * samplerate:
            raise torch.OutOfMemoryError(
                f"out of memory for a chunk of {length / samplerate:g} s: use another device "
                "(--device cpu), or end what else uses this one"
            ) from error
        with self._lock:
            if self.limit is None or self.limit > length // 2:
                self.limit = length // 2
                _log.warning(
                    "Out of memory for a chunk of %.3g s: continuing with chunks of %.3g s. A "
                    "--segment as short as that avoids the attempt.",
                    length / samplerate,
                    self.limit / samplerate,
                )

    @staticmethod
    def clear(device: torch.device) -> None:
        """Gives back what torch keeps of the device's memory for later."""
        if device.type == "cuda":
            torch.cuda.empty_cache()


def seconds_at_once(device: torch.device) -> float:
    """Seconds of audio that a network is to be given at once: by the free memory of a GPU, else 0.

    More than that costs only memory, and less is worth a try if it does not fit.
    """
    if device.type != "cuda":
        return 0.0
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return seconds_that_fit(free + kept)


def seconds_that_fit(free: int) -> float:
    """The same for so many bytes.

    >>> [round(seconds_that_fit(gib * 2**30)) for gib in (2, 8, 80)]
    [20, 82, 160]
    """
    return min(MOST_AT_ONCE, free / _BYTES_A_SECOND)


def separate_chunk(
    sub_model: SubModel,
    mix: Tensor,
    start: int,
    length: int,
    device: torch.device,
    guard: MemoryGuard,
) -> Tensor:
    """The stems `[B, S, C, length]` of one window of `mix` `[B, C, T]`, on the device of `mix`.

    If the device's memory does not suffice, the window is cut into chunks of half its length, and
    so on, and so are all later ones.

    Raises:
        torch.OutOfMemoryError: not even short chunks fit.
    """
    while guard.limit is None or length <= guard.limit:
        try:
            return _forward(sub_model, mix, start, length, device).to(mix.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            guard.halve(length, sub_model.samplerate, error)
        guard.clear(device)  # out of the `except`, whose traceback holds the tensors
    return _in_parts(sub_model, mix, start, length, device, guard)


def _forward(
    sub_model: SubModel, mix: Tensor, start: int, length: int, device: torch.device
) -> Tensor:
    """The stems of one window, given the context its model wants, then cut back to it."""
    padded, before = sub_model.context(length)
    with torch.no_grad():
        stems: Tensor = sub_model.module(window(mix, start - before, padded).to(device))
    return cropped(stems, length)


def cropped(stems: Tensor, length: int) -> Tensor:
    """The middle `[..., length]` of what a network gave for a window."""
    extra = stems.shape[-1] - length
    return stems[..., extra // 2 : extra // 2 + length]


def _in_parts(
    sub_model: SubModel,
    mix: Tensor,
    start: int,
    length: int,
    device: torch.device,
    guard: MemoryGuard,
) -> Tensor:
    """Overlap-add of one window by chunks of what the memory allows."""
    assert guard.limit is not None
    size = guard.limit
    stride = max(1, math.floor((1 - sub_model.overlap) * size))
    total = mix.new_zeros(mix.shape[0], len(sub_model.weights), mix.shape[1], length)
    norm, weight = mix.new_zeros(length), overlap_window(size).to(mix)
    for offset in range(0, length, stride):
        part = min(size, length - offset)
        stems = separate_chunk(sub_model, mix, start + offset, part, device, guard)
        total[..., offset : offset + part] += weight[:part] * stems
        norm[offset : offset + part] += weight[:part]
    return total.div_(norm)
