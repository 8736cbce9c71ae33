"""The group's hyper-parameters, read from the script that trains with them."""

import shlex
from pathlib import Path

from demucs.errors import ConfigError

SCRIPT = Path(__file__).resolve().parents[2] / "slurm_scripts" / "train_slurm.sh"
EPOCHS = 390  # the default of the script
BEGIN, END = "overrides=(", ")"


def group_run(epochs: int = EPOCHS, script: Path = SCRIPT) -> list[str]:
    """The overrides of the group's run, from the array `overrides` at the head of `script`.

    They are in the script alone, so that a grid and `sbatch` never train two different things.

    Raises:
        ConfigError: there is no such script (the package was installed without the repository),
            or its array cannot be read without a shell.
    """
    try:
        lines = script.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(
            f"{script}, which has the group's hyper-parameters, cannot be read "
            f"({error.strerror}): run the grid from a copy of the repository, installed with "
            "`pip install -e .`"
        ) from None
    try:
        begin = lines.index(BEGIN)
        words = "\n".join(lines[begin + 1 : lines.index(END, begin)])
        overrides = [
            word.replace("$epochs", str(epochs)) for word in shlex.split(words, comments=True)
        ]
    except ValueError as error:
        raise ConfigError(
            f"{script}: no array between a line {BEGIN} and a line {END} ({error}): write one "
            "KEY=VALUE after the other there, quoted as for a shell"
        ) from None
    wrong = [word for word in overrides if "=" not in word or "$" in word or "`" in word]
    if wrong or not overrides:
        raise ConfigError(
            f"{script}: {' '.join(wrong) or 'nothing'} among the overrides: each is KEY=VALUE, and "
            "nothing but $epochs is expanded"
        )
    return overrides
