"""The result of each track as JSON (`demucs --json FILE`)."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from demucs import __version__
from demucs.errors import AudioError
from demucs.files import atomic_path
from demucs.separate.options import STANDARD


class Summary:
    """Collects the results of the command.

    The JSON object has `version`, `model`, `out` (the folder), `complete` (false if the command
    was interrupted), the numbers `done`, `skipped` and `failed`, `elapsed` (seconds) and `tracks`:
    for each of them `track`, `status` ("done", "skipped" or "failed") and, where they are known,
    `stems` (name → file), `seconds` (of audio), `elapsed`, `gain` (of all stems but floats) and
    `error`. A byte of a name that is not Unicode is written like on the terminal, e.g. 0xe9 as
    `\\udce9`.

    Args:
        model: its name.
        folder: of the stems.
        json: file of the summary, `-` for standard output; None: it is not written.
    """

    def __init__(self, model: str, folder: Path, json: Path | None) -> None:
        self._model, self._folder, self._json = model, folder, json
        self._began = time.monotonic()
        self.tracks: list[dict[str, Any]] = []

    def add(self, track: Path, status: str, **facts: Any) -> None:
        self.tracks.append({"track": str(track), "status": status, **facts})

    def count(self, status: str) -> int:
        return sum(track["status"] == status for track in self.tracks)

    def as_dict(self, complete: bool) -> dict[str, Any]:
        return {
            "version": __version__,
            "model": self._model,
            "out": str(self._folder),
            "complete": complete,
            **{status: self.count(status) for status in ("done", "skipped", "failed")},
            "elapsed": round(time.monotonic() - self._began, 3),
            "tracks": self.tracks,
        }

    def write(self, complete: bool) -> None:
        """Writes the summary to the file of `--json`, if there is one.

        Raises:
            AudioError: the file cannot be written.
        """
        path = self._json
        if path is None:
            return
        text = json.dumps(_readable(self.as_dict(complete)), indent=2) + "\n"
        if path == STANDARD:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        write_json(path, text)


def write_json(path: Path, text: str) -> None:
    """Writes the file of `--json`.

    Raises:
        AudioError: the file cannot be written.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device
            path.write_text(text, encoding="utf-8")
            return
        with atomic_path(path.resolve()) as temporary:  # a link stays one
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AudioError(
            f"Cannot write --json {path}: {error.strerror}. Check the folder, its permissions "
            "and the space on the disk."
        ) from error


def _readable(value: Any) -> Any:
    """`value` with names that are not Unicode written like on the terminal.

    Such a byte, e.g. 0xe9, is a lone surrogate in Python, which many readers of JSON refuse: here
    it is `\\udce9`.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_readable(name): _readable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    return value
