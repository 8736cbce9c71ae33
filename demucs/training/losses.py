"""Training losses: one number a stem, and their weighted mean."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from demucs.data.batch import Batch
from demucs.errors import ConfigError
from demucs.plugins import load_plugins, unknown

# Estimates and references, `[B, S, C, T]` each, to errors `[B, S, ...]`: of each stem of each
# example, where the mean is taken over all further dimensions.
Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "l1": lambda estimates, references: (estimates - references).abs(),
    "mse": lambda estimates, references: (estimates - references).square(),
}


def register_loss(name: str) -> Callable[[Loss], Loss]:
    """Decorates a loss of one's own, which is then `optim.loss=NAME`.

    Raises:
        ConfigError: the name is taken.
    """

    def register(loss: Loss) -> Loss:
        if name in LOSSES:
            raise ConfigError(f"the loss name {name!r} is taken: choose another")
        LOSSES[name] = loss
        return loss

    return register


def find_loss(name: str) -> Loss:
    """The loss of a name, maybe of a plugin.

    Raises:
        ConfigError: nobody has registered it.
    """
    if name not in LOSSES:
        load_plugins()
    if name not in LOSSES:
        raise ConfigError(unknown("optim.loss", name, LOSSES))
    return LOSSES[name]


def stem_losses(estimates: Tensor, references: Tensor, kind: str = "l1") -> Tensor:
    """Mean error of each stem over batch, channels and time.

    Args:
        estimates, references: `[B, S, C, T]`.
        kind: `l1`, the mean absolute error, `mse`, the mean squared error, or a registered loss.

    Returns:
        `[S]`.

    >>> stem_losses(torch.zeros(1, 2, 2, 8), torch.ones(1, 2, 2, 8)).tolist()
    [1.0, 1.0]
    """
    assert estimates.shape == references.shape, (estimates.shape, references.shape)
    errors = find_loss(kind)(estimates, references)
    _check_shape(errors, references, kind)
    return errors.mean(dim=(0, *range(2, errors.dim())))


def example_losses(
    estimates: Tensor, references: Tensor, kind: str, certified: Tensor | None, rest: float
) -> Tensor:
    """Mean error of each stem of each example over channels and time.

    Where only stem i is certified, the sum over stems is |ŝ_i - s_i| + rest |Σ_{j≠i} (ŝ_j - s_j)|
    (arXiv:1909.01174): the other stems share its second term evenly.

    Args:
        estimates, references: `[B, S, C, T]`.
        kind: as in `stem_losses`.
        certified: `[B]`, that stem, or negative where all stems are known; None: everywhere.
        rest: weight of the second term.

    Returns:
        `[B, S]`.
    """
    errors = _each(estimates, references, kind)
    if certified is None:
        return errors
    count = references.shape[1]
    is_certified = torch.arange(count, device=certified.device) == certified[:, None]  # [B, S]
    hidden = is_certified[:, :, None, None]
    theirs, truth = (
        wav.masked_fill(hidden, 0).sum(1, keepdim=True) for wav in (estimates, references)
    )
    shared = rest * _each(theirs, truth, kind) / max(count - 1, 1)  # [B, 1]
    return torch.where(is_certified | (certified < 0)[:, None], errors, shared)


def batch_losses(estimates: Tensor, batch: Batch, kind: str, rest: float = 1.0) -> Tensor:
    """Mean error of each stem over a batch, each stem of each example by its weight; `[S]`.

    The mean is over all examples: a weight below 1 makes a stem count less, and the others no more.
    So the loss of a batch is the mean of those of its parts.
    """
    if batch.weights is None and batch.certified is None:
        return stem_losses(estimates, batch.stems, kind)
    errors = example_losses(estimates, batch.stems, kind, batch.certified, rest)
    return (errors if batch.weights is None else errors * batch.weights).mean(0)


def _each(estimates: Tensor, references: Tensor, kind: str) -> Tensor:
    errors = find_loss(kind)(estimates, references)
    _check_shape(errors, references, kind)
    further = tuple(range(2, errors.dim()))
    return errors.mean(dim=further) if further else errors  # [B, S]


def _check_shape(errors: Tensor, references: Tensor, kind: str) -> None:
    if errors.shape[:2] != references.shape[:2]:
        raise ConfigError(
            f"the loss {kind!r} gave the shape {list(errors.shape)}: it must begin with batch and "
            f"stems, {list(references.shape[:2])}, so take no mean over these"
        )


def weighted_mean(values: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
    """`[..., S]` to `[...]`: the mean over stems, weighted.

    >>> float(weighted_mean(torch.tensor([1.0, 4.0]), [2, 1]))
    2.0
    """
    row = torch.as_tensor(weights, dtype=values.dtype, device=values.device)
    return (values * row).sum(-1) / row.sum()
