"""The public Demucs' set of experiments that repeats its published models: `dora grid repro`.

Two families, hybrid and time-domain, with the singular value penalty and two seeds; the time-domain
one also with its parts changed one by one, and beside the model before it. Experiments whose model
this version does not have are left out, and counted.
"""

import os

from dora import Launcher
from dora.log import simple_log

from demucs.grids._explorers import SeparationExplorer
from demucs.grids._slurm import as_the_site_has_it, more_overrides
from demucs.nn import MODELS

COMMON = ["ema.epoch=[0.9,0.95]", "ema.batch=[0.9995,0.9999]", "epochs=600"]
PENALTY = ["svd=base", "svd.penalty=1e-05"]

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
    found = [[*BEFORE, "epochs=360"], TIME]
    for family in (TIME, HYBRID):
        found += [[*family, *PENALTY], [*family, *PENALTY, "seed=43"]]
    return found + [[*TIME, *PENALTY, *change] for change in CHANGES]


@SeparationExplorer
def explorer(launcher: Launcher) -> None:
    """What can be trained of the set, in one job array."""
    as_the_site_has_it(launcher)
    launcher.bind_(explorer.starts_from(COMMON))
    tried_in_small = more_overrides(os.environ)
    possible = [words for words in experiments() if can_be_trained(words)]
    left_out = len(experiments()) - len(possible)
    if left_out:
        there = ", ".join(sorted(MODELS))
        simple_log("Grid:", f"left out {left_out} experiments: this version has model={there} only")
    with launcher.job_array():
        for words in possible:
            launcher([*words, *tried_in_small])


def can_be_trained(words: list[str]) -> bool:
    """Whether this version has the model of an experiment."""
    return words[0].removeprefix("model=") in MODELS
