"""Runs that the public Demucs began, found again by what was typed there.

A signature there has the folders `dset.musdb` and `dset.metadata` in it, where they were typed, and
it is made with the configuration files of that time, a fork's for instance. So such a run is known
by its `.argv.json`, and continued in its own folder with the values of its `.hydra/config.yaml`.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from demucs.errors import CheckpointError
from demucs.experiment.record import is_public_run
from demucs.experiment.run import ARGV, HYDRA_CONFIG
from demucs.files import atomic_path

OVERRIDES = ".hydra/overrides.yaml"
KEPT_CONFIG = ".hydra/config.public.yaml"
_NO_MATTER = ("dora.", "slurm.", "hydra.")


def overrides_of(folder: Path) -> list[str] | None:
    """The overrides of a run, from `.argv.json`, or from what Hydra wrote; None without both.

    Raises:
        OSError, ValueError, yaml.YAMLError: a file that cannot be read.
    """
    path = folder / ARGV
    if path.exists():
        words = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(words, list):
            raise ValueError(f"{path} is not a list of overrides")
        return [str(word) for word in words]
    path = folder / OVERRIDES
    if not path.exists():
        return None
    words = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(words, list):
        raise ValueError(f"{path} is not a list of overrides")
    return [str(word) for word in words if not str(word).startswith("hydra.")]


def find_public_run(
    experiments: Path, argv: Sequence[str], is_excluded: Callable[[str], bool]
) -> Path | None:
    """The folder of the public run with these overrides, but for those without effect.

    Args:
        experiments: `outputs/xps`.
        argv: the overrides.
        is_excluded: whether a key is no part of a signature here.
    """
    wanted = _words(argv, is_excluded)
    for path in sorted(experiments.glob(f"*/{ARGV}")):
        if not is_public_run(path.parent):
            continue
        try:
            there = overrides_of(path.parent) or []
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if _words(there, is_excluded) == wanted:
            return path.parent
    return None


def _words(argv: Sequence[str], is_excluded: Callable[[str], bool]) -> dict[str, str]:
    """The last value of each key, however it was quoted."""
    words = (word.lstrip("+").translate({ord(quote): None for quote in "\"' "}) for word in argv)
    pairs = {key: value for key, _, value in (word.partition("=") for word in words)}
    return {key: value for key, value in pairs.items() if not is_excluded(key)}


def other_values(
    folder: Path, config: Mapping[str, Any], is_excluded: Callable[[str], bool]
) -> dict[str, Any]:
    """The values by key that a public run was trained with, where they differ from `config`.

    Args:
        folder: of the run.
        config: as its overrides make it here, resolved.
        is_excluded: whether a key is no part of a signature here.

    Raises:
        CheckpointError: its `.hydra/config.yaml` cannot be read.
    """
    path = _kept_config(folder)
    if not path.exists():
        return {}
    try:
        there = _flat(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path} cannot be read ({reason}): bring it back from a backup, or move it away to "
            "continue with the values of conf/ here"
        ) from error
    here = _flat(config)
    return {
        key: value
        for key, value in there.items()
        if key in here
        and value != here[key]
        and "${" not in str(value)  # refers to other keys or to the environment
        and not key.startswith(_NO_MATTER)
        and not is_excluded(key)
    }


def _kept_config(folder: Path) -> Path:
    """The configuration of the public run, kept before Hydra writes ours in its place.

    Each task of a job comes by here, and none of them may read what another's Hydra is writing.
    """
    path, kept = folder / HYDRA_CONFIG, folder / KEPT_CONFIG
    if path.exists() and not kept.exists():
        try:
            with atomic_path(kept) as temporary:
                shutil.copyfile(path, temporary)
        except OSError:  # may not be written: it is only looked at
            return path
    return kept


def _flat(block: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(block, Mapping):
        return {prefix[:-1]: block}
    flat: dict[str, Any] = {}
    for key, value in block.items():
        flat.update(_flat(value, f"{prefix}{key}."))
    return flat
