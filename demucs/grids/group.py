"""The group's run and its ablations: `dora grid group --dry_run`.

Each experiment after the first is the run with one choice reverted, and the last one is the run
with another seed: a difference smaller than that between the seeds says nothing.
"""

import os
from typing import Any

from dora import Launcher

from demucs.grids._explorers import SeparationExplorer
from demucs.grids._group_run import group_run
from demucs.grids._slurm import environment_overrides, set_slurm_options

ABLATIONS: list[dict[str, Any]] = [
    {"hdemucs.cac": True},  # complex as channels instead of amplitudes
    {"hdemucs.hybrid_old": False},
    {"hdemucs.norm_starts": 4},  # group norm from the fifth layer on
    {"svd.penalty": 0},  # but Adam's beta2 still is that of svd=base
    {"svd.convtr": False},
    {"ema.epoch": [], "ema.batch": []},
    {"batch_size": 64},
    {"seed": 43},
]


@SeparationExplorer
def explorer(launcher: Launcher) -> None:
    """The run and its ablations, in one job array."""
    set_slurm_options(launcher)
    launcher.bind_(explorer.starts_from([*group_run(), *environment_overrides(os.environ)]))
    with launcher.job_array():
        launcher()
        for ablation in ABLATIONS:
            launcher(ablation)
