"""Writing model files that the public Demucs reads: the inverse of `demucs.release.published`."""

import json
import pickle
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor

from demucs.errors import ReleaseError
from demucs.files import atomic_path
from demucs.nn import ModelSpec
from demucs.release.provenance import file_sha256
from demucs.release.unpickle import MARKERS, NETWORKS, Named

DIGITS = 8  # of the checksum in the name


def save_published(
    folder: Path, signature: str, spec: ModelSpec, state: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> Path:  # fmt: skip
    """Writes `FOLDER/SIGNATURE-CHECKSUM.th`, atomically; weights keep their precision.

    The same model gives the same bytes, and so the same name.

    Args:
        folder: where to.
        signature: of the model.
        spec: the network; one that the public package has.
        state: its weights.
        config: its training configuration, plain values.

    Raises:
        ReleaseError: a network that the public package does not have.
        OSError: the folder cannot be written.
    """
    content = {
        "klass": MARKERS[_class_of(spec)],
        "args": (),
        "kwargs": _arguments(spec),
        "state": {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
        "training_args": dict(config),
    }
    with atomic_path(folder / f"{signature}.th") as temporary:
        with temporary.open("wb") as file:  # of a path, its name would be written into the file
            torch.save(content, file, pickle_module=_PICKLE)
        checksum = file_sha256(temporary)[:DIGITS]
    return (folder / f"{signature}.th").replace(folder / f"{signature}-{checksum}.th")


def save_published_safetensors(path: Path, spec: ModelSpec, state: Mapping[str, Tensor]) -> Path:
    """Writes weights with class and arguments as JSON, atomically; weights keep their precision.

    Raises: as `save_published`.
    """
    arguments = {key: _encoded(value) for key, value in _arguments(spec).items()}
    metadata = {"klass": _class_of(spec), "args": "[]", "kwargs": json.dumps(arguments)}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    return path


def _class_of(spec: ModelSpec) -> str:
    for full, name in NETWORKS.items():
        if name == spec.name:
            return full
    raise ReleaseError(f"the public Demucs has no network {spec.name}: it has {list(NETWORKS)}")


def _arguments(spec: ModelSpec) -> dict[str, Any]:
    """A network separates in chunks as it was trained: its length is exact, as a fraction."""
    kwargs = dict(spec.kwargs)
    if spec.name == "htdemucs" and "segment" in kwargs:
        kwargs["segment"] = Fraction(kwargs["segment"]).limit_denominator(100_000)
    return kwargs


def _encoded(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    return value


_PurePickler: Any = pickle._Pickler  # the C version has no such hook


class _Pickler(_PurePickler):  # type: ignore[misc]
    """Writes a marker as the class that it stands for, which is not installed here."""

    dispatch: ClassVar[dict[type, Any]] = dict(_PurePickler.dispatch)

    def save_type(self, obj: Any) -> None:
        if isinstance(obj, type) and issubclass(obj, Named):
            module, _, name = obj.name.rpartition(".")
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
            self.memoize(obj)
        else:
            super().save_type(obj)

    dispatch[type] = save_type


_PICKLE = SimpleNamespace(Pickler=_Pickler, __name__="pickle")
