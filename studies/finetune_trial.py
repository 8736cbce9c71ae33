"""Trial of fine-tuning one network a source on automixes, with a small model on demo songs.

    python3 -m studies.finetune_trial OUT
    python3 -m studies.finetune_trial OUT --base-steps 600 --steps 100 --songs 20

Makes demo songs and automixes of them, trains a base model, continues it in several arms from the
same state, each network for the same number of steps, and evaluates all on the test songs:

    base     not continued
    longer   the base's own recipe, at the learning rate of the fine-tuning
    longer4  the same for four times the steps, which is as many as the bag has in all
    all      the recipe of the grid `finetune_sources`, but with all sources in the loss
    bag      that recipe: one network for each source, and the bag of them

Writes OUT/trial.json with all numbers and OUT/trial.md. The same command resumes where it stopped.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from demucs.errors import ConfigError
from demucs.files import atomic_path
from demucs.process.command import run_command
from demucs.process.tool import CONTINUES, make_parser, reports_errors
from studies.finetune.arms import Trial
from studies.finetune.table import table


@reports_errors(CONTINUES)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parser().parse_args(argv)
    if min(options.base_steps, options.steps) < 2 or options.songs < 1:
        raise ConfigError(
            f"--base-steps {options.base_steps} --steps {options.steps} --songs {options.songs}: "
            "give at least 2 steps each and 1 song"
        )
    trial = Trial(
        out=options.out.resolve(),
        base_steps=options.base_steps,
        steps=options.steps,
        test_songs=options.songs,
        learning_rate=options.lr,
    )
    results = trial.run()
    text = table(results)
    for name, content in (("trial.json", json.dumps(results, indent=1)), ("trial.md", text)):
        with atomic_path(trial.out / name) as path:
            path.write_text(content + "\n", encoding="utf-8")
    print(text)
    return 0


def parser() -> argparse.ArgumentParser:
    made = make_parser("studies.finetune_trial", __doc__)
    add = made.add_argument
    add("out", type=Path, metavar="OUT", help="folder of everything that is made")
    add("--base-steps", type=int, default=400, metavar="N", help="training steps of the base (400)")
    add("--steps", type=int, default=60, metavar="N", help="of each network continued (60)")
    add("--songs", type=int, default=12, metavar="N", help="demo songs to test on (12)")
    add("--lr", type=float, default=6.7e-4, metavar="X",
        help="learning rate of the fine-tuning (6.7e-4: a third of the base's, as 1e-4 is of the "
        "papers' 3e-4)")  # fmt: skip
    return made


if __name__ == "__main__":
    run_command(main)
