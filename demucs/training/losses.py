"""The training loss: one number a stem, and their weighted mean."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

LossName = Literal["l1", "mse"]


def stem_losses(estimates: Tensor, references: Tensor, kind: str = "l1") -> Tensor:
    """Mean error of each stem over batch, channels and time.

    Args:
        estimates, references: `[B, S, C, T]`.
        kind: `l1`, the mean absolute error, or `mse`, the mean squared error.

    Returns:
        `[S]`.
    """
    assert estimates.shape == references.shape, (estimates.shape, references.shape)
    difference = estimates - references
    error = difference.abs() if kind == "l1" else difference.square()
    return error.mean(dim=(0, 2, 3))


def weighted_mean(values: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
    """`[..., S]` to `[...]`: the mean over stems, weighted."""
    row = torch.as_tensor(weights, dtype=values.dtype, device=values.device)
    return (values * row).sum(-1) / row.sum()
