"""The definition of every number that an evaluation prints, and nSDR on tensors."""

import torch
from torch import Tensor

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import EPSILON


def nsdr(references: Tensor, estimates: Tensor) -> Tensor:
    """Signal to distortion ratio over the whole signal, in dB, as in the Music Demixing challenges.

    10·log10((Σ‖s‖² + 1e-7) / (Σ‖s − ŝ‖² + 1e-7)), summed over channels and samples. It is 0 dB for
    a silent estimate; for a silent reference it only measures how loud the estimate is.

    Args:
        references: true stems `[B, S, C, T]`.
        estimates: estimated stems, of the same shape.

    Returns:
        `[B, S]`, float32, in dB; NaN where the estimate holds NaN.

    Raises:
        ConfigError: the shapes differ or are not `[B, S, C, T]`.

    >>> references = torch.ones(1, 1, 2, 1000)  # an error of a tenth is -20 dB
    >>> round(float(nsdr(references, 0.9 * references)), 2)
    20.0
    """
    if references.dim() != 4 or references.shape != estimates.shape:
        raise ConfigError(
            f"nSDR compares references {list(references.shape)} with estimates "
            f"{list(estimates.shape)}: give both as [batch, stems, channels, samples]."
        )
    # Millions of squares: float64 sums, where the device has them.
    dtype = torch.float32 if references.device.type == "mps" else torch.float64
    references, estimates = references.to(dtype), estimates.to(dtype)
    signal = references.square().sum(dim=(2, 3)) + EPSILON
    distortion = (references - estimates).square().sum(dim=(2, 3)) + EPSILON
    return (10 * torch.log10(signal / distortion)).float()
