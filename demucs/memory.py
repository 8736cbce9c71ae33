"""When a device runs out of memory: shorter chunks, instead of an end."""

import logging
from threading import Lock

import torch

SHORTEST = 0.1  # seconds; a chunk that does not fit is not made shorter than this
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
)  # CUDA, the CPU, cuDNN and so on
_log = logging.getLogger(__name__)


def is_out_of_memory(error: BaseException) -> bool:
    """True for what torch and its libraries raise where memory does not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


class MemoryGuard:
    """Remembers how long a chunk may be: `limit` samples; None as long as all have fitted."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self._lock = Lock()

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
                    "Out of memory for a chunk of %.3g s: going on with chunks of %.3g s. A "
                    "--segment as short as that avoids the attempt.",
                    length / samplerate,
                    self.limit / samplerate,
                )

    @staticmethod
    def clear(device: torch.device) -> None:
        """Gives back what torch keeps of the device's memory for later."""
        if device.type == "cuda":
            torch.cuda.empty_cache()
