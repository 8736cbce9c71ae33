"""GroupNorm that accepts one value per channel, and moments of each example."""

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm`, with the same parameters and numbers.

    PyTorch's own raises an error for one value per channel, even in evaluation mode, where no other
    example matters. Here the value minus its mean is 0, so that the output is the bias.

    Shape:
        `[B, C, ...]` → the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (0 of one value) of each example of `x` `[B, ...]`.

    Shape:
        both `[B, 1, ...]`, with the dimensions of `x`.
    """
    dims = tuple(range(1, x.dim()))
    mean = x.mean(dim=dims, keepdim=True)
    if x[:1].numel() == 1:
        return mean, torch.zeros_like(mean)
    return mean, x.std(dim=dims, keepdim=True)
