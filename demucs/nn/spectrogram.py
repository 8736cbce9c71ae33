"""Short-time Fourier transform with the frame alignment HDemucs needs.

All transforms use a periodic Hann window and the unitary scale 1/√nfft (`normalized=True`).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def stft(x: Tensor, nfft: int, hop: int) -> Tensor:
    """`[..., T]` → complex `[..., nfft // 2 + 1, 1 + T // hop]`, centred, edges reflected."""
    *other, length = x.shape
    window = hann(nfft, x)
    z = torch.stft(
        pad_reflect(x.reshape(-1, length), nfft // 2, nfft // 2),
        nfft,
        hop,
        window=window,
        normalized=True,
        center=False,
        return_complex=True,
    )
    return z.view(*other, *z.shape[-2:])


def istft(z: Tensor, hop: int, length: int) -> Tensor:
    """Inverse of `stft`: complex `[..., F, N]` → `[..., length]`."""
    *other, bins, frames = z.shape
    nfft = 2 * bins - 2
    window = hann(nfft, z.real)
    x = torch.istft(
        z.reshape(-1, bins, frames),
        nfft,
        hop,
        window=window,
        normalized=True,
        center=True,
        length=length,
    )
    return x.view(*other, length)


def hann(nfft: int, like: Tensor) -> Tensor:
    """Periodic Hann window, rounded to float32 as in the public Demucs, in the type of `like`."""
    return torch.hann_window(nfft, dtype=torch.float32, device=like.device).to(like.dtype)


def pad_reflect(x: Tensor, left: int, right: int) -> Tensor:
    """Reflects `[..., T]` at both ends, for any T ≥ 1.

    Reflection needs more samples than it adds. A shorter input is first lengthened with zeros,
    on the right as far as `right` allows, then on the left.
    """
    missing = max(left, right) - x.shape[-1] + 1
    if missing > 0:
        zeros_right = min(right, missing)
        zeros_left = missing - zeros_right
        x = F.pad(x, (zeros_left, zeros_right))
        left, right = left - zeros_left, right - zeros_right
    *other, length = x.shape
    flat = x if x.dim() == 3 else x.reshape(-1, length)
    padded = F.pad(flat, (left, right), mode="reflect")
    return padded if x.dim() == 3 else padded.view(*other, padded.shape[-1])


def aligned_stft(x: Tensor, nfft: int, reflect: bool) -> Tensor:
    """`[..., T]` → complex `[..., nfft // 2, ⌈T / hop⌉]` with hop = nfft / 4.

    One frame for each hop of input, so that a frame lines up with the output of strided
    convolutions over time. The Nyquist bin is dropped. `reflect` pads by reflection; without it
    (`hybrid_old`) by zeros.
    """
    hop = nfft // 4
    frames = math.ceil(x.shape[-1] / hop)
    side = hop // 2 * 3
    right = side + frames * hop - x.shape[-1]
    padded = pad_reflect(x, side, right) if reflect else F.pad(x, (side, right))
    return stft(padded, nfft, hop)[..., :-1, 2 : 2 + frames]


def aligned_istft(z: Tensor, length: int, reflect: bool) -> Tensor:
    """Inverse of `aligned_stft`: complex `[..., F, N]` → `[..., length]`.

    With `reflect=False` the output starts where the padded signal starts, as the first hybrid
    models had it; their weights have learnt that offset.
    """
    hop = 2 * z.shape[-2] // 4
    z = F.pad(z, (2, 2, 0, 1))
    side = hop // 2 * 3
    whole = hop * math.ceil(length / hop)
    if reflect:
        return istft(z, hop, whole + 2 * side)[..., side : side + length]
    return istft(z, hop, whole)[..., :length]
