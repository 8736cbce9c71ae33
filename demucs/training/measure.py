"""The time of a training step on this machine, measured before a run."""

import time
from statistics import median

import torch

from demucs.nn import build_model
from demucs.nn.allocator import tune_allocator
from demucs.training.optim.optimizer import build_optimiser, parameter_groups
from demucs.training.run_config import RunConfig
from demucs.training.step import Step

WARM_UP = 2  # steps that are not counted


def seconds_per_step(run: RunConfig, *, patience: float = 12.0, steps: int = 12) -> float:
    """Median seconds of a training step on the CPU, on a batch of noise.

    Args:
        run: the configuration.
        patience: seconds after which no further step is made; one is measured in any case.
        steps: most that are measured.
    """
    tune_allocator()
    options, dset = run.options, run.options.dset
    model = build_model(run.spec).train()
    optimiser = build_optimiser(parameter_groups(model), options.optim)
    step = Step(model, model, optimiser, options, dset.sources)
    length = int(dset.segment * dset.samplerate)
    shape = (options.batch_size, len(dset.sources), dset.channels, length)
    examples = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.1
    seconds: list[float] = []
    began = time.monotonic()
    while len(seconds) < WARM_UP + 1 or (
        len(seconds) < WARM_UP + steps and time.monotonic() - began < patience
    ):
        start = time.monotonic()
        step(examples, 0, len(seconds))
        seconds.append(time.monotonic() - start)
    return median(seconds[WARM_UP:])
