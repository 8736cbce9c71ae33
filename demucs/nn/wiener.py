"""Wiener filtering: complex stems from magnitudes and the phase of the mixture.

Reference: A. A. Nugraha, A. Liutkus, E. Vincent, "Multichannel audio source separation with deep
neural networks", IEEE/ACM TASLP 24(9), 2016: expectation-maximisation of a multichannel Gaussian
model, here with the constants that open-unmix made customary.
"""

import torch
from torch import Tensor

WINDOW = 300  # frames filtered together; covariances are constant within a window
EPSILON = 1e-10


def with_mixture_phase(magnitude: Tensor, mixture: Tensor) -> Tensor:
    """`[B, S, C, F, N]` magnitudes with the phase of the complex mixture `[B, C, F, N]`."""
    angle = mixture.angle()[:, None]
    return torch.complex(magnitude * angle.cos(), magnitude * angle.sin())


def wiener(magnitude: Tensor, mixture: Tensor, iterations: int, residual: bool = False) -> Tensor:
    """Complex stems `[B, S, C, F, N]` from magnitudes and the mixture `[B, C, F, N]`.

    Args:
        iterations: rounds of expectation-maximisation; 0 gives the mixture's phase alone.
        residual: model what the stems leave of the mixture as one more source (dropped at the
            end), which takes the part that no stem explains.
    """
    stems = with_mixture_phase(magnitude, mixture)
    if residual:
        stems = torch.cat([stems, (mixture - stems.sum(1))[:, None]], dim=1)
    if iterations > 0:
        frames = mixture.shape[-1]
        windows = [
            torch.stack(
                [
                    _refine(one_stems, one_mixture, iterations)
                    for one_stems, one_mixture in zip(
                        stems[..., pos : pos + WINDOW],
                        mixture[..., pos : pos + WINDOW],
                        strict=True,
                    )
                ]
            )
            for pos in range(0, frames, WINDOW)
        ]
        stems = torch.cat(windows, dim=-1)
    return stems[:, :-1] if residual else stems


def _refine(stems: Tensor, mixture: Tensor, iterations: int) -> Tensor:
    """Expectation-maximisation on `[S, C, F, N]` stems of one mixture `[C, F, N]`."""
    # the scale keeps loud spectrograms away from where the regularisation would vanish
    scale = (mixture.abs().max() / 10.0).clamp(min=1.0)
    y = stems / scale
    x = mixture / scale
    channels = x.shape[0]
    ridge = EPSILON**0.5 * torch.eye(channels, dtype=x.dtype, device=x.device)
    for _ in range(iterations):
        power = y.abs().square().mean(1)  # [S, F, N]
        outer = torch.einsum("scfn,sdfn->sfcd", y, y.conj())
        covariance = outer / (EPSILON + power.sum(-1))[..., None, None]  # [S, F, C, C]
        total = torch.einsum("sfn,sfcd->fncd", power.to(x.dtype), covariance) + ridge
        whitened = torch.linalg.solve(total, x.permute(1, 2, 0)[..., None])[..., 0]  # [F, N, C]
        y = torch.einsum("sfn,sfcd,fnd->scfn", power.to(x.dtype), covariance, whitened)
    return y * scale
