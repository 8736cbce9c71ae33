"""What a training left in its experiment's folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from demucs.release.checkpoint import load_checkpoint


@dataclass(frozen=True)
class Experiment:
    """`outputs/xps/SIGNATURE`."""

    folder: Path

    @property
    def signature(self) -> str:
        return self.folder.name

    @property
    def history(self) -> list[dict[str, Any]]:
        """The metrics of each epoch, without how long it took."""
        epochs = json.loads((self.folder / "history.json").read_text())
        return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in epochs]

    @property
    def epochs_done(self) -> int:
        path = self.folder / "history.json"
        return len(json.loads(path.read_text())) if path.exists() else 0

    @property
    def record(self) -> dict[str, Any]:
        """`run.json`: what the latest run does or did."""
        content: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        return content

    @property
    def checkpoint(self) -> dict[str, Any]:
        return load_checkpoint(self.folder / "checkpoint.th")


def differences(one: Experiment, other: Experiment) -> list[str]:
    """Where two experiments ended differently, be it in a single bit; empty if nowhere.

    Compared are the weights, the optimiser, the moving averages, the best state and the history.
    """
    first, second = one.checkpoint, other.checkpoint
    found = []
    for part in ("model", "optimiser", "averages", "best", "epoch", "batch", "sums"):
        found += _differences(part, first[part], second[part])
    return found + _differences("history", one.history, other.history)


def _differences(name: str, one: Any, other: Any) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [line for key in one for line in _differences(f"{name}.{key}", one[key], other[key])]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [line for place, pair in pairs for line in _differences(f"{name}.{place}", *pair)]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = one.dtype == other.dtype and torch.equal(one, other)
        return [] if same else [f"{name}: tensors that are not equal"]
    return [] if one == other else [f"{name}: {one!r} and {other!r}"]
