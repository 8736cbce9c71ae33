"""`apply_model` gives the numbers of the public Demucs 4.1.0 (`tests/golden/make_apply.py`)."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from demucs.apply import apply_model
from demucs.apply.stream import apply_blocks


def _load_cases() -> ModuleType:
    path = Path(__file__).parents[1] / "golden" / "make_apply.py"
    spec = importlib.util.spec_from_file_location("make_apply", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_apply = _load_cases()
GOLDEN = np.load(make_apply.GOLDEN)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        models, self.weights = make_apply.bag_parts()
        self.models = nn.ModuleList(models)


MODELS = {"tiny": make_apply.TinyModel(), "grid": make_apply.FixedGridModel(), "bag": Bag()}


def test_every_golden_output_is_compared() -> None:
    assert sorted(GOLDEN.files) == sorted(make_apply.cases())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", list(make_apply.cases()))
def test_same_numbers(name: str, workers: int) -> None:
    case = make_apply.cases()[name]
    stems = apply_model(
        MODELS[case["model"]],
        make_apply.signal(case["length"], case["batch"]),
        seed=case["seed"],
        num_workers=workers,
        **case["options"],
    )
    torch.testing.assert_close(stems, torch.from_numpy(GOLDEN[name]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "name", [name for name, case in make_apply.cases().items() if case["batch"] == 1]
)
def test_same_numbers_block_by_block(name: str) -> None:
    case = make_apply.cases()[name]
    mix = torch.as_tensor(make_apply.signal(case["length"], 1))[0]
    blocks = apply_blocks(
        MODELS[case["model"]],
        mix.split(33, dim=-1),
        case["length"],
        seed=case["seed"],
        **case["options"],
    )
    stems = torch.cat([block.stems for block in blocks], dim=-1)
    torch.testing.assert_close(stems, torch.from_numpy(GOLDEN[name])[0], rtol=0, atol=1e-6)
