"""A network that computes on a GPU in 32 bits, in TensorFloat-32 or in bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from demucs.errors import ConfigError

GPU_PRECISIONS = ("fp32", "tf32", "bf16")


class Mixed(nn.Module):
    """What `network` computes, in a precision; its transforms and stems are float32 in any case.

    `fp32` rounds to 32 bits everywhere. `tf32` lets convolutions, LSTMs and matrix products round
    their factors to 10 bits of mantissa, as PyTorch lets convolutions by default. `bf16` computes
    them in bfloat16 (automatic mixed precision); norms, sums over frames and the Fourier transforms
    stay in 32 bits.

    All that is asked of it but `forward` is the network's own.

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
    """PyTorch's settings meanwhile, which are the process's and count when work is launched."""
    products, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, cudnn.allow_tf32
    products.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32, cudnn.allow_tf32 = before


def mixed(network: nn.Module, precision: str | None, device: torch.device) -> nn.Module:
    """`network` as it is to run on a GPU; None: tf32 where the GPU has it, else fp32.

    Raises:
        ConfigError: a precision that this GPU, or this kind of device, does not have.
    """
    if device.type != "cuda":
        if precision in (None, "fp32"):
            return network
        raise ConfigError(
            f"precision={precision} is for the cpu or a CUDA GPU; on {device} give none (fp32)."
        )
    recent = torch.cuda.get_device_capability(device) >= (8, 0)
    precision = precision or ("tf32" if recent else "fp32")
    if precision not in GPU_PRECISIONS:
        raise ConfigError(f"precision={precision!r}: choose {' or '.join(GPU_PRECISIONS)}.")
    if precision != "fp32" and not recent:
        raise ConfigError(
            f"precision={precision} needs a GPU of the Ampere generation or later, and "
            f"{torch.cuda.get_device_name(device)} is older: use fp32."
        )
    return Mixed(network, precision)
