"""The norm of a wide layer, computed from the narrow layer before it.

A convolution of one tap is a product with a matrix, so the mean and the variance of what it gives
follow from the mean and the covariance of the few channels that it takes. With both known before,
the norm is another matrix, and what it would be applied to is never held as a whole.
"""

from typing import cast

import torch
from torch import Tensor, nn

from demucs.nn.fast.tiles import tiles


class FoldedNorm(nn.Module):
    """Convolution of one tap, norm of all channels as one group, and GLU, for one long signal.

    Args:
        weight, bias: of the convolution, `[2 C, H]` and `[2 C]`.
        norm: its affine part may carry factors.
    """

    def __init__(self, weight: Tensor, bias: Tensor, norm: nn.GroupNorm):
        super().__init__()
        self.weight, self.bias = weight.double(), bias.double()
        self.scale, self.shift = norm.weight.double(), norm.bias.double()
        self.eps = norm.eps

    @classmethod
    def of(cls, conv: nn.Module, norm: nn.Module) -> "FoldedNorm | None":
        """None where the layers are not of this kind."""
        if not isinstance(conv, nn.Conv1d) or conv.kernel_size != (1,):
            return None
        if not isinstance(norm, nn.GroupNorm) or norm.num_groups != 1:
            return None
        return cls(conv.weight.detach()[:, :, 0], cast(Tensor, conv.bias).detach(), norm)

    def add_gated(self, total: Tensor, hidden: Tensor) -> None:
        """Adds to `total` `[1, C, 1, N]`, in place, what follows from `hidden` `[1, H, 1, N]`."""
        rows, out = _rows(hidden), _rows(total)
        spans = tiles(len(rows), 2 * out[:1].nbytes)
        weight, bias = self._folded(*_moments(rows, spans))
        half = len(bias) // 2
        weight, bias = weight.to(total.dtype).t().contiguous(), bias.to(total.dtype)
        for start, stop in spans:
            some = rows[start:stop]
            value = torch.addmm(bias[:half], some, weight[:, :half])
            gate = torch.addmm(bias[half:], some, weight[:, half:])
            out[start:stop].addcmul_(value, gate.sigmoid_())

    def _folded(self, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Weight `[2 C, H]` and bias `[2 C]` of convolution and norm in one."""
        means = self.weight @ mean + self.bias
        variances = ((self.weight @ covariance) * self.weight).sum(1)
        centre = means.mean()
        variance = (variances + (means - centre).square()).mean()
        scale = self.scale / (variance + self.eps).sqrt()
        return self.weight * scale[:, None], (self.bias - centre) * scale + self.shift


def _rows(x: Tensor) -> Tensor:
    """`[1, C, 1, N]`, channels-last, → `[N, C]`, a view."""
    return x.permute(0, 2, 3, 1).view(x.shape[3], x.shape[1])


def _moments(rows: Tensor, spans: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Mean `[H]` and covariance `[H, H]` of the rows `[N, H]`, in float64.

    By tiles in float32, each around a mean of its own, so that nothing cancels.
    """
    size = rows.shape[1]
    total = torch.zeros(size, dtype=torch.float64)
    squares = torch.zeros(size, size, dtype=torch.float64)
    parts = []
    for start, stop in spans:
        some = rows[start:stop].float()
        mean = some.mean(0)
        some = some - mean
        squares += (some.t() @ some).double()
        parts.append((stop - start, mean.double()))
        total += (stop - start) * mean
    mean = total / len(rows)
    for count, part_mean in parts:
        squares += count * torch.outer(part_mean - mean, part_mean - mean)
    return mean, squares / len(rows)
