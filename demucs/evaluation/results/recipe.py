"""The recipe of a training run: its configuration without its seed, as a fingerprint.

Runs with the same recipe and other seeds differ by chance alone.
"""

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

# No part of what is learnt: places, the machine, and Dora's own settings.
LEFT_OUT = ("seed", "hydra", "hydra.*", "dora", "dora.*", "slurm", "slurm.*", "misc", "misc.*",
            "flag", "test.reval", "dset.musdb", "dset.metadata", "dset.backend", "pretrained_repo",
            "semi.teacher_repo")  # fmt: skip


def recipe_of(config: Mapping[str, Any]) -> str | None:
    """A fingerprint of a resolved training configuration, without its seed.

    None where there is no configuration with a seed, such as of published weights.

    >>> config = {"seed": 42, "optim": {"lr": 3e-4}}
    >>> recipe_of(config) == recipe_of(config | {"seed": 43})
    True
    >>> recipe_of(config) == recipe_of(config | {"optim": {"lr": 1e-4}})
    False
    """
    if seed_of(config) is None:
        return None
    keys = {key: value for key, value in _flat(config, "") if not _is_left_out(key)}
    text = json.dumps(keys, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def seed_of(config: Mapping[str, Any]) -> int | None:
    """The seed of a training configuration; None if it has none."""
    seed = config.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _is_left_out(key: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in LEFT_OUT)


def _flat(config: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    """Keys with dots and their values; a key without a value is as if it was not there.

    So a key that a later version of conf/config.yaml adds, empty, leaves the recipe as it was.
    """
    flat: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{key}.")
        elif value is not None:
            flat.append((f"{prefix}{key}", value))
    return flat
