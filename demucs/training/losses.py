"""The training loss: one number a stem, and their weighted mean."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from demucs.data.batch import Batch

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
    return _size(difference, kind).mean(dim=(0, 2, 3))


def example_losses(
    estimates: Tensor, references: Tensor, kind: str, certified: Tensor | None, rest: float
) -> Tensor:
    """Mean error of each stem of each example over channels and time.

    Where only stem i is certified, the sum over stems is |ŝ_i - s_i| + rest |Σ_{j≠i} (ŝ_j - s_j)|
    (arXiv:1909.01174): the other stems share its second term evenly.

    Args:
        estimates, references: `[B, S, C, T]`.
        kind: `l1` or `mse`.
        certified: `[B]`, that stem, or negative where all stems are known; None: everywhere.
        rest: weight of the second term.

    Returns:
        `[B, S]`.
    """
    difference = estimates - references
    errors = _size(difference, kind).mean(dim=(2, 3))
    if certified is None:
        return errors
    count = difference.shape[1]
    one = torch.arange(count, device=certified.device) == certified[:, None]  # [B, S]
    others = difference.masked_fill(one[:, :, None, None], 0).sum(1)
    shared = rest * _size(others, kind).mean(dim=(1, 2)) / max(count - 1, 1)
    return torch.where(one | (certified < 0)[:, None], errors, shared[:, None])


def batch_losses(estimates: Tensor, batch: Batch, kind: str, rest: float = 1.0) -> Tensor:
    """Mean error of each stem over a batch, each stem of each example by its weight; `[S]`.

    The mean is over all examples: a weight below 1 makes a stem count less, and the others no more.
    So the loss of a batch is the mean of those of its parts.
    """
    if batch.weights is None and batch.certified is None:
        return stem_losses(estimates, batch.stems, kind)
    errors = example_losses(estimates, batch.stems, kind, batch.certified, rest)
    return (errors if batch.weights is None else errors * batch.weights).mean(0)


def _size(difference: Tensor, kind: str) -> Tensor:
    return difference.abs() if kind == "l1" else difference.square()


def weighted_mean(values: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
    """`[..., S]` to `[...]`: the mean over stems, weighted."""
    row = torch.as_tensor(weights, dtype=values.dtype, device=values.device)
    return (values * row).sum(-1) / row.sum()
