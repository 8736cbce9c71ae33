"""The settings that all scores of a folder share, so that none of others are mixed in."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demucs.blind.distil.entry import FOLDER
from demucs.errors import ConfigError
from demucs.files import atomic_path

FILE = "settings.json"


def run_of(settings: Mapping[str, Any]) -> str:
    """A hash of settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def take_place(out: Path, settings: Mapping[str, Any], *, replace: bool = False) -> list[str]:
    """Writes the settings into a folder, or finds that they are there.

    Args:
        out: the folder of all results.
        settings: plain JSON: whatever scores depend on.
        replace: settings that are there may be others: what was made with them is made anew.

    Returns:
        What differs from settings that scores were made with, as `KEY: OLD → NEW`.

    Raises:
        ConfigError: scores of other settings are there, or it is a file.
        OSError: the folder cannot be written.
    """
    check_folder(out)
    path = out / FILE
    there = settings_in(out)
    if there == settings:
        return []
    differs = _differences(there, settings) if there else []
    scored = any((out / FOLDER).glob("*.json"))
    if there and scored and not replace:
        raise ConfigError(
            f"{out} has scores of other settings ({'; '.join(differs)}): give another folder, or "
            "--replace to make them anew"
        )
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return differs if scored else []


def check_folder(out: Path) -> None:
    """Raises ConfigError if the folder of all results is a file."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file: give a folder for the results")


def settings_in(out: Path) -> dict[str, Any]:
    """The settings of a folder; empty where there are none."""
    try:
        content = json.loads((out / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], start: str = "") -> list[str]:
    changes = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes += _differences(before, after, f"{start}{key}.")
        elif before != after:
            changes.append(f"{start}{key}: {_shown(before)} → {_shown(after)}")
    return changes


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) < 40 else f"{text[:12]}…"
