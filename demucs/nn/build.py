"""Models by name: builds the network that a configuration or a release describes."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from demucs.errors import ConfigError
from demucs.nn.demucs import Demucs
from demucs.nn.hdemucs import HDemucs
from demucs.nn.htdemucs import HTDemucs
from demucs.nn.torch_hdemucs import TorchHDemucs
from demucs.plugins import load_plugins, unknown

Network = TypeVar("Network", bound=type[nn.Module])
GIVEN = ("sources", "audio_channels", "samplerate", "segment")  # to every model

MODELS: dict[str, type[nn.Module]] = {
    "demucs": Demucs,
    "hdemucs": HDemucs,
    "htdemucs": HTDemucs,
    "torch_hdemucs": TorchHDemucs,
}
BUILT_IN = frozenset(MODELS)  # those with a block of arguments in conf/config.yaml


def register_model(name: str) -> Callable[[Network], Network]:
    """Decorates a network of the user, which is then `model=NAME` and may be in releases.

    It takes at least the keywords `sources`, `audio_channels`, `samplerate` (Hz) and `segment`
    (seconds), keeps them as attributes, and maps mixtures `[B, C, T]` to stems `[B, S, C, T]`.
    Its other arguments come from `model_args`, and must be what JSON holds.

    Raises:
        ConfigError: the name is taken by another class, or an argument is missing.
    """

    def register(model: Network) -> Network:
        taken = MODELS.get(name)
        if taken is not None and taken.__qualname__ != model.__qualname__:
            raise ConfigError(
                f"the model name {name!r} is taken by {taken.__qualname__}: choose another"
            )
        missing = [
            argument
            for argument in GIVEN
            if argument not in inspect.signature(model.__init__).parameters
        ]
        if missing:
            raise ConfigError(
                f"{model.__qualname__} must take the arguments {', '.join(GIVEN)} to be the model "
                f"{name!r}; it lacks {', '.join(missing)}"
            )
        MODELS[name] = model
        return model

    return register


def find_model(name: object) -> type[nn.Module]:
    """The class with this name, which a plugin may have registered.

    Raises:
        ConfigError: nobody has registered it.
    """
    if name not in MODELS:
        load_plugins()
    if name not in MODELS:
        raise ConfigError(unknown("model", name, MODELS))
    return MODELS[str(name)]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model's name in `MODELS` and its keyword arguments, all JSON-serialisable."""

    name: str
    kwargs: dict[str, Any]

    def __post_init__(self) -> None:
        try:
            json.dumps(self.kwargs)
        except TypeError as error:
            raise ConfigError(
                f"the arguments of model={self.name} must be plain: {error}"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "kwargs": dict(self.kwargs)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ModelSpec":
        return cls(name=data["name"], kwargs=dict(data["kwargs"]))


def build_model(spec: ModelSpec) -> nn.Module:
    """Builds the network of `spec` with fresh weights.

    The network has the attributes `sources`, `audio_channels`, `samplerate` (Hz) and `segment`
    (seconds), and maps a mixture `[B, C, T]` to stems `[B, S, C, T]`.

    Raises:
        ConfigError: an unknown model, or an argument the model does not have or accept.
        MissingToolError: `torch_hdemucs` without torchaudio.
    """
    model = find_model(spec.name)
    known = inspect.signature(model.__init__).parameters
    unknown = sorted(set(spec.kwargs) - set(known))
    if unknown:
        raise ConfigError(
            f"model {spec.name!r} has no argument {', '.join(unknown)}; it has: "
            + ", ".join(name for name in known if name != "self")
        )
    try:
        return model(**spec.kwargs)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model {spec.name!r} cannot be built: {error}") from error


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
