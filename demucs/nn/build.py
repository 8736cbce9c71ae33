"""Models by name: what a configuration or a release says, made into a network."""

import inspect
import json
from dataclasses import dataclass
from typing import Any

from torch import nn

from demucs.errors import ConfigError
from demucs.nn.demucs import Demucs
from demucs.nn.hdemucs import HDemucs
from demucs.nn.htdemucs import HTDemucs
from demucs.nn.torch_hdemucs import TorchHDemucs

MODELS: dict[str, type[nn.Module]] = {
    "demucs": Demucs,
    "hdemucs": HDemucs,
    "htdemucs": HTDemucs,
    "torch_hdemucs": TorchHDemucs,
}


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
    if spec.name not in MODELS:
        raise ConfigError(f"unknown model {spec.name!r}; there are: {', '.join(sorted(MODELS))}")
    model = MODELS[spec.name]
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
