"""Makes `apply/golden.npz` with the public `demucs==4.1.0`, in an environment of its own.

    pip install demucs==4.1.0      # not in this project's environment: the import name is the same
    python tests/golden/make_apply.py

The tests import this file for the models, signals and cases, and run them through our own
`demucs.apply`. The models are tiny and depend on where a sample lies in its chunk, so that a
chunk that starts one sample off, or is padded differently, gives other numbers.
"""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

GOLDEN = Path(__file__).parent / "apply" / "golden.npz"


class TinyModel(nn.Module):
    """A fixed smoothing filter a source, times a ramp over the chunk it is given.

    Args:
        phase: makes the filters of one instance differ from those of another.
        segment: seconds.
    """

    def __init__(self, phase: float = 0.0, segment: float = 1.0) -> None:
        super().__init__()
        self.sources = ["one", "two", "three"]
        self.audio_channels = 2
        self.samplerate = 100
        self.segment = segment
        self.max_allowed_segment = math.inf
        taps = torch.arange(3 * 2 * 2 * 9, dtype=torch.float64)
        weight = torch.sin(taps * 1.7 + phase).reshape(6, 2, 9) / 4
        self.weight = nn.Parameter(weight.float(), requires_grad=False)

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """`[B, 2, T]` → `[B, 3, 2, T]`."""
        filtered = nn.functional.conv1d(mix, self.weight, padding=4)
        ramp = torch.linspace(0.5, 1.5, mix.shape[-1], dtype=mix.dtype, device=mix.device)
        return (filtered * ramp).view(mix.shape[0], 3, 2, mix.shape[-1])


class FixedGridModel(TinyModel):
    """The same, but it wants lengths of 16 n + 5, so chunks are padded before and cut after."""

    def valid_length(self, length: int) -> int:
        return 16 * math.ceil(max(length - 5, 0) / 16) + 5


def signal(length: int, batch: int = 1) -> torch.Tensor:
    """A deterministic, never repeating mixture `[batch, 2, length]`."""
    position = np.arange(batch * 2 * length, dtype=np.float64)
    wave = np.sin(0.37 * position) + 0.5 * np.sin(0.011 * position**1.5)
    return torch.from_numpy(wave.astype(np.float32).reshape(batch, 2, length))


def cases() -> dict[str, dict[str, Any]]:
    """Name → {"model", "length", "batch", "seed", "options": keywords of apply_model}."""
    found: dict[str, dict[str, Any]] = {}

    def add(model: str, length: int, batch: int = 1, seed: int = 0, **options: Any) -> None:
        parts = [model, str(length), str(batch), str(seed)]
        parts += [f"{key}={value}" for key, value in options.items()]
        found[",".join(parts)] = {
            "model": model,
            "length": length,
            "batch": batch,
            "seed": seed,
            "options": options,
        }

    for model in ("tiny", "grid"):
        for length in (1, 37, 100, 101, 260):
            add(model, length, shifts=0, split=False)
            add(model, length, shifts=0, split=True)
        add(model, 200, shifts=0, split=True, overlap=0.0)
        add(model, 200, shifts=0, split=True, overlap=0.61)
        add(model, 200, batch=2, shifts=0, split=True, overlap=0.5, transition_power=2.0)
        add(model, 150, shifts=0, split=True, segment=0.333)
        add(model, 130, seed=5, shifts=1, split=False)
        add(model, 130, seed=6, shifts=3, split=True)
        add(model, 40, seed=7, shifts=1, split=True, segment=0.5, overlap=0.1)
    add("bag", 120, shifts=0, split=True)
    add("bag", 120, seed=8, shifts=1, split=True)
    return found


def bag_parts() -> tuple[list[nn.Module], list[list[float]]]:
    """Two models and their weights per source, `[model][source]`."""
    return [TinyModel(), FixedGridModel(phase=0.4)], [[1.0, 0.0, 0.25], [2.0, 1.0, 0.5]]


def main() -> None:
    from demucs.apply import BagOfModels, apply_model  # type: ignore[attr-defined,unused-ignore]

    bag = BagOfModels(*bag_parts())
    models = {"tiny": TinyModel(), "grid": FixedGridModel(), "bag": bag}
    arrays = {}
    for name, case in cases().items():
        random.seed(case["seed"])
        mix = signal(case["length"], case["batch"])
        arrays[name] = apply_model(models[case["model"]], mix, **case["options"]).numpy()
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **arrays)  # type: ignore[arg-type,unused-ignore]


if __name__ == "__main__":
    main()
