"""The environment of a run: the machine, the versions and the commit, for its record.

Asks the operating system and package metadata alone: no torch is imported here.
"""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import demucs
from demucs.process.cores import core_count

PACKAGES = ("torch", "numpy", "dora-search", "hydra-core", "julius", "museval", "soundfile")
_REPOSITORY = Path(__file__).resolve().parents[2]


def describe(devices: Iterable[str] = ()) -> dict[str, Any]:
    """The environment of this process, as plain JSON.

    Args:
        devices: names of the accelerators in use.

    Returns:
        `commit` (of the code, with `+changes` where it differs from it; None outside a checkout),
        `versions` of Python and packages, `platform`, `processor`, `cores` that this process may
        use, `memory_gib`, and `devices`.
    """
    return {
        "commit": _commit(),
        "versions": {"demucs": demucs.__version__, "python": platform.python_version()}
        | {name: version for name in PACKAGES if (version := _version(name))},
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": core_count(),
        "memory_gib": _memory(),
        "devices": list(devices),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    if not (_REPOSITORY / ".git").exists():
        return None
    try:
        commit = _git("rev-parse", "HEAD").strip()
        return f"{commit}+changes" if _git("status", "--porcelain", "-uno").strip() else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_REPOSITORY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
