"""The penalty on the largest singular value of each weight.

Défossez, "Hybrid Spectrogram and Waveform Source Separation" (arXiv:2111.03600), section 3.3: the
sum over layers of σ²max. There it is estimated anew in each step, by the randomised low-rank SVD of
Halko et al. (2011): `svd.warm=false`. By default it is followed from step to step (`leading.py`).
"""

import numpy as np
import torch
from torch import Tensor, nn

from demucs.training.config.schema import SvdConfig
from demucs.training.optim.subspace import SubspaceIteration

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
_FLOATS_PER_MB = 2**20 // 4


def penalised_matrices(
    model: nn.Module, *, min_size: float = 0.1, conv_only: bool = False, convtr: bool = False
) -> list[Tensor]:
    """The weights that a penalty looks at, as matrices `[rows, columns]`.

    Those are all parameters of two dimensions or more, an embedding's too. A convolution is a
    matrix of one row an output channel. A transposed one keeps its input channels first, so it is
    one of a row an input channel, unless `convtr` turns it round.

    Args:
        min_size: smallest weight, in MB of 32-bit floats.
        conv_only: of convolutions alone: no linear layer, LSTM or embedding.
        convtr: take transposed convolutions by their output channels too.
    """
    matrices = []
    for module in model.modules():
        if conv_only and not isinstance(module, _CONVOLUTIONS + _TRANSPOSED):
            continue
        turn = convtr and isinstance(module, _TRANSPOSED)
        for weight in module.parameters(recurse=False):
            if weight.dim() >= 2 and weight.numel() >= min_size * _FLOATS_PER_MB:
                matrices.append((weight.transpose(0, 1) if turn else weight).flatten(1))
    return matrices


def svd_penalty(
    model: nn.Module,
    config: SvdConfig,
    *,
    exact: bool = False,
    leading: SubspaceIteration | None = None,
) -> Tensor:
    """Sum over weights of the squared largest singular value; a scalar that has a gradient.

    Args:
        model: its weights are looked at.
        config: which of them, and how the value is estimated. `proba` is not applied here: see
            `penalty_applies`.
        exact: by a full SVD; slow, for reports.
        leading: what is known of these weights from the step before, in place of an estimate.
    """
    matrices = penalised_matrices(
        model, min_size=config.min_size, conv_only=config.conv_only, convtr=config.convtr
    )
    if leading is not None and matrices:
        return leading.squares(matrices)
    total = next(model.parameters()).new_zeros(())
    for matrix in matrices:
        if exact:
            top = torch.linalg.matrix_norm(matrix, 2)
        elif config.powm:
            top = _power_method(matrix, config.niters, config.bs)
        else:
            rank = min(config.dim, *matrix.shape)
            top = torch.svd_lowrank(matrix, rank, config.niters)[1][0]
        total = total + top.square()
    return total


def _power_method(matrix: Tensor, niters: int, vectors: int) -> Tensor:
    """The largest singular value by `niters` rounds of v ← MᵀM v, the best of some vectors.

    The gradient goes through the last product only: at the fixed point that is the exact one.
    """
    with torch.no_grad():
        right = torch.randn(matrix.shape[1], vectors, dtype=matrix.dtype, device=matrix.device)
        for _ in range(niters):
            right = matrix.T @ (matrix @ right)
            right = right / right.norm(dim=0, keepdim=True).clamp(min=1e-30)
    largest: Tensor = (matrix @ right).norm(dim=0).max()
    return largest


def penalty_applies(proba: float, seed: int, epoch: int, batch: int) -> bool:
    """Whether this step has the penalty: true for a share `proba` of steps, the same on all ranks.

    The step then counts it 1/proba.
    """
    return bool(np.random.default_rng((seed, epoch, batch)).random() < proba)
