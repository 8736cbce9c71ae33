"""HDemucs against the numbers of the public implementation (see tests/golden/make_hdemucs.py).

The function is compared in float64, where both must agree to rounding. Then our float32 is held
against our float64, so that the promised 1e-5 (output) and 1e-4 (gradients) hold in the precision
people use.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from demucs.nn import HDemucs

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from hdemucs_cases import CASES, fill_weights, mixture, probe, run_case  # noqa: E402


def tolerance(name: str) -> float:
    """The reference takes the mixture's phase with a value of π in float32."""
    kwargs = CASES[name][0]
    takes_phase = not kwargs.get("cac", True) and kwargs.get("wiener_iters", 0) >= 0
    return 1e-7 if takes_phase else 1e-9


def build(name: str) -> HDemucs:
    return HDemucs(**CASES[name][0])


@pytest.fixture(scope="module", params=list(CASES))
def case(request):
    name = request.param
    golden = np.load(GOLDEN / "hdemucs" / f"{name}.npz")
    model = build(name)
    return name, golden, model, run_case(model, name)


def test_state_dict_keys_and_shapes(case):
    _, golden, model, _ = case
    ours = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert ours == json.loads(str(golden["state"]))


def test_output_and_gradients_in_float64(case):
    name, golden, _, ours = case
    close = tolerance(name)
    assert ours["shape"].tolist() == golden["shape"].tolist()
    scale = np.abs(golden["samples"]).max()
    assert np.abs(ours["samples"] - golden["samples"]).max() <= close * scale
    assert ours["norm"] == pytest.approx(float(golden["norm"]), rel=close)
    norms = golden["gradients"][:, 0]
    assert norms.max() > 0
    for column in (0, 1):  # norm, projection on a fixed direction
        difference = np.abs(ours["gradients"][:, column] - golden["gradients"][:, column])
        assert (difference <= 100 * close * norms + close * norms.max()).all()


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
    ours = torch.cat([p.grad.flatten().double() for p in model.parameters()])
    expected = torch.cat([p.grad.flatten() for p in exact.parameters()])
    assert (ours - expected).norm() <= 1e-4 * expected.norm()
