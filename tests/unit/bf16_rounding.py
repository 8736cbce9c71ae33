"""Arithmetic in bfloat16 that no processor has a say in: float32, rounded where bfloat16 rounds."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = {
    F.conv1d, F.conv2d, F.conv_transpose1d, F.conv_transpose2d, F.linear, torch.addmm, torch.mm,
    torch.matmul, torch.bmm, Tensor.matmul, Tensor.mm, Tensor.__matmul__, torch.lstm,
}  # fmt: skip


class Emulated(TorchFunctionMode):
    """Products of bfloat16 tensors are summed in float32, and the sums rounded to bfloat16.

    That is what processors with bfloat16 units do. All else (norms, activations, additions) PyTorch
    computes in float32 and rounds, on any processor. An LSTM rounds its output only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in PRODUCTS or torch.bfloat16 not in _dtypes((args, kwargs)):
            return func(*args, **kwargs)
        self.seen.add(func.__name__)
        return _cast(func(*_cast(args, torch.float32), **_cast(kwargs, torch.float32)))


class Convolutions(TorchDispatchMode):
    """Convolutions in 16 bits that a library is asked for, with their strides."""

    def __init__(self) -> None:
        super().__init__()
        self.strides: list[tuple[str, tuple[int, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().split("::")[1]
        if "convolution" in name and args[0].element_size() == 2:
            place = 4 if name.startswith(("convolution_backward", "_convolution_pointwise")) else 3
            transposed = name == "convolution" and args[6]
            label = "transposed" if transposed else name
            self.strides.append((label, tuple(args[place])))
        return func(*args, **(kwargs or {}))


def _cast(values: Any, dtype: torch.dtype = torch.bfloat16) -> Any:
    """All tensors of floats, also in lists, in another type."""
    if isinstance(values, Tensor):
        return values.to(dtype) if values.is_floating_point() else values
    if isinstance(values, dict):
        return {name: _cast(value, dtype) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_cast(value, dtype) for value in values)
    return values


def _dtypes(values: Any) -> set[torch.dtype]:
    if isinstance(values, Tensor):
        return {values.dtype}
    if isinstance(values, dict):
        values = list(values.values())
    return set().union(*map(_dtypes, values)) if isinstance(values, list | tuple) else set()
