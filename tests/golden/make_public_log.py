"""Writes golden logs of the public Demucs: a training that was interrupted, and an evaluation.

    reference/bin/python tests/golden/make_public_log.py

in the environment that `make_training_trace.py` describes. The public package's own solver trains a
small network for four epochs with its singular-value penalty and two moving averages; it is
interrupted in the third and continued, whereupon it says again what it said before. Every line of
`public_logs/training_log.txt` is its own, formatted as Hydra's colorlog does; only the places of
this machine are cut out. Its test stage measures two synthesised songs, which stand in for MUSDB.
`public_logs/hdemucs_small_after_4_epochs_log.txt` is what its evaluation returned, printed.
"""

import importlib.metadata
import logging
import logging.config
import pprint
import random
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import colorlog
import torch
import training_trace_cases as cases
from make_training_trace import REFERENCE, configuration, loaders

FOLDER = Path(__file__).parent / "public_logs"
OVERRIDES = (
    *cases.REDUCED,
    *cases.GROUP,
    "hdemucs.channels=8",
    "svd.min_size=0.01",
    "svd.dim=8",
    "ema.epoch=[]",
    "ema.batch=[0.5,0.9]",
    "test.every=2",
    "test.metric=nsdr",
    "test.workers=0",
    "misc.num_prints=2",
    "optim.lr=0.01",
)
INTERRUPTED = 2 * cases.BATCHES + 3  # after so many batches
FORMAT = (
    "[%(cyan)s%(asctime)s%(reset)s][%(blue)s%(name)s%(reset)s]"
    "[%(log_color)s%(levelname)s%(reset)s] - %(message)s"
)
COLOURS = {"DEBUG": "purple", "INFO": "green", "WARNING": "yellow", "ERROR": "red"}


class Songs:
    """In place of `musdb.DB`: two songs with the attributes that the evaluation reads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.tracks = [self._track(f"test {n}", 3.5 + n) for n in range(2)]

    def __len__(self) -> int:
        return len(self.tracks)

    @staticmethod
    def _track(name: str, seconds: float) -> Any:
        stems = cases.song(name, seconds).numpy()
        targets = {
            source: SimpleNamespace(audio=stem.T)
            for source, stem in zip(cases.SOURCES, stems, strict=True)
        }
        return SimpleNamespace(name=name, audio=stems.sum(0).T, targets=targets)


class Interrupting:
    """Batches, until a job is killed."""

    def __init__(self, inner: Any, left: int) -> None:
        self.inner, self.left = inner, left

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Any:
        for batch in self.inner:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield batch


def train(folder: Path, interrupted: int) -> Any:
    """Trains until the end, or until a batch is the one not to come; returns the solver."""
    from demucs.hdemucs import HDemucs
    from dora.conf import DoraConfig
    from dora.xp import XP
    from omegaconf import OmegaConf

    from demucs import solver as public

    config = configuration(OVERRIDES)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    model = HDemucs(**cases.model_arguments(plain))
    cases.start(model)
    betas = (config.optim.momentum, config.optim.beta2)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.optim.lr, betas=betas)
    xp: Any = XP(dora=DoraConfig(dir=folder), cfg=config, argv=[], sig="small")
    xp.folder.mkdir(parents=True, exist_ok=True)
    random.seed(0)
    torch.manual_seed(0)
    with xp.enter():
        found = loaders()
        found["train"] = Interrupting(found["train"], interrupted)
        solver = public.Solver(found, model, optimiser, config)
        try:
            solver.train()
        except KeyboardInterrupt:
            print(f"interrupted in epoch {len(solver.history) + 1}")
    return solver


def main() -> None:
    if importlib.metadata.version("demucs") != REFERENCE:
        sys.exit(f"this needs demucs=={REFERENCE}, see the head of make_training_trace.py")
    from demucs import evaluate as evaluation

    FOLDER.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    evaluation.musdb.DB = Songs
    log = FOLDER / "training_log.txt"
    with tempfile.TemporaryDirectory() as folder, log.open("w", encoding="utf-8") as stream:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(
            colorlog.ColoredFormatter(FORMAT, log_colors=COLOURS, force_color=True)
        )
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        train(Path(folder), INTERRUPTED)
        solver = train(Path(folder), sys.maxsize)
        logging.getLogger().removeHandler(handler)
        print(solver.history[-1]["test"])
        found = evaluation.evaluate(solver, compute_sdr=True)
        places = folder
    log.write_text(log.read_text(encoding="utf-8").replace(places, ""), encoding="utf-8")
    # The printed dictionary of an evaluation of its own, as pprint and numpy 2 show it.
    (FOLDER / "hdemucs_small_after_4_epochs_log.txt").write_text(pprint.pformat(found) + "\n")


if __name__ == "__main__":
    main()
