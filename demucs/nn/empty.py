"""A network without weights, for weights that are already there."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from demucs.nn.build import ModelSpec, build_model


def build_empty(spec: ModelSpec) -> nn.Module:
    """The network of `spec` on the "meta" device: parameters with a shape and no memory.

    Give it weights by `load_state_dict(state, assign=True)`. Drawing initial ones first would take
    most of the time of loading, and random numbers from the caller's generator.

    Raises:
        ConfigError: as `build_model`.
    """
    with torch.device("meta"), _NothingDrawn():
        return build_model(spec)


class _NothingDrawn(TorchFunctionMode):
    """Leaves out random numbers; on the meta device even those are seconds of imports."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "").endswith(("uniform_", "normal_")):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
