"""One side of `bench_training.py`: a training step for each line that comes in on standard input.

    python training_sides.py SIDE OVERRIDE ...      (SIDE: ours or public)

After each step the seconds it took go out as a line. Both sides have the same configuration, model
and batches, which are not augmented: the public solver does that within its step, ours in the
processes that read audio.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as demucs.train does; without effect on public

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

CONF = Path(__file__).resolve().parents[1] / "conf"


class Paced:
    """Batches that come when they are asked for from outside; tells how long each was worked on."""

    def __init__(self, batch: Tensor, answers: Any) -> None:
        self.batch, self.answers = batch, answers

    def __len__(self) -> int:
        return 10**6

    def __iter__(self) -> Iterator[Tensor]:
        print("ready", file=self.answers, flush=True)
        for _ in sys.stdin:
            began = time.perf_counter()
            yield self.batch
            print(time.perf_counter() - began, file=self.answers, flush=True)


def arguments(plain: dict[str, Any]) -> dict[str, Any]:
    dset = plain["dset"]
    return {**plain["hdemucs"], "sources": dset["sources"], "audio_channels": dset["channels"],
            "samplerate": dset["samplerate"], "segment": float(dset["segment"])}  # fmt: skip


def public(config: Any, plain: dict[str, Any], paced: Paced) -> None:
    """The public solver as it is, without its augmentation."""
    from demucs.hdemucs import HDemucs
    from dora.conf import DoraConfig
    from dora.xp import XP

    from demucs import solver as room

    model = HDemucs(**arguments(plain))
    betas = (config.optim.momentum, config.optim.beta2)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.optim.lr, betas=betas)
    with tempfile.TemporaryDirectory() as folder:
        xp: Any = XP(dora=DoraConfig(dir=folder), cfg=config, argv=[], sig="bench")
        xp.folder.mkdir(parents=True)
        with xp.enter():
            solver = room.Solver({"train": paced, "valid": []}, model, optimiser, config)
            solver.augment = torch.nn.Identity()
            solver.train()


def ours(plain: dict[str, Any], paced: Paced) -> None:
    """What `demucs.training.learn` does with a batch."""
    from demucs.nn import HDemucs
    from demucs.nn.allocator import tune_allocator
    from demucs.training import read_config
    from demucs.training.optim import build_optimiser
    from demucs.training.state import new_averages
    from demucs.training.step import Step

    tune_allocator()
    options = read_config(plain).options
    model = HDemucs(**arguments(plain)).train()
    optimiser = build_optimiser(model.parameters(), options.optim)
    called = torch.compile(model, dynamic=False) if options.compile else model
    step = Step(called, model, optimiser, options, options.dset.sources)
    averages, _ = new_averages(options.ema)
    for number, stems in enumerate(paced):
        step(stems, 0, number)
        for average in averages.values():
            average.update(model)


def main(side: str, *overrides: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what either side prints is none
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(overrides))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    torch.manual_seed(0)
    dset = plain["dset"]
    frames = round(dset["segment"] * dset["samplerate"])
    batch = 0.1 * torch.randn(plain["batch_size"], len(dset["sources"]), dset["channels"], frames)
    paced = Paced(batch, answers)
    if side == "public":
        public(config, plain, paced)
    else:
        ours(plain, paced)


if __name__ == "__main__":
    main(*sys.argv[1:])
