"""HTDemucs and time-domain Demucs against the public implementation (tests/golden/make_others.py).

As for HDemucs: compared in float64, then float32 against that. Positions of the transformer and the
resampling filters of time-domain Demucs are float32 on both sides, so that the last digits differ.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from demucs.nn import Demucs, HTDemucs

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from hdemucs_cases import fill_weights, mixture, probe, run_case  # noqa: E402
from other_cases import CASES, HTDEMUCS  # noqa: E402

CLOSE = 1e-7


def build(name: str) -> torch.nn.Module:
    return (HTDemucs if name in HTDEMUCS else Demucs)(**CASES[name][0])


@pytest.fixture(scope="module", params=list(CASES))
def case(request):
    name = request.param
    golden = np.load(GOLDEN / "others" / f"{name}.npz")
    model = build(name)
    return name, golden, model, run_case(model, name, CASES)


def test_state_dict_keys_and_shapes(case):
    _, golden, model, _ = case
    ours = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert ours == json.loads(str(golden["state"]))


def test_output_and_gradients_in_float64(case):
    _, golden, _, ours = case
    assert ours["shape"].tolist() == golden["shape"].tolist()
    scale = np.abs(golden["samples"]).max()
    assert np.abs(ours["samples"] - golden["samples"]).max() <= CLOSE * scale
    assert ours["norm"] == pytest.approx(float(golden["norm"]), rel=CLOSE)
    norms = golden["gradients"][:, 0]
    assert norms.max() > 0
    for column in (0, 1):  # norm, projection on a fixed direction
        difference = np.abs(ours["gradients"][:, column] - golden["gradients"][:, column])
        assert (difference <= 100 * CLOSE * norms + CLOSE * norms.max()).all()


def test_float32_is_close_to_float64(case):
    name, _, exact, _ = case
    kwargs, batch, length = CASES[name]
    model = build(name).eval()
    fill_weights(model)
    mix = mixture(name, batch, kwargs.get("audio_channels", 2), length)
    out = model(mix.float())
    with torch.no_grad():
        reference = exact(mix)
    assert (out - reference).norm() <= 1e-5 * reference.norm()
    (out * probe("output", tuple(out.shape)).float()).sum().backward()
    both = [
        (ours.grad.flatten().double(), theirs.grad.flatten())
        for ours, theirs in zip(model.parameters(), exact.parameters(), strict=True)
        if theirs.grad is not None
    ]
    ours, expected = (torch.cat(side) for side in zip(*both, strict=True))
    assert (ours - expected).norm() <= 1e-4 * expected.norm()
