"""Songs that are written already, and those of them that have to go."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demucs.data.tracks import LABELS_FILE
from demucs.errors import DatasetError

FORMAT = "demucs-distilled-1"
FACTS = LABELS_FILE


def read_facts(folder: Path) -> dict[str, Any] | None:
    """The `distilled.json` of a song; None where there is none, or a broken one."""
    try:
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def check_others(folder: Path, kept: Sequence[str], *, prune: bool) -> list[str]:
    """Removes songs that are no longer selected, if that is wanted; returns their names.

    Raises:
        DatasetError: there are some, and nobody said that they may be removed; or there is a
            folder of something else.
    """
    if not folder.is_dir():
        return []
    names = set(kept)
    others = sorted(
        one.name for one in folder.iterdir() if one.name[0] != "." and one.name not in names
    )
    foreign = [name for name in others if read_facts(folder / name) is None]
    if foreign:
        raise DatasetError(
            f"{folder / foreign[0]} is no song of tools.distil: move it out of the folder"
        )
    if others and not prune:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if others[5:] else "")
        raise DatasetError(
            f"{folder} has songs that are no longer selected ({shown}): give --prune to remove "
            "them, or another folder"
        )
    for name in others:
        hidden = folder / f".{name[:80]}.gone-{os.getpid()}"
        (folder / name).rename(hidden)  # at once, so that nobody reads half a song
        shutil.rmtree(hidden)
    return others
