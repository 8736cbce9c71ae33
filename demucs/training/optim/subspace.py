"""The largest singular values of many matrices, followed from step to step.

A step moves the weights a little, so the singular vectors of the last step are nearly those of the
next. A block of them is improved by one round of orthogonal iteration (Golub and Van Loan, Matrix
Computations, 8.2.4) a step, which reads each matrix three times. Estimating anew reads it five
times and more, against many vectors, and then twice as often for the gradient.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

VECTORS = 8  # of a matrix: the more, the closer may the largest singular values lie
FIRST_ROUNDS = 10  # where nothing is known yet
_SQUARINGS = 12  # of a matrix of VECTORS rows, to have its leading eigenvector
_JITTER = 1e-10  # of a row's energy: far above the rounding of 64 bits


class SubspaceIteration:
    """Keeps the leading right singular vectors of some matrices, which always come in one order.

    Nothing here waits for a GPU, and what is small is done for all matrices at once.
    """

    def __init__(self) -> None:
        self.right: list[Tensor] = []  # `[VECTORS, columns]`, orthonormal rows or shorter ones

    def squares(self, matrices: Sequence[Tensor]) -> Tensor:
        """The sum of the squared largest singular values, a scalar with a gradient.

        Each is |M v|² for a unit vector v, so not above the exact value but by rounding; the
        gradient, 2 M v vᵀ, is the exact one where v is.

        Args:
            matrices: `[rows, columns]` each, at least one. Where the vectors kept are not of such
                matrices, all start at random, in all processes alike.
        """
        with torch.no_grad():
            right = self._known(matrices)
            if right is None:
                right = _random(matrices)
                for _ in range(FIRST_ROUNDS):
                    right = _iterate(matrices, _images(matrices, right), right)
            images = _images(matrices, right)
            grams = torch.stack([image.T @ image for image in map(Tensor.double, images)])
            weights = _leading_eigenvectors(grams)
            best = [_unit(weight, vectors) for weight, vectors in zip(weights, right, strict=True)]
            self.right = _iterate(matrices, images, right)
        return torch.stack(
            [
                (matrix @ vector).square().sum()
                for matrix, vector in zip(matrices, best, strict=True)
            ]
        ).sum()

    def _known(self, matrices: Sequence[Tensor]) -> list[Tensor] | None:
        """The vectors of the last step on the matrices' device; None if they are of others."""
        if [tuple(v.shape) for v in self.right] != [(VECTORS, m.shape[1]) for m in matrices]:
            return None
        return [v.to(m) for m, v in zip(matrices, self.right, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        return {"right": list(self.right)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes on what `state_dict` gave; without it, vectors start at random."""
        self.right = list(state.get("right", []))


def _random(matrices: Sequence[Tensor]) -> list[Tensor]:
    source = torch.Generator().manual_seed(0)
    return [torch.randn(VECTORS, m.shape[1], generator=source).to(m) for m in matrices]


def _unit(weights: Tensor, vectors: Tensor) -> Tensor:
    """The sum of the vectors, weighted, at length 1 (or 0, if all are 0)."""
    total = weights @ vectors.double()
    unit: Tensor = total / total.norm().clamp(min=torch.finfo(total.dtype).tiny)
    return unit.to(vectors)


def _images(matrices: Sequence[Tensor], right: list[Tensor]) -> list[Tensor]:
    """M Vᵀ for each, `[rows, VECTORS]`."""
    return [matrix @ vectors.T for matrix, vectors in zip(matrices, right, strict=True)]


def _iterate(matrices: Sequence[Tensor], images: list[Tensor], right: list[Tensor]) -> list[Tensor]:
    """One round: the orthonormalised rows of (M Vᵀ)ᵀ M, given the images M Vᵀ.

    That order of the product is many times faster than Mᵀ (M Vᵀ) on a CPU. Rows are brought to
    length 1, and multiplied by the inverse of the Cholesky factor of their Gram matrix. In 64 bits:
    where rows depend on each other, as those of a matrix of low rank, the factor is near singular.
    A row that M takes to zero stays, as do all where something is not finite.
    """
    new = [
        _rows(image.T @ matrix, old)
        for matrix, image, old in zip(matrices, images, right, strict=True)
    ]
    grams = torch.stack([vectors @ vectors.T for vectors in new])
    identity = torch.eye(VECTORS, dtype=grams.dtype, device=grams.device)
    factors = torch.linalg.cholesky_ex(grams + _JITTER * identity)[0]
    turns = torch.linalg.solve_triangular(factors, identity, upper=False)
    turned = [
        (turn @ vectors).to(old) for turn, vectors, old in zip(turns, new, right, strict=True)
    ]
    return [
        torch.where(vectors.isfinite().all(), vectors, old)
        for vectors, old in zip(turned, right, strict=True)
    ]


def _rows(new: Tensor, old: Tensor) -> Tensor:
    """Rows of length 1, in 64 bits; the old one in the place of one that is zero."""
    new = new.double()
    lengths = new.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, new / lengths, old.double())


def _leading_eigenvectors(grams: Tensor) -> Tensor:
    """Unit vectors `[N, K]` of the largest eigenvalues of `[N, K, K]`, symmetric and not negative.

    By squaring again and again: a library's routine would have the GPU wait. Where the two largest
    are so close that a 4096th power does not part them, it is a vector between theirs.
    """
    tiny = torch.finfo(grams.dtype).tiny
    power = grams
    for _ in range(_SQUARINGS):
        trace = power.diagonal(dim1=1, dim2=2).sum(dim=1).clamp(min=tiny)
        power = power / trace[:, None, None]
        power = power @ power
    longest = power.norm(dim=1).argmax(dim=1)
    columns = power.gather(2, longest[:, None, None].expand(-1, power.shape[1], 1))[:, :, 0]
    unit: Tensor = columns / columns.norm(dim=1, keepdim=True).clamp(min=tiny)
    return unit
