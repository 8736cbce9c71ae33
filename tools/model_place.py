"""Finds a model for the SLURM scripts: `python3 -m tools.model_place NAME FOLDER`.

Prints `local` if all that NAME means is in FOLDER, `published` if the rest can be fetched, and
nothing if a part of it is in neither place. Imports no torch, since it runs before a job is queued.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import sys
from collections.abc import Sequence
from pathlib import Path

from demucs.process.command import run_command
from demucs.process.tool import reports_errors
from demucs.release.bagfile import bag_of_name
from demucs.release.hub_cache import is_hub
from demucs.release.names import model_files, name_of
from demucs.release.remote import is_remote


def place(name: str, folder: Path) -> str | None:
    """ "local", "published" or None.

    Raises:
        DemucsError: a list of models that is not one, e.g. with a wrong weight.
    """
    local = {name_of(file) for file in model_files(folder)}
    if name in local:
        return "local"
    if is_hub(name):
        return "published"
    listed = bag_of_name(name)
    names = [name] if listed is None else listed.models
    if all(name in local for name in names):
        return "local"
    return "published" if all(name in local or is_remote(name) for name in names) else None


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 2:
        print(__doc__)
        return 0 if "--help" in arguments else 2
    print(place(arguments[0], Path(arguments[1])) or "")
    return 0


if __name__ == "__main__":
    run_command(main)
