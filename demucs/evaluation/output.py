"""Output files of an evaluation: where they go, what is there, and whether it can start."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs.errors import ConfigError
from demucs.files import atomic_path

if TYPE_CHECKING:
    from demucs.data import Track
    from demucs.evaluation import Results


def check_place(out: Path | None) -> None:
    """Raises ConfigError if results cannot be written there, before anything is measured."""
    if out is None:
        return
    if out.suffix != ".json" or out.is_dir():
        raise ConfigError(f"--out {out}: give a file that ends in .json")
    try:
        with atomic_path(out.with_name(f"{out.stem}.try.json")) as temporary:
            temporary.write_text("{}")
            raise _Tried
    except _Tried:
        pass
    except OSError as error:
        raise ConfigError(
            f"--out {out}: results cannot be written there ({error.strerror or error})"
        ) from None


class _Tried(Exception):
    """The folder can be written; nothing stays there."""


def keep_other(out: Path, run: str) -> None:
    """Results of other settings, or of other weights, are kept under a name of their own."""
    from demucs.evaluation import Results

    try:
        other = Results.load(out).data.get("run")
    except ConfigError:
        return
    if other in (None, run):
        return
    for end in (".json", ".csv", "_windows.csv"):
        path = out.with_name(f"{out.stem}{end}")
        if path.exists():
            path.replace(out.with_name(f"{out.stem}-{other}{end}"))
    kept = out.with_name(f"{out.stem}-{other}.json")
    print(f"the results that were there, measured otherwise, are now {kept}", file=sys.stderr)


def finished(out: Path, data: dict[str, Any], tracks: "Sequence[Track]") -> "Results | None":
    """Results that are there already: of the same tracks, measured in the same way, none failed."""
    from demucs.evaluation import Results

    try:
        results = Results.load(out)
    except ConfigError:
        return None
    same = all(results.data.get(key) == data[key] for key in ("run", "files"))
    same = same and set(results.tracks) == {track.name for track in tracks}
    same = same and out.with_suffix(".csv").exists()
    return results if same and results.complete and not results.failed() else None


def check_device(device: str | None) -> None:
    """Raises ConfigError if there is no such device, before the first song fails by it."""
    import torch

    if device is None:
        return
    try:
        torch.zeros(1, device=device).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {device} cannot be used here: {reason}") from None
