"""Precision of training: 32 bits, TensorFloat-32 or 16 bits; and compiled networks."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from demucs.errors import ConfigError

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """How a step computes. Weights, optimiser and averages stay in 32 bits in any case.

    `fp32` leaves everything as PyTorch has it. `tf32` lets matrix products on the GPU round to
    TensorFloat-32. `bf16` and `fp16` compute convolutions and matrix products in 16 bits (automatic
    mixed precision); Fourier transforms and losses stay in 32. With `fp16` the loss is scaled, so
    that small gradients do not vanish (Micikevicius et al., 1710.03740).

    Args:
        name: `fp32`, `tf32`, `bf16` or `fp16`.
        device: where the step runs.

    Raises:
        ConfigError: the device cannot do it.
    """

    def __init__(self, name: str = "fp32", device: torch.device | str = "cpu") -> None:
        self.name, self.device = name, torch.device(device)
        if name == "tf32":
            _allow_tf32(self.device)
        self.scaler = torch.amp.GradScaler(self.device.type) if name == "fp16" else None

    def autocast(self) -> AbstractContextManager[Any]:
        """Inside, layers compute in this precision."""
        if self.name not in _HALF:
            return nullcontext()
        return torch.autocast(self.device.type, _HALF[self.name])

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of `loss`, scaled if that is needed."""
        scaled: Tensor = loss if self.scaler is None else self.scaler.scale(loss)
        scaled.backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimiser: torch.optim.Optimizer) -> None:
        """Takes the scale out of the gradients."""
        if self.scaler is not None:
            self.scaler.unscale_(optimiser)

    def apply(self, optimiser: torch.optim.Optimizer, *, finite: bool) -> bool:
        """Updates the weights if the gradients are finite.

        Returns:
            Whether gradients that are not finite were only a scale that was too large; the next
            step then has a smaller one.
        """
        if finite and self.scaler is None:
            optimiser.step()
        elif self.scaler is not None:
            self.scaler.step(optimiser)
            self.scaler.update()
            return not finite and self.scaler.get_scale() >= 1
        return False

    def state_dict(self) -> dict[str, Any]:
        return {} if self.scaler is None else self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.scaler is not None and state:
            self.scaler.load_state_dict(state)


def _allow_tf32(device: torch.device) -> None:
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        raise ConfigError(
            f"precision=tf32 needs a GPU with TensorFloat-32 (Ampere or later), and this run is on "
            f"{device}: use precision=fp32 or bf16"
        )
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True


_GRAPHS = 64  # of one function; each layer of the network needs one of its own


def compiled(model: nn.Module, backend: str = "inductor") -> nn.Module:
    """The model, compiled for the shapes that it meets.

    LSTMs stay as they are and part the network into a graph a layer. PyTorch allows a function,
    such as the `forward` that all encoder layers share, 8 graphs, and runs further layers
    uncompiled: here it may have more. To take the LSTMs in (`allow_rnn`) makes one graph of the
    network, but unrolls them in time: it had not been compiled after 8 minutes.
    """
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _GRAPHS)
    made: nn.Module = torch.compile(model, dynamic=False, backend=backend)  # type: ignore[assignment]
    return made
