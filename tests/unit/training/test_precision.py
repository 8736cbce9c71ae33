"""Micro-batches, mixed precision, learning rate of a step: the same step, cut or rounded."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_support import SOURCES, tiny_config

from demucs.errors import ConfigError
from demucs.nn import build_model
from demucs.training import read_config
from demucs.training.optim.optimizer import load_optimiser
from demucs.training.optim.precision import Precision
from demucs.training.step import MAX_SKIPPED, DivergedError, Step


def stems(seed: int = 0) -> Tensor:
    """`[4, 4, 2, 4000]`."""
    return 0.1 * torch.randn(4, 4, 2, 4000, generator=torch.Generator().manual_seed(seed))


def trained(folder: Path, *overrides: str, steps: int = 3) -> tuple[nn.Module, list[dict], Step]:
    """A tiny model after some steps, and what they measured."""
    run = read_config(tiny_config(folder, *overrides))
    torch.manual_seed(0)
    model = build_model(run.spec)
    optimiser = torch.optim.Adam(model.parameters(), lr=run.options.optim.lr)
    step = Step(model, model, optimiser, run.options, SOURCES)
    return model, [step(stems(k), 0, k) for k in range(steps)], step


def keep_stepping(step: Step, batch: Tensor) -> None:
    for k in range(100):
        step(batch, 1, k)


def distance(one: nn.Module, other: nn.Module) -> float:
    """Largest difference of a weight."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_micro_batches_add_up_to_the_batch(tmp_path: Path, size: int) -> None:
    penalised = ("svd.penalty=1e-3", "svd.min_size=0")
    whole, losses, _ = trained(tmp_path, *penalised, steps=1)
    cut, same, _ = trained(tmp_path, *penalised, f"micro_batch={size}", steps=1)
    assert same[0] == pytest.approx(losses[0], rel=1e-4)
    gradients = [torch.cat([p.grad.flatten() for p in m.parameters()]) for m in (whole, cut)]
    error = float((gradients[0] - gradients[1]).norm() / gradients[0].norm())
    assert error < 1e-4


def test_sixteen_bits_are_near_and_leave_the_weights_in_thirty_two(tmp_path: Path) -> None:
    full, losses, _ = trained(tmp_path)
    half, near, _ = trained(tmp_path, "precision=bf16")
    assert near[-1]["loss"] == pytest.approx(losses[-1]["loss"], rel=0.02)
    assert near[-1]["loss"] != losses[-1]["loss"]
    assert 0 < distance(full, half) < 5e-3
    assert all(parameter.dtype == torch.float32 for parameter in half.parameters())


def test_a_scaled_loss_gives_gradients_without_the_scale(tmp_path: Path) -> None:
    _, losses, _ = trained(tmp_path)
    _, near, step = trained(tmp_path, "precision=fp16")
    assert near[0]["grad"] == pytest.approx(losses[0]["grad"], rel=0.02)
    assert step.state_dict()["precision"]["scale"] == 65536.0


@pytest.mark.long
def test_a_scale_that_is_too_large_falls_and_is_not_held_against_the_run(tmp_path: Path) -> None:
    model, _, step = trained(tmp_path, "precision=fp16", steps=1)
    state = step.state_dict()
    state["precision"]["scale"] = 2.0**40
    step.load_state_dict(state)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    found = [step(stems(), 0, k) for k in range(MAX_SKIPPED + 3)]
    assert found[MAX_SKIPPED] == {"skipped": 1.0}
    assert step.state_dict()["precision"]["scale"] == 2.0 ** (40 - MAX_SKIPPED - 3)
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    bad = torch.full_like(stems(), torch.nan)
    with pytest.raises(DivergedError):
        keep_stepping(step, bad)


def test_the_rate_of_a_step_is_a_share_of_the_configured_one(tmp_path: Path) -> None:
    model, _, step = trained(tmp_path, steps=1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    step(stems(), 0, 1, rate=0.0)
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    step(stems(), 0, 2, rate=0.5)
    assert step.optimiser.param_groups[0]["lr"] == pytest.approx(0.5 * 3e-4)


def test_another_attempt_draws_other_numbers(tmp_path: Path) -> None:
    def penalty(attempt: int) -> float:
        switches = ("svd.penalty=1", "svd.min_size=0", "svd.warm=false")
        _, _, step = trained(tmp_path, *switches, steps=0)
        return step(stems(), 0, 0, attempt=attempt)["penalty"]

    assert penalty(0) == penalty(0)
    assert penalty(0) != penalty(1)


def test_tensor_float_needs_a_gpu() -> None:
    with pytest.raises(ConfigError, match="precision=tf32 needs a GPU"):
        Precision("tf32", "cpu")


def test_a_state_of_before_optimisers_were_fused_goes_on(tmp_path: Path) -> None:
    """With a scaled loss too, which hands a fused optimiser what others refuse."""
    _, _, step = trained(tmp_path, "precision=fp16", steps=2)
    state = step.optimiser.state_dict()
    old = {**state, "param_groups": [{**group, "fused": None} for group in state["param_groups"]]}
    load_optimiser(step.optimiser, old)
    assert step.optimiser.param_groups[0]["fused"] is True
    assert "skipped" not in step(stems(), 0, 2)
