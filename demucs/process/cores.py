"""The processor cores that this process may use."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds in a period, or "max"


def core_count() -> int:
    """Cores that this process is allowed, at least 1: by its affinity and its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _quota(_QUOTA)
    return cores if quota is None else max(1, min(cores, quota))


def _quota(path: Path) -> int | None:
    """Whole cores of a cgroup's quota, rounded up; None without one."""
    try:
        allowed, period = path.read_text(encoding="ascii").split()
        return None if allowed == "max" else -(-int(allowed) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
