"""Fine-tuning of a finished run, one job for each source: `dora grid finetune_sources --dry_run`.

In the environment: `DEMUCS_GRID_FROM` (signature of the finished run; without it, the group's) and
`DEMUCS_GRID_MIXES` (folder of `tools.automix`; without it, `mixes`). docs/finetuning.md has all
commands, up to the bag.
"""

import os

from dora import Launcher

from demucs.grids._base_run import base_run
from demucs.grids._explorers import SeparationExplorer
from demucs.grids._finetune import continued, one_source
from demucs.grids._slurm import environment_overrides, set_slurm_options


@SeparationExplorer
def explorer(launcher: Launcher) -> None:
    """One experiment for each source, in one job array, in the order of `dset.sources`."""
    set_slurm_options(launcher)
    run = base_run(launcher, os.environ)
    mixes = os.environ.get("DEMUCS_GRID_MIXES") or "mixes"
    sources = list(run.cfg.dset.sources)
    overrides = [*continued(run.argv, run.sig, mixes), *environment_overrides(os.environ)]
    launcher.bind_(explorer.starts_from(overrides))
    with launcher.job_array():
        for index in range(len(sources)):
            launcher(one_source(index, sources))
