"""A network that computes on a GPU in 32 bits, in TensorFloat-32 or in bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Mixed(nn.Module):
    """A wrapper that runs `network` in a precision; its transforms and stems are always float32.

    `fp32` rounds to 32 bits everywhere. `tf32` lets convolutions, LSTMs and matrix products round
    their factors to 10 bits of mantissa, as PyTorch lets convolutions by default. `bf16` computes
    them in bfloat16 (automatic mixed precision); norms, sums over frames and the Fourier transforms
    stay in 32 bits.

    All attributes but `forward` are those of the network.

    Shape:
        mixture `[B, C, T]` float32 → stems `[B, S, C, T]` float32.
    """

    def __init__(self, network: nn.Module, precision: str) -> None:
        super().__init__()
        self.network, self.precision = network, precision
        self.train(network.training)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def forward(self, mix: Tensor) -> Tensor:
        halves = torch.autocast(mix.device.type, torch.bfloat16, self.precision == "bf16")
        with _tf32(self.precision != "fp32"), halves:
            stems: Tensor = self.network(mix)
        return stems.float()


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Sets PyTorch's flags for TensorFloat-32, which hold for the process, and restores them."""
    products, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, cudnn.allow_tf32
    products.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32, cudnn.allow_tf32 = before
