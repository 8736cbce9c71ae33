"""Reading of the checkpoints of the public Demucs' solver.

`outputs/xps/SIGNATURE/checkpoint.th` is there a pickle of `state`, `best_state`, `optimizer`,
`history`, `args` (an OmegaConf object) and `ema_batch_0`, `ema_epoch_0`, …, which are `state` and
`count`. It is read without running anything of it, and given the form of our own checkpoints
(`demucs.training.state`). Random states and a place inside an epoch it does not have.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from demucs.errors import CheckpointError, ConfigError, ReleaseError
from demucs.nn import build_model
from demucs.release.published import jsonable, network_spec, renamed_state
from demucs.release.unpickle import NETWORKS, check_sums, marker, printable, unpickle

NETWORKS_BY_NAME = {name: full for full, name in NETWORKS.items()}
ORIGIN = "public"  # `origin` of what `read_public_run` returns
DEEPEST = 12  # nested blocks in a configuration; the public one has four
NEEDED = ("state", "best_state", "optimizer", "history", "args")
_FORMATS = {"f2": "<e", "f4": "<f", "f8": "<d", "i4": "<i", "i8": "<q", "b1": "<?"}


class _Node:
    """Stands for any object of OmegaConf: the attributes that the pickle gives it."""

    def __setstate__(self, state: object) -> None:
        self.fields = state if isinstance(state, dict) else {}


class _DType:
    """Stands for NumPy's dtype, of which the kind is all that matters here."""

    def __init__(self, kind: str, *_: object) -> None:
        self.kind = kind

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or state[1:2] not in (("<",), ("|",)):
            raise ValueError("numbers in another order of bytes")


def _scalar(dtype: _DType, data: bytes) -> float | int | bool:
    """A number of NumPy's."""
    (value,) = struct.unpack(_FORMATS[dtype.kind], data)
    return value  # type: ignore[no-any-return]


def _default_dict(*_: object) -> dict[Any, Any]:
    return {}


def _names() -> list[tuple[Any, str]]:
    """The names that such a checkpoint may have beside tensors, and what stands for each."""
    nodes = ["omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig"]
    nodes += ["omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata"]
    kinds = ("Any", "String", "Integer", "Float", "Boolean", "Path")
    nodes += [f"omegaconf.nodes.{kind}Node" for kind in kinds]
    types = [
        "typing.Any",
        *(f"builtins.{kind}" for kind in ("dict", "list", "int", "float", "str")),
    ]
    types += ["builtins.bool"]
    return [
        *((type(name.rpartition(".")[2], (_Node,), {}), name) for name in nodes),
        *((marker(name), name) for name in types),
        (_default_dict, "collections.defaultdict"),
        (_DType, "numpy.dtype"),
        (_scalar, "numpy.core.multiarray.scalar"),
        (_scalar, "numpy._core.multiarray.scalar"),
    ]


NAMES = _names()


def read_public_run(path: Path) -> dict[str, Any]:
    """A checkpoint of the public solver, as one of ours, with `origin` set to `ORIGIN`.

    Raises:
        CheckpointError: it is damaged, names what such a checkpoint does not need, or its parts do
            not fit each other.
    """
    try:
        content = unpickle(path, NAMES, kind="checkpoint of the public Demucs")
        check_sums(path)
    except ReleaseError as error:
        raise CheckpointError(str(error)) from error
    try:
        missing = [key for key in NEEDED if key not in content]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}")
        return _converted(content, path.parent.name)
    except (
        ConfigError, KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError,
        ArithmeticError,
    ) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{path} does not hold a training state of the public Demucs that is known here: "
            f"{printable(reason)}. It is left as it is"
        ) from error


def _converted(content: Mapping[str, Any], signature: str) -> dict[str, Any]:
    config = _plain(content["args"])
    spec = network_spec(NETWORKS_BY_NAME[config["model"]], (), _network_arguments(config))
    with torch.device("meta"):  # only names and shapes are asked of it
        model = build_model(spec)
    state = _weights(content["state"], model)
    history = [_epoch(metrics) for metrics in content["history"]]
    best = {
        **content["state"],
        **(content["best_state"] or {}),
    }  # a moving average has floats alone
    return {
        "origin": ORIGIN,
        "signature": signature,
        "spec": spec.to_dict(),
        "config": config,
        "data": {},
        "model": state,
        "optimiser": dict(content["optimizer"]),
        "step": {},
        "averages": _averages(content, config, content["state"], model),
        "epoch": len(history),
        "batch": 0,
        "sums": [],
        "pending": {},
        "history": history,
        "best": _best(best, config, history, model),
        "rollbacks": [],
    }


def _network_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the public solver builds its network with."""
    dset = config["dset"]
    return {
        **config[config["model"]],
        "sources": dset["sources"],
        "audio_channels": dset["channels"],
        "samplerate": dset["samplerate"],
        "segment": float(config.get("model_segment") or 4 * dset["segment"]),
    }


def _weights(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Weights by our names.

    Raises:
        ValueError: they are of another network than the configuration's.
    """
    weights = renamed_state(state, model)
    shapes = {name: value.shape for name, value in weights.items()}
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    for name in sorted({*shapes, *wanted}):
        if shapes.get(name) != wanted.get(name):
            raise ValueError(
                f"its weights are not those of its configuration: {name} has the shape "
                f"{_shape(shapes.get(name))} and not {_shape(wanted.get(name))}"
            )
    return weights


def _shape(shape: Sequence[int] | None) -> str:
    return "none" if shape is None else str(list(shape))


def _averages(
    content: Mapping[str, Any],
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    model: nn.Module,
) -> dict[str, Any]:
    """The moving averages by name; what is not float32 is not averaged there."""
    averages = {}
    for kind in ("batch", "epoch"):
        for number, decay in enumerate(config["ema"][kind] or ()):
            name = f"ema_{kind}_{number}"
            weights = _weights({**state, **content[name]["state"]}, model)
            mass = float(content[name]["count"])
            averages[name] = {"decay": float(decay), "mass": mass, "state": weights}
    return averages


def _best(
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    model: nn.Module,
) -> dict[str, Any]:
    """The best state and the last epoch that had its value; with `train_valid` it is the last."""
    metric = str(config["test"]["metric"])
    values = [float(epoch["valid"][metric]) for epoch in history]
    value = values[-1]
    if not config["dset"].get("train_valid"):
        value = (max if metric.startswith("nsdr") else min)(filter(math.isfinite, values))
    place = len(values) - 1 - values[::-1].index(value)
    return {
        "state": _weights(state, model),
        "epoch": place + 1,
        "name": metric,
        "metric": value,
        "weights": str(history[place]["valid"].get("bname", "main")),
    }


def _epoch(metrics: Any) -> dict[str, Any]:
    """The metrics of an epoch as plain values."""
    epoch: dict[str, Any] = {stage: _numbers(values) for stage, values in metrics.items()}
    valid = epoch["valid"]
    valid.setdefault("main", {key: value for key, value in valid.items() if key != "bname"})
    return epoch


def _numbers(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _numbers(item) for key, item in value.items()}
    return jsonable(value)


def _plain(node: Any, depth: int = 0) -> Any:
    """The values of an OmegaConf object; what refers to other keys stays text."""
    if not isinstance(node, _Node):
        return jsonable(node)
    if depth > DEEPEST:
        raise ValueError("a configuration inside itself")
    if "_content" not in node.fields:
        return jsonable(node.fields.get("_val"))
    content = node.fields["_content"]
    if isinstance(content, dict):
        return {str(key): _plain(item, depth + 1) for key, item in content.items()}
    if isinstance(content, list):
        return [_plain(item, depth + 1) for item in content]
    return jsonable(content)
