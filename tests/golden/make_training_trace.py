"""Writes the golden training traces: 20 steps of the public implementation's own solver.

Run it in an environment of its own, since the public package has the same import name:

    python3 -m venv reference
    reference/bin/pip install demucs==4.1.0 dora-search hydra-core hydra-colorlog musdb museval
    reference/bin/python tests/golden/make_training_trace.py

The solver is called as it is: augmentation, step, moving averages, validation, choice of the best.
Put around it, without any part in the arithmetic:

- what it averages over an epoch is recorded at each step;
- each of its augmentations is done a second time from the same state of the generators, on a
  signal that counts samples, which tells origin, crop, swap and gain of each stem: so these draws
  are stored, not the audio;
- the generator is seeded before the penalty of each training step, as our step does, for equal
  random projections;
- its validation averages over one random delay of up to half a second (`shifts=1`), ours has none:
  the delay is fixed to the value at which nothing is delayed;
- the test stage, which needs MUSDB, is left out.
"""

import importlib.metadata
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import training_trace_cases as cases
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "training_trace"
CONF = Path(__file__).resolve().parents[2] / "conf"
REFERENCE = "4.1.0"


class Recorder:
    """Stands in the solver's module for what its steps call, and notes what passes."""

    def __init__(self, solver_module: Any, seed: int) -> None:
        self.module, self.seed = solver_module, seed
        self.measured: list[dict[str, float]] = []
        self.penalties = 0
        self._mean, self._penalty = solver_module.EMA, solver_module.svd_penalty

    def __enter__(self) -> "Recorder":
        self._randint = random.randint
        self._test = self.module.evaluate
        self.module.EMA, self.module.svd_penalty = self.new_mean, self.seeded_penalty
        self.module.evaluate = lambda *args, **kwargs: {}
        random.randint = lambda low, high: high  # type: ignore[assignment]
        return self

    def __exit__(self, *error: object) -> None:
        self.module.EMA, self.module.svd_penalty = self._mean, self._penalty
        self.module.evaluate, random.randint = self._test, self._randint

    def new_mean(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        mean = self._mean(*args, **kwargs)

        def noted(values: dict[str, Any], *more: Any, **named: Any) -> Any:
            self.measured.append({name: float(value) for name, value in values.items()})
            return mean(values, *more, **named)

        return noted

    def seeded_penalty(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("exact"):
            place = divmod(self.penalties, cases.BATCHES)
            self.penalties += 1
            torch.manual_seed(cases.step_seed(self.seed, *place))
        return self._penalty(*args, **kwargs)


class DrawnAugment(nn.Module):
    """The solver's augmentation, which also tells what it drew: `draws[step][example][stem]`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.draws: list[Any] = []

    def forward(self, stems: Tensor) -> Tensor:
        states = torch.get_rng_state(), random.getstate()
        count = stems.shape[0] * stems.shape[-1] * stems.shape[2]
        # 1, 2, 3 ... by example, then sample, then channel: the same for all stems
        numbers = torch.arange(1, count + 1, dtype=torch.float64)
        places = numbers.view(stems.shape[0], stems.shape[-1], stems.shape[2]).permute(0, 2, 1)
        moved = self.inner(places[:, None].expand_as(stems).contiguous())
        self.draws.append([[_draw(stem, stems) for stem in example] for example in moved])
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        result: Tensor = self.inner(stems)
        return result


def _draw(stem: Tensor, stems: Tensor) -> list[float]:
    """`[C, T]` of counted samples to [example it is from, offset, swapped, signed gain]."""
    channels, frames = stems.shape[2], stems.shape[-1]
    gain = np.float32(((stem[0, 1] - stem[0, 0]) / channels).item())
    left = round(float(stem[0, 0]) / float(gain)) - 1
    origin, place = divmod(left, frames * channels)
    return [origin, place // channels, place % channels, float(gain)]


def configuration(overrides: tuple[str, ...]) -> Any:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def loaders() -> dict[str, Any]:
    """The solver's loaders: it takes the batches of an epoch as they come."""

    class Epochs:
        """Batches in the order of the epoch that is iterated for the n-th time."""

        epoch = 0
        segments = cases.segments()

        def __len__(self) -> int:
            return cases.BATCHES

        def __iter__(self) -> Any:
            self.epoch += 1
            for batch in cases.order(self.epoch - 1):
                yield torch.stack([self.segments[number] for number in batch])

    songs = [torch.cat([song.sum(0, keepdim=True), song])[None] for song in cases.valid_songs()]
    return {"train": Epochs(), "valid": songs}


def trace(name: str, folder: Path) -> dict[str, Any]:
    """Everything that the golden file of a case holds."""
    from demucs.hdemucs import HDemucs
    from dora.conf import DoraConfig
    from dora.xp import XP
    from omegaconf import OmegaConf

    from demucs import solver as public

    config = configuration(cases.CASES[name])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    model = HDemucs(**cases.model_arguments(plain))
    cases.start(model)
    first = {key: value.clone() for key, value in model.state_dict().items()}
    betas = (config.optim.momentum, config.optim.beta2)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.optim.lr, betas=betas)
    xp: Any = XP(dora=DoraConfig(dir=folder), cfg=config, argv=[], sig=name)
    xp.folder.mkdir(parents=True)
    random.seed(0)
    torch.manual_seed(0)
    with xp.enter(), Recorder(public, config.seed) as recorder:
        solver = public.Solver(loaders(), model, optimiser, config)
        solver.augment = augment = DrawnAugment(solver.augment)
        solver.train()
    states = {"main": model.state_dict()}
    for kind, some in solver.emas.items():
        states.update({f"ema_{kind}_{place}": one.state for place, one in enumerate(some)})
    squares = [(states["main"][key] - value).square().sum() for key, value in first.items()]
    return {
        "reference": f"demucs=={REFERENCE}, torch=={torch.__version__}",
        "overrides": list(cases.CASES[name]),
        "draws": augment.draws,
        "steps": [one for one in recorder.measured if "grad" in one],
        "epochs": [{"train": epoch["train"], "valid": epoch["valid"]} for epoch in solver.history],
        "movement": float(torch.stack(squares).sum().sqrt()),
        "weights": {key: cases.projections(state, first) for key, state in states.items()},
    }


def rounded(found: Any) -> Any:
    """The same with nine digits, all that float32 has, and without the quantiser's size `ms`."""
    if isinstance(found, dict):
        return {key: rounded(value) for key, value in found.items() if key != "ms"}
    if isinstance(found, list):
        return [rounded(value) for value in found]
    return float(f"{found:.9g}") if isinstance(found, float) else found


def main() -> None:
    if importlib.metadata.version("demucs") != REFERENCE:
        sys.exit(f"this needs demucs=={REFERENCE}, see the head of {Path(__file__).name}")
    FOLDER.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for name in sys.argv[1:] or cases.CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = trace(name, Path(folder))
        text = json.dumps(rounded(found), separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(text)
        print(name, len(text), "bytes,", found["steps"][0], found["steps"][-1])


if __name__ == "__main__":
    main()
