"""Reading of the model files of the public Demucs.

Two formats: `.th`, a pickle of class, arguments, weights and training configuration, and
safetensors with class and arguments as JSON. Weights are of half precision, or packed into few bits
by DiffQ. Beside them `.pt`, torchaudio's weights: see `demucs.release.torchaudio_weights`. Nothing
of a file is ever run: see `demucs.release.unpickle`.
"""

import inspect
import json
import logging
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from demucs.errors import ConfigError, MissingToolError, ModelNotFoundError, ReleaseError
from demucs.nn import MODELS, ModelSpec, build_model
from demucs.release import public_licences as licences
from demucs.release import torchaudio_weights
from demucs.release.info import ReleaseInfo
from demucs.release.names import PICKLED, PLAIN
from demucs.release.provenance import file_sha256
from demucs.release.unpickle import (
    MARKERS,
    NETWORKS,
    QUANTISERS,
    Named,
    check_sums,
    fraction,
    printable,
    unpickle,
)

logger = logging.getLogger(__name__)


def load_published(path: Path, signature: str) -> tuple[nn.Module, ReleaseInfo]:
    """Builds the network of a published file, in evaluation mode, with its description.

    Args:
        path: `.th`, `.safetensors`, or `.pt` of torchaudio.
        signature: its name in the description.

    Raises:
        ModelNotFoundError: there is no such file.
        ReleaseError: it is damaged, not such a file, or of a network that is not here.
        MissingToolError: it needs a package that is not installed: DiffQ, if its weights are packed
            by it, or torchaudio, for a network of `model=torch_hdemucs`.
    """
    model, info, _ = _opened(path, signature)
    return model.eval(), info


def read_published(path: Path, signature: str) -> tuple[dict[str, Tensor], ReleaseInfo]:
    """The weights of a published file by our names, in the precision that they have there.

    Those that DiffQ packed are unpacked, in float32.

    Raises: as `load_published`.
    """
    model, info, stored = _opened(path, signature)
    state = model.state_dict()
    return {name: tensor.to(stored.get(name, tensor).dtype) for name, tensor in state.items()}, info


def _opened(path: Path, signature: str) -> tuple[nn.Module, ReleaseInfo, Mapping[str, Tensor]]:
    """Network, description, and the weights as they are stored if they are not packed."""
    if path.suffix == PLAIN:
        return *_load_torchaudio(path, signature), {}
    content = unpickle(path) if path.suffix == PICKLED else _read_safetensors(path)
    try:
        spec = _spec(content)
        model = build_model(spec)
        stored = _load_state(model, content["state"])
    except (
        ConfigError, KeyError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError,
    ) as error:  # fmt: skip
        raise ReleaseError(
            f"{path} does not hold a model of the public Demucs that is known here: "
            f"{printable(str(error))}"
        ) from error
    config = content.get("training_args")
    info = ReleaseInfo(
        signature=signature,
        spec=spec,
        config=jsonable(config) if isinstance(config, Mapping) else {},
        provenance={"published": path.name, "file_sha256": file_sha256(path)},
        licence=licences.ELSEWHERE,
    )
    return model, info, stored


def _load_torchaudio(path: Path, signature: str) -> tuple[nn.Module, ReleaseInfo]:
    try:
        model = torchaudio_weights.load_hdemucs_high(unpickle(path))
        check_sums(path)  # its name has no checksum
    except ValueError as error:
        raise ReleaseError(f"{path} does not hold torchaudio's HDemucs: {error}") from error
    info = ReleaseInfo(
        signature=signature,
        spec=torchaudio_weights.HDEMUCS_HIGH,
        config={},
        provenance={"published": path.name, "file_sha256": file_sha256(path)},
        licence=licences.TORCHAUDIO,
    )
    return model.eval(), info


def is_published(path: Path) -> bool:
    """Whether a file is in one of the public formats, rather than a release of ours."""
    if path.suffix in (PICKLED, PLAIN):
        return True
    try:
        with safe_open(path, framework="pt") as file:
            return "klass" in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return False


def _spec(content: Any) -> ModelSpec:
    """The network that a file asks for, by the class it names and its arguments."""
    if not isinstance(content, Mapping):
        raise ValueError("it is not a package of class, arguments and weights")
    klass = content["klass"]
    full = klass.name if isinstance(klass, type) and issubclass(klass, Named) else klass
    return network_spec(full, content["args"], content["kwargs"])


def network_spec(full: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ModelSpec:
    """The network of a public class with its arguments.

    Args:
        full: the name of the class, such as `demucs.hdemucs.HDemucs`.
        args, kwargs: its arguments; those that our network no longer has are dropped.

    Raises:
        ValueError: the class is not a public network.
    """
    if full not in NETWORKS:
        raise ValueError(f"its class is {full!r}, not one of {', '.join(NETWORKS)}")
    name = NETWORKS[full]
    parameters = inspect.signature(MODELS[name].__init__).parameters
    positional = [name for name in parameters if name != "self"]
    arguments = dict(zip(positional, args, strict=False)) | dict(kwargs)
    unknown = sorted(set(arguments) - set(positional))
    if unknown:
        logger.warning("arguments that the network no longer has are dropped: %s", unknown)
    known = {key: jsonable(value) for key, value in arguments.items() if key in positional}
    return ModelSpec(name=name, kwargs=known)


def _load_state(model: nn.Module, state: Any) -> Mapping[str, Tensor]:
    """Returns the weights by our names, or nothing where they are packed."""
    if not isinstance(state, Mapping):
        raise ValueError("its weights are not a dictionary")
    if state.get("__quantized"):
        _restore_quantised(model, state)
        return {}
    renamed = renamed_state(state, model)
    model.load_state_dict(renamed)
    return renamed


def renamed_state(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Weights of a public network by the names that ours has.

    Time-domain models of before the residual branches have no place 3 in their layers."""
    present = model.state_dict().keys()
    weights = {}
    for key, value in state.items():
        half, number, place, *rest = [*key.split("."), "", "", ""][:4]
        moved = f"{half}.{number}.3.{rest[0]}"
        old = place == "2" and key not in present and moved in present and moved not in state
        weights[moved if old else key] = value
    return weights


def _restore_quantised(model: nn.Module, state: Mapping[str, Any]) -> None:
    try:
        import diffq
    except ImportError:
        raise MissingToolError(
            "its weights are packed by DiffQ: pip install diffq (its licence, CC BY-NC 4.0, allows "
            "no commercial use), or choose the model of the same name without q"
        ) from None
    meta = dict(state["meta"])
    named = meta["klass"]
    full = named.name if isinstance(named, type) and issubclass(named, Named) else named
    if full not in QUANTISERS:
        raise ValueError(f"its quantiser is {full!r}")
    meta["klass"] = getattr(diffq, full.rpartition(".")[2])
    diffq.restore_quantized_state(model, {**state, "meta": meta})


def _read_safetensors(path: Path) -> dict[str, Any]:
    """The package of a safetensors file."""
    if not path.is_file():
        raise ModelNotFoundError(f"There is no model file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return {
            "klass": metadata["klass"],
            "args": _decoded(json.loads(metadata["args"])),
            "kwargs": _decoded(json.loads(metadata["kwargs"])),
            "state": _nested(json.loads(metadata["structure"]), tensors)
            if "structure" in metadata
            else tensors,
        }
    except (
        SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError, ArithmeticError,
    ) as error:  # fmt: skip
        raise ReleaseError(
            f"{path} cannot be read: damaged, or not a published model ({printable(str(error))}). "
            "Copy or download it again."
        ) from error


def _decoded(value: Any) -> Any:
    """Arguments, of which fractions are written as numerator and denominator."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return fraction(int(value["numerator"]), int(value["denominator"]))
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _nested(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Weights packed by DiffQ: containers, in which tensors are given by name."""
    if not isinstance(node, dict):
        return node
    if "_tensor" in node:
        return tensors[node["_tensor"]]
    if "_dict" in node:
        return {key: _nested(item, tensors) for key, item in node["_dict"]}
    if "_list" in node:
        return [_nested(item, tensors) for item in node["_list"]]
    if "_tuple" in node:
        return tuple(_nested(item, tensors) for item in node["_tuple"])
    if node.get("_class") in MARKERS:
        return MARKERS[node["_class"]]
    raise ValueError(f"it names {node.get('_class', node)!r}, which no published model needs")


def jsonable(value: Any) -> Any:
    """Fractions as numbers, tuples as lists; what JSON does not have, as text."""
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
