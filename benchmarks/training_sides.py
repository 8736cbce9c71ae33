"""One side of `bench_training.py`, in a process of its own.

    PYTHON training_sides.py SIDE DEVICE WEIGHTS OVERRIDE ...      (SIDE: ours or public)

Both sides have the same configuration, initial weights and batches, which are not augmented: the
public solver does that within its step, ours in the processes that read audio. For each line that
comes in on standard input one of JSON goes out (`Answers`).
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as demucs.train does; without effect on public

import torch
from hydra import compose, initialize_config_dir
from meter import peak_memory
from omegaconf import OmegaConf
from torch import Tensor
from training_clock import Clock, convolution_seconds, matrix_peak

CONF = Path(__file__).resolve().parents[1] / "conf"


class Answers:
    """The batches that a training loop goes through, each when it is asked for from outside.

    `step` → seconds of a step; `split` → of its parts, in a step that waits for each; `profile` →
    seconds of the convolutions in a step; `losses N` → the errors of N steps; `penalty` → seconds
    of the penalty with its gradient alone; `memory` → MiB; `peak` → FLOP/s of a matrix product.
    """

    def __init__(self, plain: dict[str, Any], device: torch.device) -> None:
        self.plain, self.clock = plain, Clock(device)
        self.penalty: Callable[[], Tensor] | None = None
        self.estimates: Tensor | None = None  # of the last step
        self.steps = 0
        self.out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what either side prints is no answer

    def __len__(self) -> int:
        return 10**6

    def __iter__(self) -> Iterator[Tensor]:
        print("ready", file=self.out, flush=True)
        for line in sys.stdin:
            request, *arguments = line.split()
            answer: Any
            if request == "losses":
                answer = yield from self._losses(int(arguments[0]))
            elif request in ("step", "split", "profile"):
                answer = yield from getattr(self, f"_{request}")()
            else:
                answer = self._other(request)
            print(json.dumps(answer), file=self.out, flush=True)

    def _step(self) -> Iterator[Tensor]:
        batch = self._batch()
        self.clock.wait()
        began = time.perf_counter()
        yield batch
        self.clock.wait()
        return time.perf_counter() - began

    def _split(self) -> Iterator[Tensor]:
        with self.clock.running() as seconds:
            whole = yield from self._step()
        return {**seconds, "rest": whole - sum(seconds.values())}

    def _profile(self) -> Iterator[Tensor]:
        with convolution_seconds(self.clock.device) as seconds:
            yield from self._step()
        return seconds[0]

    def _losses(self, count: int) -> Iterator[Tensor]:
        losses = []
        for _ in range(count):
            batch = self._batch()
            yield batch
            assert self.estimates is not None
            losses.append(
                float((self.estimates.float() - batch.to(self.estimates.device)).abs().mean())
            )
        return losses

    def _other(self, request: str) -> float | None:
        if request == "memory":
            return peak_memory(self.clock.device)
        if request == "peak":
            return matrix_peak(self.plain["precision"], self.clock.device)
        assert request == "penalty"
        return self._penalty_seconds()

    def _penalty_seconds(self) -> float | None:
        if self.penalty is None:
            return None
        self.clock.wait()
        began = time.perf_counter()
        value = self.penalty()
        if not isinstance(value, Tensor) or not value.requires_grad:
            return None  # no weight is large enough
        value.backward()
        self.clock.wait()
        return time.perf_counter() - began

    def _batch(self) -> Tensor:
        """`[B, S, C, T]`: another each time, the same on both sides; notes and bursts of noise."""
        plain, dset = self.plain, self.plain["dset"]
        random = torch.Generator().manual_seed(self.steps)
        self.steps += 1
        size, stems, channels = plain["batch_size"], len(dset["sources"]), dset["channels"]
        frames = round((dset["segment"] - dset["shift"]) * dset["samplerate"])
        time_axis = torch.arange(frames) / dset["samplerate"]
        pitch = 2 ** (
            torch.rand(size, stems, 1, 1, generator=random) + 6 + torch.arange(stems)[:, None, None]
        )
        notes = torch.sin(2 * torch.pi * pitch * time_axis)
        noise = torch.randn(size, stems, channels, frames, generator=random)
        share = torch.linspace(1, 0, stems)[:, None, None]  # of noise, from first stem to last
        beats = (torch.sin(2 * torch.pi * 2 * time_axis) > 0).float()
        return 0.2 * (share * noise * beats + (1 - share) * notes)


def watched(called: Callable[..., Tensor], answers: Answers) -> Callable[..., Tensor]:
    """The model as it is called, whose output is kept for `losses`."""

    def call(*inputs: Tensor) -> Tensor:
        answers.estimates = None
        estimates = called(*inputs)
        answers.estimates = estimates.detach()
        return estimates

    return answers.clock.timed(call, "forward")


def arguments(plain: dict[str, Any]) -> dict[str, Any]:
    dset = plain["dset"]
    return {**plain["hdemucs"], "sources": dset["sources"], "audio_channels": dset["channels"],
            "samplerate": dset["samplerate"], "segment": float(dset["segment"])}  # fmt: skip


def public(config: Any, plain: dict[str, Any], weights: str, answers: Answers) -> None:
    """The public solver as it is, without its augmentation."""
    from demucs.hdemucs import HDemucs
    from dora.conf import DoraConfig
    from dora.xp import XP

    from demucs import ema
    from demucs import solver as room

    device, clock = answers.clock.device, answers.clock
    if plain["precision"] == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    model = HDemucs(**arguments(plain)).to(device)
    model.load_state_dict(torch.load(weights, weights_only=True))
    betas = (config.optim.momentum, config.optim.beta2)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.optim.lr, betas=betas)
    OmegaConf.set_struct(config, False)
    del config.svd.warm  # all other keys are arguments of its penalty
    if config.svd.penalty > 0:
        options = {key: value for key, value in config.svd.items() if key != "penalty"}
        penalise = room.svd_penalty
        answers.penalty = lambda: config.svd.penalty * penalise(model, **options)
    clock.wrap(room, "svd_penalty", "penalty")
    clock.wrap(ema.ModelEMA, "update", "averages")
    clock.wrap(optimiser, "step", "optimiser")
    with tempfile.TemporaryDirectory() as folder:
        xp: Any = XP(dora=DoraConfig(dir=folder), cfg=config, argv=[], sig="bench")
        xp.folder.mkdir(parents=True)
        with xp.enter():
            solver = room.Solver({"train": answers, "valid": []}, model, optimiser, config)
            solver.augment = torch.nn.Identity()
            solver.dmodel = watched(solver.dmodel, answers)
            solver.train()


def ours(plain: dict[str, Any], weights: str, answers: Answers) -> None:
    """What `demucs.training.stages.train` does with a batch."""
    from demucs.data.batch import Batch
    from demucs.nn import HDemucs
    from demucs.nn.allocator import tune_allocator
    from demucs.training import read_config
    from demucs.training import step as room
    from demucs.training.optim.optimizer import build_optimiser
    from demucs.training.optim.precision import compiled
    from demucs.training.optim.svd import svd_penalty
    from demucs.training.state import new_averages

    tune_allocator()
    device, clock = answers.clock.device, answers.clock
    options = read_config(plain).options
    model = HDemucs(**arguments(plain)).to(device).train()
    model.load_state_dict(torch.load(weights, weights_only=True))
    optimiser = build_optimiser(model.parameters(), options.optim)
    called = compiled(model) if options.compile else model
    step = room.Step(called, model, optimiser, options, options.dset.sources)
    step.model = watched(called, answers)  # type: ignore[assignment]
    averages, _ = new_averages(options.ema)
    if options.svd.penalty > 0:
        leading = step.leading if options.svd.warm else None
        answers.penalty = lambda: (
            options.svd.penalty * svd_penalty(model, options.svd, leading=leading)
        )
    clock.wrap(room, "svd_penalty", "penalty")
    clock.wrap(optimiser, "step", "optimiser")
    for average in averages.values():
        clock.wrap(average, "update", "averages")
    for number, stems in enumerate(answers):
        step(Batch.of(stems).to(device), 0, number)
        for average in averages.values():
            average.update(model)


def main(side: str, device: str, weights: str, *overrides: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(overrides))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    torch.manual_seed(0)
    answers = Answers(plain, torch.device(device))
    if side == "public":
        public(config, plain, weights, answers)
    else:
        ours(plain, weights, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
