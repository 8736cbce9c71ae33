"""Losses, averages, moving averages, the penalty, the step's arithmetic."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from training_support import tiny_config

from demucs.errors import ConfigError
from demucs.training import read_config
from demucs.training.config.schema import OptimConfig, SvdConfig, TrainConfig
from demucs.training.distributed.averages import Averages
from demucs.training.losses import stem_losses, weighted_mean
from demucs.training.optim.ema import WeightAverage, best_name, is_better, swapped_state
from demucs.training.optim.optimizer import build_optimiser, gradients, norm_of
from demucs.training.optim.svd import penalised_matrices, penalty_applies, svd_penalty
from demucs.training.step import MAX_SKIPPED, Step, place_seed

SVD = SvdConfig(
    penalty=1, min_size=0, dim=8, niters=4, powm=False, proba=1, conv_only=False, convtr=True, bs=4,
    warm=False,
)  # fmt: skip


def svd_config(**changes: object) -> SvdConfig:
    from dataclasses import replace

    return replace(SVD, **changes)  # type: ignore[arg-type]


# --- losses ---


def test_losses_are_means_over_batch_channels_and_time() -> None:
    references = torch.zeros(2, 3, 2, 5)
    estimates = references.clone()
    estimates[0, 1] = 2.0  # half of the batch
    assert stem_losses(estimates, references, "l1").tolist() == [0, 1, 0]
    assert stem_losses(estimates, references, "mse").tolist() == [0, 2, 0]


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), st.floats(0.1, 10))
def test_a_common_factor_of_the_weights_changes_nothing(weights: list[float], k: float) -> None:
    values = torch.tensor([1.0, 5.0, -2.0], dtype=torch.float64)
    expected = np.average(values.numpy(), weights=weights)
    assert float(weighted_mean(values, weights)) == pytest.approx(expected)
    assert float(weighted_mean(values, [k * w for w in weights])) == pytest.approx(expected)


def test_averages_weigh_and_can_be_continued() -> None:
    averages = Averages()
    averages.update({"a": 1.0})
    more = Averages(averages.sums)
    more.update({"a": 4.0, "b": 3.0}, weight=2)
    assert more.means() == {"a": 3.0, "b": 3.0}
    assert Averages().means() == {}


# --- moving averages ---


@settings(deadline=None)
@given(st.floats(0, 0.999), st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_the_moving_average_is_its_weighted_sum(decay: float, values: list[float]) -> None:
    model = nn.Linear(1, 1, bias=False).double()
    average = WeightAverage(decay)
    for value in values:
        nn.init.constant_(model.weight, value)
        average.update(model)
    weights = [decay ** (len(values) - 1 - i) for i in range(len(values))]
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert average.state["weight"].item() == pytest.approx(expected, abs=1e-9)


def test_counters_are_taken_as_they_are_and_saved_state_goes_on() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightAverage(0.9)
    average.update(model)
    model(torch.randn(4, 2))
    copy = WeightAverage(0.1)
    copy.load_state_dict(average.state_dict())
    average.update(model)
    copy.update(model)
    assert average.state["num_batches_tracked"] == 1
    assert copy.decay == 0.9
    assert all(torch.equal(average.state[name], copy.state[name]) for name in average.state)


def test_a_swapped_state_is_given_back_even_after_an_error() -> None:
    model = nn.Linear(2, 2)
    own = {name: value.clone() for name, value in model.state_dict().items()}
    zeros = {name: torch.zeros_like(value) for name, value in own.items()}
    inside = []

    def fail() -> None:
        with swapped_state(model, zeros):
            inside.append(bool(model.weight.any()))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == [False]
    assert all(torch.equal(own[name], value) for name, value in model.state_dict().items())


# --- what is best ---


def test_losses_are_better_low_and_ratios_high() -> None:
    assert is_better("loss", 1.0, None)
    assert is_better("loss", 1.0, 2.0)
    assert not is_better("loss", 1.0, 1.0)
    assert is_better("nsdr_bass", 2.0, 1.0)
    assert not is_better("nsdr", math.nan, None)


def test_the_best_name_is_the_first_of_the_best_finite_ones() -> None:
    found = {"main": {"nsdr": math.nan}, "a": {"nsdr": 1.0}, "b": {"nsdr": 3.0}, "c": {"nsdr": 3.0}}
    assert best_name("nsdr", found) == "b"
    assert best_name("nsdr", {"main": {"nsdr": math.nan}}) == "main"


# --- penalty ---


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 5, (3, 1))
        self.transposed = nn.ConvTranspose1d(4, 7, 3)
        self.linear = nn.Linear(9, 4)
        self.lstm = nn.LSTM(5, 3, bidirectional=True)
        self.norm = nn.GroupNorm(1, 8)


def exact_sum(matrices: list[Tensor]) -> float:
    return sum(torch.linalg.svdvals(matrix.detach())[0].item() ** 2 for matrix in matrices)


def test_penalised_matrices_are_those_asked_for() -> None:
    layers = Layers()
    shapes = [tuple(m.shape) for m in penalised_matrices(layers, min_size=0, convtr=True)]
    assert shapes[:3] == [(5, 18), (7, 12), (4, 9)]
    assert shapes[3:] == [(12, 5), (12, 3)] * 2
    turned = penalised_matrices(layers, min_size=0)[1]
    assert tuple(turned.shape) == (4, 21)
    assert len(penalised_matrices(layers, min_size=0, conv_only=True)) == 2
    assert penalised_matrices(layers, min_size=0.1) == []
    assert len(penalised_matrices(layers, min_size=90 / 2**18)) == 1  # 5·6·3 floats, in MB


@pytest.mark.parametrize(
    ("config", "tolerance"),
    [
        (svd_config(), 1e-4),
        (svd_config(dim=3, niters=30), 1e-3),
        (svd_config(powm=True, niters=200, bs=2), 1e-3),
    ],
)
def test_the_estimate_is_that_of_linalg(config: SvdConfig, tolerance: float) -> None:
    torch.manual_seed(0)
    layers = Layers()
    expected = exact_sum(penalised_matrices(layers, min_size=0, convtr=True))
    assert svd_penalty(layers, config).item() == pytest.approx(expected, rel=tolerance)
    assert svd_penalty(layers, config, exact=True).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("powm", [False, True])
def test_the_gradient_is_that_of_the_largest_singular_value(powm: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 5, bias=False)
    svd_penalty(layer, svd_config(powm=powm, niters=100)).backward()
    left, values, right = torch.linalg.svd(layer.weight.detach())
    expected = 2 * values[0] * torch.outer(left[:, 0], right[0])
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, expected, rtol=1e-3, atol=1e-3)


def test_the_share_of_steps_with_a_penalty_is_that_asked_for() -> None:
    drawn = [penalty_applies(0.3, 42, epoch, batch) for epoch in range(20) for batch in range(100)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.04)
    assert drawn[7] == penalty_applies(0.3, 42, 0, 7)
    assert all(penalty_applies(1, 0, 0, batch) for batch in range(100))


# --- optimiser and step ---


def test_adam_is_built_as_told() -> None:
    layer = nn.Linear(2, 2)
    config = OptimConfig(
        lr=0.1, momentum=0.8, beta2=0.99, loss="l1", optim="adamw", weight_decay=0.5, clip_grad=0,
        warmup=0, schedule="constant", final_lr=0,
    )  # fmt: skip
    optimiser = build_optimiser(layer.parameters(), config)
    assert isinstance(optimiser, torch.optim.AdamW)
    (group,) = optimiser.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.1, (0.8, 0.99), 0.5)
    assert group["eps"] == 1e-8


class Gains(nn.Module):
    """Stems as gains of the mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.gains = nn.Parameter(torch.tensor([0.5, 0.5, 0.5, 0.5]))

    def forward(self, mix: Tensor) -> Tensor:
        return mix[:, None] * self.gains[:, None, None]


def options(tmp_path: Path, *overrides: str) -> TrainConfig:
    return read_config(tiny_config(tmp_path, *overrides)).options


def one_step(options: TrainConfig) -> tuple[Gains, Step]:
    model = Gains()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    return model, Step(model, model, optimiser, options, options.dset.sources)


def test_a_step_is_the_weighted_gradient_of_the_error(tmp_path: Path) -> None:
    model, step = one_step(options(tmp_path, "weights=[1,2,1,0]"))
    stems = torch.stack([torch.full((2, 2, 3), value) for value in (4.0, 0.0, 0.0, 0.0)], dim=1)
    losses = step(stems, 0, 0)
    # the mixture is 4 and every estimate 2: |2-4|, |2|, |2|, |2|
    assert losses["loss"] == losses["reco"] == 2.0
    assert [losses[f"reco_{name}"] for name in step.sources] == [2, 2, 2, 2]
    gradient = torch.tensor([-4.0, 8.0, 4.0, 0.0]) / 4
    assert losses["grad"] == pytest.approx(float(gradient.norm()))
    torch.testing.assert_close(model.gains.detach(), 0.5 - gradient)


def test_clipping_shortens_the_step_alone(tmp_path: Path) -> None:
    model, step = one_step(options(tmp_path, "optim.clip_grad=0.1"))
    losses = step(torch.randn(1, 4, 2, 50), 0, 0)
    moved = (model.gains.detach() - 0.5).norm()
    assert losses["grad"] > 0.1
    assert float(moved) == pytest.approx(0.1, rel=1e-4)
    assert float(norm_of(gradients(model.parameters()))) == pytest.approx(0.1, rel=1e-4)


def test_a_step_without_finite_gradient_changes_nothing(tmp_path: Path) -> None:
    model, step = one_step(options(tmp_path))
    bad = torch.full((1, 4, 2, 5), math.nan)
    for _ in range(MAX_SKIPPED - 1):
        assert step(bad, 0, 0) == {"skipped": 1.0}
    assert torch.equal(model.gains.detach(), torch.full((4,), 0.5))
    step(torch.randn(1, 4, 2, 5), 0, 0)  # which ends the row
    for _ in range(MAX_SKIPPED - 1):
        step(bad, 0, 0)
    with pytest.raises(ConfigError, match=r"optim\.lr"):
        step(bad, 0, 0)


def test_seeds_of_steps_differ() -> None:
    seeds = {place_seed(s, e, b) for s in range(3) for e in range(5) for b in range(20)}
    assert len(seeds) == 300
