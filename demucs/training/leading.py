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
_JITTER = 1e-6  # relative to a column's energy; the smallest that 32 bits tell from rounding


class LeadingVectors:
    """Keeps the leading right singular vectors of some matrices, which always come in one order.

    Nothing here waits for a GPU, and what is small is done for all matrices at once.
    """

    def __init__(self) -> None:
        self.right: list[Tensor] = []  # `[VECTORS, columns]`, orthonormal rows or shorter ones

    def squares(self, matrices: Sequence[Tensor]) -> Tensor:
        """The sum of the squared largest singular values, a scalar with a gradient.

        Each is |M v|² for a unit vector v, so never above the exact value; the gradient, 2 M v vᵀ,
        is the exact one where v is.

        Args:
            matrices: `[rows, columns]` each, at least one. Where the vectors kept are not of such
                matrices, all start at random.
        """
        with torch.no_grad():
            right = self._known(matrices)
            if right is None:
                right = [_random(matrix) for matrix in matrices]
                for _ in range(FIRST_ROUNDS):
                    right = _iterate(matrices, _images(matrices, right), right)
            images = _images(matrices, right)
            weights = _leading_eigenvectors(torch.stack([one.T @ one for one in images]))
            best = [one @ vectors for one, vectors in zip(weights, right, strict=True)]
            self.right = _iterate(matrices, images, right)
        return torch.stack(
            [(matrix @ one).square().sum() for matrix, one in zip(matrices, best, strict=True)]
        ).sum()

    def _known(self, matrices: Sequence[Tensor]) -> list[Tensor] | None:
        """The vectors of the last step on the matrices' device; None if they are of others."""
        if [v.shape[1] for v in self.right] != [m.shape[1] for m in matrices]:
            return None
        return [v.to(m) for m, v in zip(matrices, self.right, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        return {"right": list(self.right)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes on what `state_dict` gave; without it, vectors start at random."""
        self.right = list(state.get("right", []))


def _random(matrix: Tensor) -> Tensor:
    return torch.randn(VECTORS, matrix.shape[1], dtype=matrix.dtype, device=matrix.device)


def _images(matrices: Sequence[Tensor], right: list[Tensor]) -> list[Tensor]:
    """M Vᵀ for each, `[rows, VECTORS]`."""
    return [matrix @ vectors.T for matrix, vectors in zip(matrices, right, strict=True)]


def _iterate(matrices: Sequence[Tensor], images: list[Tensor], right: list[Tensor]) -> list[Tensor]:
    """One round: the orthonormalised rows of (M Vᵀ)ᵀ M, given the images M Vᵀ.

    That order of the product is many times faster than Mᵀ (M Vᵀ) on a CPU. Rows are brought to
    length 1, so that their Gram matrix is near the identity where they are near singular vectors,
    and 32 bits are enough for its Cholesky factor L; then L⁻¹ is applied. Where they depend on each
    other the result is shorter, never longer. A matrix of zeros leaves its vectors as they are.
    """
    new = [image.T @ matrix for matrix, image in zip(matrices, images, strict=True)]
    lengths = torch.stack([vectors.norm(dim=1) for vectors in new])  # [matrices, VECTORS]
    scales = 1 / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)
    grams = torch.stack([vectors @ vectors.T for vectors in new])
    grams = grams * scales[:, :, None] * scales[:, None, :]
    identity = torch.eye(VECTORS, dtype=grams.dtype, device=grams.device)
    factors = torch.linalg.cholesky_ex(grams + _JITTER * identity)[0]
    turns = torch.linalg.solve_triangular(factors, identity, upper=False) * scales[:, None, :]
    alive = (lengths > 0).all(dim=1)
    return [
        torch.where(here, turn @ vectors, old)
        for here, turn, vectors, old in zip(alive, turns, new, right, strict=True)
    ]


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
    found = power.gather(2, longest[:, None, None].expand(-1, power.shape[1], 1))[:, :, 0]
    unit: Tensor = found / found.norm(dim=1, keepdim=True).clamp(min=tiny)
    return unit
