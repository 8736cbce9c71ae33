"""Position embeddings of tokens: sines and cosines that are added to them.

Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762); in two dimensions half of the
channels for each; with random shifts and scales, CAPE (Likhomanenko et al., arXiv:2106.03143).
Orders and constants are those of the public HTDemucs, which its weights were trained with.
"""

import math

import torch
from torch import Tensor


def sine_positions(positions: Tensor, channels: int, max_period: float) -> Tensor:
    """`[...]` positions to `[..., channels]`: half cosines, then half sines, from fast to slow."""
    half = channels // 2
    orders = torch.arange(half, device=positions.device) / (half - 1)
    phase = positions[..., None] / max_period**orders
    return torch.cat([phase.cos(), phase.sin()], -1)


def sine_positions_2d(
    channels: int, bins: int, frames: int, max_period: float, device: torch.device
) -> Tensor:
    """`[channels, bins, frames]`: the first half encodes the frame, the second the bin.

    Sine and cosine alternate.
    """
    half = channels // 2
    rates = torch.exp(torch.arange(0.0, half, 2, device=device) * -(math.log(max_period) / half))

    def along(count: int) -> Tensor:
        """`[half, count]`."""
        phase = rates[:, None] * torch.arange(0.0, count, device=device)
        return torch.stack([phase.sin(), phase.cos()], 1).flatten(0, 1)

    by_frame = along(frames)[:, None, :].expand(half, bins, frames)
    by_bin = along(bins)[:, :, None].expand(half, bins, frames)
    return torch.cat([by_frame, by_bin])


def cape_positions(
    batch: int,
    length: int,
    *,
    normalize: bool,
    augment: bool,
    global_shift: float,
    local_shift: float,
    scale: float,
    device: torch.device,
) -> Tensor:
    """Positions `[batch, length]`, randomly shifted and stretched.

    Args:
        normalize: count from the middle.
        augment: shift and stretch; otherwise positions are regular.
        global_shift: of all of an example, at most.
        local_shift: of each position, at most.
        scale: by which an example is stretched, at most, or pressed.
    """
    positions = torch.arange(length, device=device, dtype=torch.float32).expand(batch, length)
    if normalize:
        positions = positions - positions.mean(-1, keepdim=True)
    if not augment:
        return positions

    def uniform(limit: float, width: int) -> Tensor:
        return limit * (2 * torch.rand(batch, width, device=device) - 1)

    moved = positions + uniform(global_shift, 1) + uniform(local_shift, length)
    return moved * torch.exp(uniform(math.log(scale), 1))
