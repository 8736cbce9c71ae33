"""The nearest experiment to a new one: a changed key begins a new experiment, from nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

from demucs.experiment.record import CHECKPOINT, with_checkpoint
from demucs.experiment.run import ARGV

MOST = 8  # an experiment with more differing keys is not near
DEFAULT = "not given"
NO_MATTER = ("misc.", "dora.", "slurm.", "dset.musdb", "dset.metadata")  # of what is compared
OF_THE_DATA = (
    "dset",
    "dset.sources",
    "dset.channels",
    "dset.samplerate",
)  # not near if these differ


def describe_nearest(experiments: Path, signature: str, argv: Sequence[str]) -> str | None:
    """Says which trained experiment differs least from a new one, and how to continue from it.

    Args:
        experiments: the folder of all experiments.
        signature: of the new one.
        argv: its overrides, such as `epochs=100`.

    Returns:
        A message for the user; None if the experiment is not new, or if none on the same kind of
        data with similar keys has a checkpoint.
    """
    if (experiments / signature / CHECKPOINT).exists():
        return None
    candidates = []
    for other in with_checkpoint(experiments):
        new, old = _by_key(argv), _by_key(_overrides(experiments / other))
        if any(new.get(key) != old.get(key) for key in OF_THE_DATA):
            continue
        differs = _differences(new, old)
        saved = (experiments / other / CHECKPOINT).stat().st_mtime
        candidates.append((len(differs), -saved, other, differs))
    if not candidates or min(candidates)[0] > MOST:
        return None
    _, _, nearest, differs = min(candidates)
    return (
        f"{signature} is a new experiment and starts from the beginning. The nearest that has "
        f"been trained is {nearest}, which differs in {', '.join(differs)}. To start "
        f"from its weights, add continue_from={nearest}; to continue it as it is, give "
        f"-f {nearest} instead of overrides"
    )


def _overrides(folder: Path) -> list[str]:
    try:
        return [str(word) for word in json.loads((folder / ARGV).read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return []


def _by_key(argv: Sequence[str]) -> dict[str, str]:
    """The value of each key that makes an experiment what it is; the last one counts."""
    pairs = (word.lstrip("+").partition("=") for word in argv)
    return {key: value for key, _, value in pairs if not key.startswith(NO_MATTER)}


def _differences(new: dict[str, str], old: dict[str, str]) -> list[str]:
    return [
        f"{key} ({old.get(key, DEFAULT)} there, {new.get(key, DEFAULT)} here)"
        for key in sorted({*new, *old})
        if new.get(key) != old.get(key)
    ] or ["nothing that was typed: conf/ has changed"]
