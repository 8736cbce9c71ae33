"""Multiplications and additions of a network's layers, counted in one run of it."""

from typing import Any

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


@torch.no_grad()
def flops(model: nn.Module, samples: int, convolutions_only: bool = False) -> float:
    """Of the convolutions, LSTMs and linear layers for one mixture of so many samples."""
    total = 0.0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal total
        total += 2 * _products(module, inputs[0], output)

    others = () if convolutions_only else (nn.LSTM, nn.Linear)
    kinds = (*CONVOLUTIONS, *TRANSPOSED, *others)
    hooks = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, kinds)
    ]
    model(torch.randn(1, model.audio_channels, samples))
    for hook in hooks:
        hook.remove()
    return total


def _products(module: nn.Module, x: Tensor, output: Any) -> int:
    if isinstance(module, CONVOLUTIONS):
        taps = module.weight[0]
        if taps.dim() == 3 and x.shape[-2] == 1:
            taps = taps[:, :1]  # those for neighbouring frequencies meet padding alone
        return output.numel() * taps.numel()
    if isinstance(module, TRANSPOSED):
        return x.numel() * module.weight[0].numel()
    if isinstance(module, nn.LSTM):
        steps = x.numel() // x.shape[-1]
        return steps * sum(p.numel() for n, p in module.named_parameters() if "weight" in n)
    return x.numel() // x.shape[-1] * module.weight.numel()
