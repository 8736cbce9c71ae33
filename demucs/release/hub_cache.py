"""The cache of models from the Hugging Face Hub, and their names. Imports no torch."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demucs.errors import ModelNotFoundError
from demucs.release.names import HUB
from demucs.release.remote import cache_folder, is_remote

NAMESPACE = "adefossez"  # of the public models
RECORD = "hub.json"  # of what was fetched; written last


def is_hub(name: str) -> bool:
    return name.startswith(HUB)


def parse(name: str) -> tuple[str, str]:
    """Namespace and bag of a name such as `hf://htdemucs_ft` or `hf://someone/mine`.

    Raises:
        ModelNotFoundError: it is not such a name.
    """
    namespace, slash, bag = name.removeprefix(HUB).rpartition("/")
    namespace = namespace if slash else NAMESPACE
    if not all(re.fullmatch(r"\w[\w.-]*", part, re.ASCII) for part in (namespace, bag)):
        raise ModelNotFoundError(
            f"{name!r} is not the name of a model of the hub: give {HUB}NAME, or "
            f"{HUB}NAMESPACE/NAME, such as {HUB}htdemucs_ft"
        )
    return namespace, bag


def repository(namespace: str, bag: str) -> str:
    """The repository of a bag on the hub."""
    if bag == "htdemucs":
        return f"{namespace}/HTDemucs"
    if bag.startswith("htdemucs_"):
        return f"{namespace}/HTDemucs-{bag.removeprefix('htdemucs_')}"
    return f"{namespace}/Demucs-{bag}"


def is_known(namespace: str, signatures: Sequence[str]) -> bool:
    """Whether these are the public models, whose training data is in the catalogue."""
    return namespace == NAMESPACE and all(map(is_remote, signatures))


def hub_folder(namespace: str, bag: str) -> Path:
    """Where a bag of the hub is kept."""
    return cache_folder() / "hub" / namespace / bag


def read_record(folder: Path) -> dict[str, Any] | None:
    """What was fetched into `folder`: `repository`, `commit`, `licence`, `files` (their checksums).

    None if it is not complete.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        complete = all((folder / file).is_file() for file in record["files"])
        return record if complete and {"repository", "commit", "licence"} <= set(record) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fetched_names() -> list[str]:
    """The names, as `hf://NAMESPACE/BAG`, of what was fetched from the hub."""
    folders = sorted((cache_folder() / "hub").glob("*/*"))
    complete = [folder for folder in folders if read_record(folder) is not None]
    return [f"{HUB}{folder.parent.name}/{folder.name}" for folder in complete]
