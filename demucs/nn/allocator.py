"""Keeping glibc from giving memory back between operations.

Large tensors otherwise come from fresh mappings, and the page faults were measured at a third of
the time of a forward pass on a CPU.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # <malloc.h>
_tuned = False


def tune_allocator() -> bool:
    """Makes glibc's malloc keep and reuse freed memory, for this process and its threads.

    Costs memory: freed blocks stay with the process. To be called by a command at its start, not
    by a library.

    Returns:
        True if the settings are in force, False where there is no glibc.
    """
    global _tuned
    if _tuned:
        return True
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 256 * 2**20))
    _tuned = all(mallopt(parameter, value) == 1 for parameter, value in settings)
    return _tuned
