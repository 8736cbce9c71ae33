"""torchaudio's weights in our HDemucs: the numbers that torchaudio's class has, without it."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from demucs.release.torchaudio_weights import HDEMUCS_HIGH, load_torchaudio

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from hdemucs_cases import fill_weights, mixture, positions  # noqa: E402
from make_torchaudio import CASES  # noqa: E402


@pytest.mark.parametrize("name", CASES)
def test_mapped_weights_have_torchaudios_numbers(name):
    shapes = json.loads((GOLDEN / "torchaudio" / "names.json").read_text())[name]
    state = {key: torch.empty(shape) for key, shape in shapes.items()}
    fill_weights(SimpleNamespace(named_parameters=state.items))
    kwargs, length = CASES[name]
    spec = replace(HDEMUCS_HIGH, kwargs={**HDEMUCS_HIGH.kwargs, **kwargs})
    model = load_torchaudio(state, spec).double().eval()
    with torch.no_grad():
        out = model(mixture(name, 1, 2, length)).numpy().ravel()
    expected = np.load(GOLDEN / "torchaudio" / "expected.npz")[name]
    assert np.abs(out[positions(out.size)] - expected).max() <= 1e-9 * np.abs(expected).max()
