"""One run with several seeds: `dora grid seeds --dry_run`.

A difference between two runs says something only where it is larger than what another seed makes.
In the environment: `DEMUCS_GRID_SEEDS`, how many (3) or which (`42,43,44`), and `DEMUCS_GRID_FROM`,
the signature of another run than the group's. The seeds are counted from that of the run, which is
the first one: what is trained already is not trained again. `tools.compare` and `tools.report` show
the runs as one row.
"""

import os

from dora import Launcher

from demucs.errors import ConfigError
from demucs.grids._base_run import base_run
from demucs.grids._explorers import SeparationExplorer
from demucs.grids._slurm import environment_overrides, set_slurm_options

USUAL = "3"


def seeds_of(text: str, first: int) -> list[int]:
    """The seeds that `DEMUCS_GRID_SEEDS` asks for, of a run whose own seed is `first`.

    Raises:
        ConfigError: it is neither a number of seeds nor a list of different ones.

    >>> seeds_of("3", 42), seeds_of("1,7", 42)
    ([42, 43, 44], [1, 7])
    """
    words = (text or USUAL).split(",")
    is_sound = all(word.strip().isdecimal() for word in words)
    seeds = [int(word) for word in words] if is_sound else []
    if len(seeds) == 1:
        seeds = list(range(first, first + seeds[0]))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(
            f"DEMUCS_GRID_SEEDS={text}: give the number of seeds, e.g. 3, or two and more "
            "different ones, e.g. 42,43,44"
        )
    return seeds


@SeparationExplorer
def explorer(launcher: Launcher) -> None:
    """The run with each seed, in one job array."""
    set_slurm_options(launcher)
    run = base_run(launcher, os.environ)
    seeds = seeds_of(os.environ.get("DEMUCS_GRID_SEEDS", ""), int(run.cfg.seed))
    launcher.bind_(explorer.starts_from([*run.argv, *environment_overrides(os.environ)]))
    with launcher.job_array():
        for seed in seeds:
            launcher({"seed": seed})
