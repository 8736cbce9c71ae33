"""Under which licence each file is: said beside it, on the command line, or unknown."""

import json
from functools import cache
from pathlib import Path

from demucs.errors import DatasetError

UNKNOWN = "unknown"
TABLE = "licences.json"
_TEXTS = ("LICENCE", "LICENSE", "LICENCE.txt", "LICENSE.txt", "LICENCE.md", "LICENSE.md")


def licence_of(path: Path, root: Path, general: str | None = None) -> str:
    """The note on one file.

    The nearest folder from the file up to `root` counts that has something to say: a
    `licences.json` with the file's path below that folder (or `*`, for all) as a key, or else the
    first line of a LICENCE or LICENSE file. Then `general`; then it is unknown.

    Raises:
        DatasetError: a `licences.json` that is no such table.
    """
    folder = path.parent
    while True:
        table = _table(folder / TABLE)
        licence = table.get(path.relative_to(folder).as_posix()) or table.get("*") or _text(folder)
        if licence:
            return licence
        if folder == root or folder == folder.parent:
            return general or UNKNOWN
        folder = folder.parent


@cache
def _table(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise DatasetError(
            f'{path} cannot be used ({error}): write {{"FILE": "licence", ...}}, or move it away'
        ) from error
    return {str(key): str(value) for key, value in content.items()}


@cache
def _text(folder: Path) -> str:
    """The first line of a licence, none if there is no such file."""
    for name in _TEXTS:
        path = folder / name
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
            return next((line.strip() for line in lines if line.strip()), "")[:200]
    return ""
