"""The group's run and what each of its choices is worth: `dora grid repro --dry_run`."""

from dora import Launcher

from demucs.grids._explorers import SeparationExplorer

GROUP_RUN = [  # signature aa9b63ad
    "epochs=390",
    "test.every=100",
    "batch_size=32",
    "model=hdemucs",
    "hdemucs.norm_starts=100",
    "hdemucs.cac=False",
    "hdemucs.hybrid_old=True",
    "hdemucs.dconv_lstm=4",
    "test.split=True",
    "valid_apply=True",
    "ema.epoch=[0.9,0.95]",
    "ema.batch=[0.9995,0.9999]",
    "seed=42",
    "svd=base",
    "svd.penalty=1e-05",
    "svd.dim=80",
    "svd.convtr=True",
    "optim.lr=0.0003",
]


@SeparationExplorer
def explorer(launcher: Launcher) -> None:
    """One job each: the run itself, then with one choice taken back."""
    launcher.slurm_(gpus=8)
    launcher.bind_(GROUP_RUN)
    launcher()
    launcher({"hdemucs.cac": True})
    launcher({"hdemucs.norm_starts": 4})
    launcher({"svd.penalty": 0})
    launcher({"batch_size": 64})
