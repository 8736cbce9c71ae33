"""SLURM options of a grid: those of `slurm_scripts/train_slurm.sh`, with the options of the site.

Partition, account, time and the like are in the environment, by `. slurm_scripts/site.env`, under
the names that sbatch itself reads (`SBATCH_PARTITION`, ...) and prefers to those in a job's script.
Dora would add the partition and the memory of its authors' cluster: both are removed.
"""

import os
import shlex
from collections.abc import Mapping

from dora import Launcher
from dora.conf import SlurmConfig

from demucs.errors import ConfigError

TASKS = 8  # as many as the group's run has, one GPU each
CPUS_PER_TASK = 8
GPUS_PER_NODE = 8  # Dora takes another node past so many


def set_slurm_options(launcher: Launcher) -> None:
    """Asks SLURM for eight tasks with a GPU each, or for what the environment says.

    Options of `dora grid` count more: `-g` (GPUs), `-p` (partition), `--constraint`.

    Raises:
        ConfigError: `DEMUCS_GRID_CPU_TASKS` is not a number of tasks.
    """
    asked, usual = launcher._slurm, SlurmConfig()
    gpus = TASKS if asked.gpus == usual.gpus else asked.gpus
    tasks = cpu_tasks(os.environ)
    launcher.slurm_(
        mem_per_gpu=0,  # sbatch's, or the cluster's own default
        partition=None if asked.partition == usual.partition else asked.partition,
        constraint=asked.constraint or None,
        setup=[*asked.setup, *setup(os.environ, tasks or gpus)],
    )
    if tasks:
        each = [f"--ntasks={tasks}", f"--ntasks-per-node={tasks}", "--cpus-per-task=1"]
        launcher.slurm_(gpus=0, cpus_per_task=tasks, srun_args=each)
        return
    launcher.slurm_(gpus=gpus, cpus_per_gpu=CPUS_PER_TASK)
    kind = os.environ.get("DEMUCS_GPU_TYPE")
    if kind:  # Dora's own request has no place for it
        os.environ["SBATCH_GRES"] = f"gpu:{kind}:{min(gpus, GPUS_PER_NODE)}"


def cpu_tasks(environ: Mapping[str, str]) -> int:
    """Tasks without GPU of each experiment, by `DEMUCS_GRID_CPU_TASKS`; 0: train on GPUs.

    Raises:
        ConfigError: it is not a positive number.
    """
    text = environ.get("DEMUCS_GRID_CPU_TASKS", "")
    if not text:
        return 0
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(
            f"DEMUCS_GRID_CPU_TASKS={text}: give the number of CPU tasks of an experiment, e.g. 8, "
            "or unset it to train on GPUs"
        )
    return int(text)


def environment_overrides(environ: Mapping[str, str]) -> list[str]:
    """Overrides for every experiment of a grid, in `DEMUCS_GRID_OVERRIDES`, e.g. for a small model.

    Raises:
        ConfigError: they are not KEY=VALUE, quoted as for a shell.
    """
    text = environ.get("DEMUCS_GRID_OVERRIDES", "")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"DEMUCS_GRID_OVERRIDES={text}: {error}; quote as for a shell") from None
    for word in words:
        if "=" not in word:
            raise ConfigError(f"DEMUCS_GRID_OVERRIDES: {word!r} is not KEY=VALUE, such as epochs=2")
    return words


def setup(environ: Mapping[str, str], tasks: int) -> list[str]:
    """Lines of shell before the training starts, as the scripts have them."""
    folder = os.path.abspath(environ.get("DEMUCS_SOUNDTOUCH") or "soundtouch/build")
    return [
        f"export DEMUCS_WORLD_SIZE={tasks}",
        # Since SLURM 22.05 srun would otherwise give each task a single core.
        'export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"',
        # When one task ends, the others have seconds to end, where Dora has them killed.
        "export SLURM_KILL_BAD_EXIT=0 SLURM_WAIT=8",
        f'export PATH={shlex.quote(folder)}:"$PATH"',
    ]
