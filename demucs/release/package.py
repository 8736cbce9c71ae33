"""The release file: safetensors, with a JSON description and a checksum in its metadata.

Nothing in a release is ever executed: tensors are raw bytes, and the description is JSON.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import demucs
from demucs.errors import ConfigError, ModelNotFoundError, ReleaseError
from demucs.files import atomic_path, check_readable, path_errors
from demucs.nn import ModelSpec, build_empty
from demucs.release.info import ReleaseInfo

FORMAT = "demucs-release-1"
REMEDY = (
    "Export it again (python3 -m tools.export SIG --force) or copy it again from where it came."
)
PathLike = str | os.PathLike[str]


def save_release(path: PathLike, state: Mapping[str, Tensor], info: ReleaseInfo) -> str:
    """Writes `state` and `info` as one release file, atomically.

    Args:
        path: the file to write; by custom `SIGNATURE.safetensors`.
        state: the model's state dict; floats may be of half precision.
        info: the description of the release.

    Returns:
        The sha256 over tensors and description, which the file contains.

    Raises:
        ReleaseError: a description that is not plain JSON, or an empty state.
        OSError: the folder cannot be written, or the disk is full.
    """
    if not state:
        raise ReleaseError(f"{path}: the release would hold no weights; give a model's state.")
    # Copies: safetensors refuses tensors that share memory or are not contiguous.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    text = info.to_json()
    digest = _release_sha256(tensors, text)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "info": text, "sha256": digest})
    return digest


def load_release(path: PathLike) -> tuple[nn.Module, ReleaseInfo]:
    """Builds the model of a release, in evaluation mode, after checking every byte of it.

    The weights are the file itself, mapped into memory: private to this process where they are
    written to. Those of half precision are widened to the model's own float32.

    Raises:
        ModelNotFoundError: there is no such file.
        ReleaseError: the file is truncated, altered, of another format, or for another version
            of this package.
    """
    tensors, info = read_release(path)
    try:
        model = _assembled(info.spec, tensors)
    except (ConfigError, RuntimeError) as error:
        raise ReleaseError(
            f"{path} does not fit this version of demucs: {error}{_exported_by(info)}"
        ) from error
    return model.eval(), info


def _exported_by(info: ReleaseInfo) -> str:
    """The remedy for a release of another version; empty if it is of this version."""
    version = info.provenance.get("versions", {}).get("demucs", "of an unknown version")
    if version == demucs.__version__:
        return ""
    return f". It was exported by demucs {version}: install that one, or export it again."


def _assembled(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The model with these tensors as its weights; none are drawn first, which takes seconds."""
    model = build_empty(spec)
    types = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    widened = {name: tensor.to(types.get(name, tensor.dtype)) for name, tensor in tensors.items()}
    model.load_state_dict(widened, assign=True)
    return model


def read_release(path: PathLike) -> tuple[dict[str, Tensor], ReleaseInfo]:
    """Reads weights, as they are stored, and description, after checking every byte of the file.

    Raises:
        ModelNotFoundError: there is no such file.
        ReleaseError: the file is truncated, altered or of another format.
    """
    metadata, tensors = _open(Path(path), weights=True)
    if _release_sha256(tensors, metadata["info"]) != metadata["sha256"]:
        raise ReleaseError(f"{path} is corrupted: its checksum does not match. {REMEDY}")
    return tensors, _parse(Path(path), metadata["info"])


def read_release_info(path: PathLike) -> ReleaseInfo:
    """Reads the description only: fast, and without the checksum of the weights.

    Raises:
        ModelNotFoundError: there is no such file.
        ReleaseError: the header is unreadable or of another format.
    """
    metadata, _ = _open(Path(path), weights=False)
    return _parse(Path(path), metadata["info"])


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes of `state`, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _release_sha256(tensors: Mapping[str, Tensor], text: str) -> str:
    return hashlib.sha256(f"{weights_sha256(tensors)}\0{text}".encode()).hexdigest()


def _open(path: Path, *, weights: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata, and the tensors if `weights`; every way to be unreadable is one error."""
    with path_errors():
        if not path.exists():
            raise ModelNotFoundError(f"There is no release {path}. Check the name and the folder.")
    check_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            _check_format(path, metadata)
            names = sorted(file.keys()) if weights else []
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ReleaseError(
            f"{path} cannot be read: truncated, altered or not a safetensors file ({error}). "
            + REMEDY
        ) from error
    return metadata, tensors


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    present = metadata.get("format")
    if present != FORMAT or not {"info", "sha256"} <= set(metadata):
        raise ReleaseError(
            f"{path} is not a release of this project: its format is {present!r}, not {FORMAT!r}. "
            + REMEDY
        )


def _parse(path: Path, text: str) -> ReleaseInfo:
    try:
        return ReleaseInfo.from_json(text)
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ReleaseError(f"{path} has an unreadable description ({error!r}). {REMEDY}") from error
