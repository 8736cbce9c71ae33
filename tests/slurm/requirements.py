"""What has to be installed for a cluster of our own, by Debian's names."""

import os
import shutil
import sys

PROGRAMS = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "scancel": "slurm-client",
    "scontrol": "slurm-client",
    "sinfo": "slurm-client",
    "squeue": "slurm-client",
    "srun": "slurm-client",
}


def search_path() -> str:
    """PATH, and where daemons lie, which an ordinary user's PATH may lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing_packages(path: str | None = None) -> list[str]:
    """Each package of which a program is not on `path`, with those programs; empty if all are.

    As `["slurmd (slurmd)", "slurm-client (sbatch, srun)"]`.
    """
    if sys.platform != "linux":
        return [f"Linux (this is {sys.platform})"]
    lacking: dict[str, list[str]] = {}
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=search_path() if path is None else path) is None:
            lacking.setdefault(package, []).append(program)
    return [f"{package} ({', '.join(programs)})" for package, programs in lacking.items()]
