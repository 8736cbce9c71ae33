"""STFT and inverse of `demucs.nn.spectrogram` in real matrix products, for formats without complex.

A transform of n = r·m points is two products with small matrices (Cooley and Tukey, 1965, with one
step): over r, a turn of each value, over m. Frames and their sum are slices, since the hop is a
quarter of the frame. So it needs nothing but operations that every runtime has, and few of them.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.errors import ConfigError
from demucs.nn.spectrogram import hann, pad_reflect

QUARTERS = 4  # hops in a frame


class RealSTFT(nn.Module):
    """Spectrograms as real and imaginary parts, without the Nyquist bin, which the networks drop.

    Args:
        nfft: samples of a frame; the hop is a quarter of it.
        aligned: a frame for each hop, as `aligned_stft` and `aligned_istft`; otherwise as `stft`
            and `istft`.
        reflect: see `aligned_stft`.

    Raises:
        ConfigError: a frame that is not a multiple of 8.
    """

    window: Tensor  # [nfft]
    forward_turn: Tensor  # [2, r, m]
    forward_first: Tensor  # [2 r, r]
    forward_second: Tensor  # [2 m, m]
    inverse_turn: Tensor  # [2, r, m]
    inverse_first: Tensor  # [m, 2 m]
    inverse_second: Tensor  # [r, 2 r]
    twice: Tensor  # [nfft / 2, 1]

    def __init__(self, nfft: int, aligned: bool, reflect: bool = True):
        super().__init__()
        if nfft % 8:
            raise ConfigError(f"nfft={nfft} is not a multiple of 8, so the STFT cannot be exported")
        self.hop, self.aligned, self.reflect = nfft // QUARTERS, aligned, reflect
        self.rows, self.columns = rows, columns = factors(nfft, multiple=2)
        over_rows, over_columns = _circle(rows, rows, rows), _circle(columns, columns // 2, columns)
        turn = _circle(rows, columns, nfft)
        parts = {
            "window": hann(nfft, torch.ones(1)),
            "forward_first": torch.cat(_parts(over_rows)),
            "forward_turn": torch.stack(_parts(turn)),
            "forward_second": _product(over_columns) / math.sqrt(nfft),
            "inverse_first": _product(over_columns.conj().T),
            "inverse_turn": torch.stack(_parts(turn.conj())),
            "inverse_second": torch.cat([over_rows.real, over_rows.imag], 1) / math.sqrt(nfft),
        }
        for name, value in parts.items():
            self.register_buffer(name, value.float(), persistent=False)
        # each bin but the first stands for its conjugate too
        twice = torch.full((nfft // 2, 1), 2.0)
        twice[0] = 1.0
        self.register_buffer("twice", twice, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, T]` → `[B, C, 2, nfft / 2, N]`."""
        hop, length = self.hop, x.shape[-1]
        if not self.aligned:
            frames, side = 1 + length // hop, 2 * hop
            x = pad_reflect(x, side, side)
        else:
            frames, side = math.ceil(length / hop), hop // 2 * 3
            right = side + frames * hop - length
            x = pad_reflect(x, side, right) if self.reflect else F.pad(x, (side, right))
        channels = x.shape[1]
        blocks = x[..., : (frames + 3) * hop].view(-1, channels, frames + 3, hop)
        framed = torch.cat([blocks[:, :, k : k + frames] for k in range(QUARTERS)], -1)
        z = (framed * self.window).view(-1, channels, frames, self.rows, self.columns)
        z = torch.cat(_turned((self.forward_first @ z).chunk(2, -2), self.forward_turn), -1)
        z = (z @ self.forward_second).view(-1, channels, frames, self.rows, 2, self.columns // 2)
        return z.permute(0, 1, 4, 5, 3, 2).reshape(-1, channels, 2, 2 * hop, frames)

    def inverse(self, z: Tensor, length: int) -> Tensor:
        """`[B, S, C, 2, nfft / 2, N]` → `[B, S, C, length]`."""
        (stems, channels), frames, hop = z.shape[1:3], z.shape[-1], self.hop
        z = (z * self.twice).view(-1, stems, channels, 2, self.columns // 2, self.rows, frames)
        z = z.permute(0, 1, 2, 6, 5, 3, 4)  # [B, S, C, N, r, 2, m / 2]
        z = z.reshape(-1, stems, channels, frames, self.rows, self.columns)
        z = torch.cat(_turned((z @ self.inverse_first).chunk(2, -1), self.inverse_turn), -2)
        pieces = (self.inverse_second @ z).view(-1, stems, channels, frames, 4 * hop) * self.window
        signal = _overlap_add(pieces.view(-1, stems, channels, frames, QUARTERS, hop))
        signal = signal.reshape(-1, stems, channels, (frames + 3) * hop)
        # The signal's first sample, counted from the first frame; the silent frames that
        # `aligned_istft` puts before it count for the windows only.
        before = 2 if self.aligned else 0
        start = hop // 2 * 3 if self.aligned and self.reflect else (2 - before) * hop
        weight = self._weight(frames + 2 * before).flatten()[before * hop :]
        return signal[..., start : start + length] / weight[start : start + length]

    def _weight(self, frames: int) -> Tensor:
        """What the squared windows of so many frames sum up to."""
        squares = self.window.square().view(QUARTERS, self.hop)
        return _overlap_add(squares.expand(frames, QUARTERS, self.hop))


def _overlap_add(pieces: Tensor) -> Tensor:
    """`[..., N, 4, hop]` quarters of frames → `[..., N + 3, hop]`, each added where it lies."""
    parts = [F.pad(pieces[..., k, :], (0, 0, k, QUARTERS - 1 - k)) for k in range(QUARTERS)]
    return parts[0] + parts[1] + parts[2] + parts[3]


def _turned(parts: Sequence[Tensor], turn: Tensor) -> tuple[Tensor, Tensor]:
    """The complex product with `turn`."""
    real, imaginary = parts
    return real * turn[0] - imaginary * turn[1], real * turn[1] + imaginary * turn[0]


def factors(n: int, multiple: int = 1) -> tuple[int, int]:
    """Two factors of `n`, as near each other as there are, the second one of `multiple`."""
    divisors = [m for m in range(1, math.isqrt(n) + 1) if n % m == 0]
    pairs = [
        pair for m in divisors for pair in ((m, n // m), (n // m, m)) if pair[1] % multiple == 0
    ]
    return min(pairs, key=sum)


def _circle(rows: int, columns: int, n: int) -> Tensor:
    """`exp(-2πi jk / n)` for all j and k, in double precision."""
    steps = torch.arange(rows)[:, None] * torch.arange(columns)[None, :] % n
    angle = steps.double() * (-2 * math.pi / n)
    return torch.complex(angle.cos(), angle.sin())


def _parts(z: Tensor) -> tuple[Tensor, Tensor]:
    return z.real, z.imag


def _product(z: Tensor) -> Tensor:
    """The real matrix that does to rows `[real, imaginary]` what `z` does to complex rows."""
    return torch.cat([torch.cat([z.real, z.imag], 1), torch.cat([-z.imag, z.real], 1)])
