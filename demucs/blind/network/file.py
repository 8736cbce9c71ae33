"""The file of a trained network: safetensors, with JSON and a checksum; nothing is unpickled."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from demucs.blind.network.quality_network import NetworkConfig, QualityNetwork
from demucs.blind.network.trained import Trained
from demucs.errors import ConfigError, ModelNotFoundError, ReleaseError
from demucs.files import atomic_path
from demucs.release import weights_sha256

FORMAT = "demucs-quality-1"
REMEDY = "Train it again (python3 -m demucs.train_quality), or copy it again."


def save_network(path: str | os.PathLike[str], trained: Trained) -> str:
    """Writes a network with its calibration, whole or not at all; returns the checksum.

    Raises:
        ReleaseError: facts that are not plain JSON.
    """
    network = trained.network
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    content = {
        "sources": list(network.sources),
        "network": asdict(network.config),
        "factors": [factor if math.isfinite(factor) else None for factor in trained.factors],
        "coverage": trained.coverage,
        "facts": dict(trained.facts),
    }
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ReleaseError(f"{path}: its facts are not plain JSON ({error})") from None
    digest = _sha256(state, text)
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata={"format": FORMAT, "info": text, "sha256": digest})
    return digest


def load_network(path: str | os.PathLike[str]) -> Trained:
    """Reads what `save_network` wrote, after checking every byte; in evaluation mode.

    Raises:
        ModelNotFoundError: there is no such file.
        ReleaseError: it is truncated, altered, or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelNotFoundError(f"there is no quality network {path}: check the name")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ReleaseError(f"{path} cannot be read ({error}). {REMEDY}") from error
    if metadata.get("format") != FORMAT or not {"info", "sha256"} <= set(metadata):
        raise ReleaseError(
            f"{path} is no quality network: its format is {metadata.get('format')!r}, not "
            f"{FORMAT!r}. {REMEDY}"
        )
    if _sha256(state, metadata["info"]) != metadata["sha256"]:
        raise ReleaseError(f"{path} is corrupted: its checksum does not match. {REMEDY}")
    try:
        return _built(json.loads(metadata["info"]), state)
    except (ValueError, KeyError, TypeError, ConfigError, RuntimeError) as error:
        raise ReleaseError(
            f"{path} does not fit this version of demucs ({error}): use the one that wrote it"
        ) from error


def _built(content: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> Trained:
    network = QualityNetwork(content["sources"], NetworkConfig(**content["network"]))
    network.load_state_dict(state)
    return Trained(
        network=network.eval(),
        factors=tuple(
            math.inf if factor is None else float(factor) for factor in content["factors"]
        ),
        coverage=float(content["coverage"]),
        facts=dict(content["facts"]),
    )


def _sha256(state: Mapping[str, torch.Tensor], text: str) -> str:
    return hashlib.sha256(f"{weights_sha256(state)}\0{text}".encode()).hexdigest()
