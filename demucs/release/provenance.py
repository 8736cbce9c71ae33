"""Provenance of weights: read from a training checkpoint, written into the release."""

import hashlib
import math
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

import demucs

# Folders of the public Demucs' datasets that have MUSDB18's test songs to train on, and the names
# of these datasets in conf/dset.
WITH_TEST_SONGS = {
    "allstems_test_44": "extra_test",
    "automix_extra_test2": "auto_extra_test",
    "aetl": "aetl",
}


def provenance_of(checkpoint: Mapping[str, Any], checkpoint_sha256: str) -> dict[str, Any]:
    """The description of the run that a release comes from.

    Args:
        checkpoint: as `demucs.release.checkpoint.load_checkpoint` returns it.
        checkpoint_sha256: of the checkpoint's file.

    Returns:
        Plain JSON: `data` (name of the data set's folder, and where the checkpoint has them its
        fingerprint and the `songs` trained on, as `song_mark`), `epochs` (trained), `best` (epoch,
        metric and its name), `checkpoint_sha256`, `versions`, `date` (UTC, ISO 8601) and
        `test_set_seen`. And of weights that were trained for few bits, `quantised`: the keys of the
        configuration, and the size in MB that they could be stored in.
    """
    config = checkpoint.get("config") or {}
    best = checkpoint.get("best") or {}
    quantised = _quantised(checkpoint, config)
    return {
        "data": _data(checkpoint, config),
        "epochs": checkpoint.get("epoch"),
        "best": {
            "epoch": best.get("epoch"),
            "metric": _plain(best.get("metric")),
            "name": best.get("name"),
        },
        "checkpoint_sha256": checkpoint_sha256,
        "versions": {
            "demucs": demucs.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "test_set_seen": _test_set_seen(checkpoint, config),
        **({"quantised": quantised} if quantised else {}),
    }


def song_mark(name: str, frames: int) -> str:
    """The fingerprint of a song that was trained on: a hash of its name and length in samples.

    By it, an evaluation finds out that a model has seen its songs.
    """
    return hashlib.sha256(f"{name}/{frames}".encode()).hexdigest()[:12]


def file_sha256(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _data(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Names of folders only, since paths tell of a machine; and no names of the songs."""
    recorded = dict(checkpoint.get("data") or {})
    recorded.pop("lists", None)
    dset = config.get("dset") or {}
    for key in ("musdb", "wav", "wav2"):
        if isinstance(dset, Mapping) and dset.get(key):
            recorded.setdefault(key, Path(str(dset[key])).name)
    return recorded


def _test_set_seen(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Training reads `train` and `valid` only, so "no", unless it started from other weights.

    Or from datasets that are known to have MUSDB18's test songs in `train`.
    """
    if checkpoint.get("test_set_seen") is not None:
        return str(checkpoint["test_set_seen"])
    dset = config.get("dset")
    for key in ("wav", "wav2"):
        name = Path(str(dset.get(key) or "")).name if isinstance(dset, Mapping) else ""
        if name in WITH_TEST_SONGS:
            return f"yes: dset={WITH_TEST_SONGS[name]} has MUSDB18's test songs"
    for key in ("continue_from", "continue_pretrained"):
        if config.get(key):
            return f"unknown: it was continued from {config[key]}"
    return "no"


def _quantised(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Empty for weights that may have any value."""
    quant = config.get("quant") or {}
    kept = [key for key in ("diffq", "qat") if quant.get(key)]
    if not kept:
        return {}
    if "diffq" in kept:
        kept.append("group_size")
    epoch = int((checkpoint.get("best") or {}).get("epoch") or 0)
    history = checkpoint.get("history") or []
    valid = history[epoch - 1]["valid"] if 0 < epoch <= len(history) else {}
    return {**{key: quant[key] for key in kept}, "size_mb": _plain(valid.get("ms"))}


def _plain(value: Any) -> Any:
    """A number that JSON has: NaN and infinities become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
