"""The public Demucs' set of experiments that repeats its published models: `dora grid repro`.

Two families, hybrid and time-domain, with the singular value penalty and two seeds; the time-domain
one also with its parts changed one by one, and beside the model before it.
"""

import os

from dora import Launcher

from demucs.grids._explorers import SeparationExplorer
from demucs.grids._slurm import environment_overrides, set_slurm_options

COMMON = ["ema.epoch=[0.9,0.95]", "ema.batch=[0.9995,0.9999]", "epochs=600"]
PENALTY = ["svd=base2", "svd.penalty=1e-05"]

HYBRID = ["model=hdemucs"]
TIME = ["model=demucs", "demucs.normalize=True"]
BEFORE = ["model=demucs", "demucs.dconv_mode=0", "demucs.gelu=False", "demucs.lstm_layers=2"]

CHANGES = [  # of TIME with PENALTY
    ["ema.epoch=[]", "ema.batch=[]"],
    ["demucs.dconv_lstm=10"],  # past the last layer: none has an LSTM in its branches ...
    ["demucs.dconv_attn=10"],  # ... none has attention ...
    ["demucs.dconv_attn=10", "demucs.dconv_lstm=10", "demucs.lstm_layers=2"],
    ["demucs.dconv_mode=0"],  # ... there are no branches
    ["demucs.gelu=False"],
]


def experiments() -> list[list[str]]:
    """The overrides of each experiment beside `COMMON`, which they come after."""
    overrides = [[*BEFORE, "epochs=360"], TIME]
    for family in (TIME, HYBRID):
        overrides += [[*family, *PENALTY], [*family, *PENALTY, "seed=43"]]
    return overrides + [[*TIME, *PENALTY, *change] for change in CHANGES]


@SeparationExplorer
def explorer(launcher: Launcher) -> None:
    """All of the set, in one job array."""
    set_slurm_options(launcher)
    launcher.bind_(explorer.starts_from(COMMON))
    small = environment_overrides(os.environ)
    with launcher.job_array():
        for words in experiments():
            launcher([*words, *small])
