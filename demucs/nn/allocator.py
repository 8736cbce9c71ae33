"""Settings of glibc's allocator, which keep freed memory for the next operation.

Large tensors otherwise come from fresh mappings, and the page faults were measured at a third of
the time of a forward pass on a CPU.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4  # <malloc.h>
_tuned = False


def tune_allocator() -> bool:
    """Makes glibc's malloc keep and reuse freed memory, for this process and its threads.

    Costs memory: freed blocks stay with the process. To be called by a command at its start, not
    by a library.

    Returns:
        True if the settings are in force, False where there is no glibc.
    """
    global _tuned
    if not _tuned:
        _tuned = _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 256 * 2**20})
    return _tuned


def return_large_blocks() -> bool:
    """Makes glibc's malloc give blocks of 2 MiB and more back as soon as they are freed.

    Little memory, which does not grow with the song: with a larger threshold it does, as small
    blocks come to lie between freed ones. Most of the page faults are saved nevertheless if torch
    asks for huge pages, as `THP_MEM_ALLOC_ENABLE=1` in the environment has it do when it is
    imported, and by `demucs.nn.fast.pool`. To be called by a command at its start.

    Returns:
        True if the settings are in force, False where there is no glibc.
    """
    return _set({_M_MMAP_THRESHOLD: 2 * 2**20, _M_TRIM_THRESHOLD: 128 * 2**20})


def _set(settings: dict[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())
