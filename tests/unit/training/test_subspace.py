"""The largest singular values, followed from step to step."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_support import tiny_config

from demucs.nn import build_model
from demucs.training import read_config
from demucs.training.config.schema import TrainConfig
from demucs.training.optim.optimizer import build_optimiser
from demucs.training.optim.subspace import VECTORS, SubspaceIteration
from demucs.training.optim.svd import svd_penalty
from demucs.training.step import Step


def exact(matrices: list[Tensor]) -> float:
    return sum(float(torch.linalg.matrix_norm(one.detach().double(), 2)) ** 2 for one in matrices)


def some_matrices() -> list[Tensor]:
    """Wide, tall, smaller than the block of vectors, of rank 1, and of close values."""
    torch.manual_seed(0)
    close = torch.linalg.qr(torch.randn(40, 40))[0] @ torch.diag(1 + torch.arange(40) / 400)
    shapes = [(30, 90), (90, 30), (3, 50), (50, 3), (1, 7)]
    return [*(torch.randn(shape) for shape in shapes), torch.ones(20, 30), close]


def test_it_comes_near_the_exact_value_and_never_above_it() -> None:
    matrices, leading = some_matrices(), SubspaceIteration()
    wanted = exact(matrices)
    found = [float(leading.squares(matrices)) for _ in range(60)]
    assert max(found) <= wanted * (1 + 1e-5)
    assert found[0] == pytest.approx(wanted, rel=0.03)
    assert found[-1] == pytest.approx(wanted, rel=1e-4)


def test_the_gradient_is_that_of_a_full_decomposition() -> None:
    torch.manual_seed(1)
    matrix = torch.randn(30, 20, requires_grad=True)
    leading = SubspaceIteration()
    for _ in range(60):
        total = leading.squares([matrix])
    total.backward()
    left, values, right = torch.linalg.svd(matrix.detach())
    expected = 2 * values[0] * torch.outer(left[:, 0], right[0])
    torch.testing.assert_close(matrix.grad, expected, rtol=1e-3, atol=1e-3)


def test_it_follows_weights_that_move_until_another_value_is_the_largest() -> None:
    """Two matrices with the same vectors, whose values change places over a hundred steps."""
    torch.manual_seed(2)
    left, right = (torch.linalg.qr(torch.randn(40, 40))[0] for _ in range(2))
    leading = SubspaceIteration()
    worst = 0.0
    for step in range(100):
        values = torch.ones(40)
        values[0], values[1] = 3 - step / 50, 1 + step / 50
        matrix = left @ torch.diag(values) @ right
        found = float(leading.squares([matrix]))
        worst = max(worst, abs(found / float(values.max()) ** 2 - 1) if step else 0.0)
    assert worst < 1e-3


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("rows", "columns", "rank"),
    [(640, 900, 1), (640, 900, 2), (60, 90, 3), (1, 600, 1), (4, 600, 4)],
)
def test_a_matrix_of_low_rank_is_as_good_as_any(
    rows: int, columns: int, rank: int, seed: int
) -> None:
    """Its rows depend on each other, which Cholesky's factor feels."""
    torch.manual_seed(seed)
    leading = SubspaceIteration()
    matrix = torch.randn(rows, rank) @ torch.randn(rank, columns)
    for noise in (0, 0, 0, 1e-6, 1e-3, 0):
        moved = matrix + noise * torch.randn(rows, columns)
        assert float(leading.squares([moved])) == pytest.approx(exact([moved]), rel=1e-3)
        assert all(bool(one.isfinite().all()) for one in leading.right)


def test_large_weights_and_those_that_are_not_finite_leave_the_vectors_sound() -> None:
    torch.manual_seed(0)
    leading, matrix = SubspaceIteration(), torch.randn(20, 30)
    for _ in range(40):
        leading.squares([1e12 * matrix])
    assert float(leading.squares([1e12 * matrix])) == pytest.approx(
        1e24 * exact([matrix]), rel=1e-3
    )
    leading.squares([matrix * torch.nan])
    assert float(leading.squares([matrix])) == pytest.approx(exact([matrix]), rel=1e-3)


def test_weights_of_zeros_are_no_harm_and_are_found_when_they_grow() -> None:
    leading, zeros = SubspaceIteration(), torch.zeros(9, 12)
    assert float(leading.squares([zeros])) == 0.0
    grown = torch.randn(9, 12)
    for _ in range(40):
        found = float(leading.squares([grown]))
    assert found == pytest.approx(exact([grown]), rel=1e-3)


def test_other_matrices_start_anew() -> None:
    leading = SubspaceIteration()
    leading.squares([torch.randn(5, 9)])
    other = torch.randn(6, 11)
    assert float(leading.squares([other])) == pytest.approx(exact([other]), rel=0.02)
    assert [tuple(one.shape) for one in leading.right] == [(VECTORS, 11)]


PENALISED = ("svd.penalty=1e-3", "svd.min_size=0", "svd.convtr=true")


def penalised(tmp_path: Path, *overrides: str) -> tuple[nn.Module, Step, TrainConfig]:
    run = read_config(tiny_config(tmp_path, *PENALISED, *overrides))
    torch.manual_seed(0)
    model = build_model(run.spec)
    optimiser = build_optimiser(model.parameters(), run.options.optim)
    step = Step(model, model, optimiser, run.options, run.options.dset.sources)
    return model, step, run.options


def stems() -> Tensor:
    return 0.1 * torch.randn(2, 4, 2, 4000, generator=torch.Generator().manual_seed(0))


@pytest.mark.long
def test_a_step_follows_the_exact_penalty_while_it_learns(tmp_path: Path) -> None:
    model, step, options = penalised(tmp_path)
    for number in range(30):
        with torch.no_grad():
            wanted = float(svd_penalty(model, options.svd, exact=True))
        found = step(stems(), 0, number)["penalty"]
        assert found == pytest.approx(wanted, rel=0.02 if number < 10 else 2e-3)


def test_a_step_that_was_saved_goes_on_as_it_would_have(tmp_path: Path) -> None:
    _, step, _ = penalised(tmp_path)
    for number in range(3):
        step(stems(), 0, number)
    state, model = step.state_dict(), step.module.state_dict()
    again_model, again, _ = penalised(tmp_path)
    again_model.load_state_dict(model)
    again.optimiser.load_state_dict(step.optimiser.state_dict())
    again.load_state_dict(state)
    assert again(stems(), 0, 3) == step(stems(), 0, 3)


def test_the_mean_gradient_of_estimates_made_anew_is_that_of_the_followed_vectors(
    tmp_path: Path,
) -> None:
    """The randomised estimate, where its projection is wide enough to be near."""
    model, step, options = penalised(tmp_path, "svd.dim=6", "svd.niters=3", "svd.min_size=0.002")
    followed = gradient(model, svd_penalty(model, options.svd, leading=step.leading))
    for _ in range(50):
        followed = gradient(model, svd_penalty(model, options.svd, leading=step.leading))
    anew = torch.stack([gradient(model, svd_penalty(model, options.svd)) for _ in range(20)]).mean(
        0
    )
    assert float(torch.cosine_similarity(followed, anew, dim=0)) > 0.98
    assert float(anew.norm() / followed.norm()) == pytest.approx(1, abs=0.03)


def gradient(model: nn.Module, value: Tensor) -> Tensor:
    found = torch.autograd.grad(value, list(model.parameters()), allow_unused=True)
    return torch.cat([one.flatten() for one in found if one is not None])
