#!/usr/bin/env python3
"""Figure of a distillation trial: every student by arm, and each arm's mean.

    python3 graphing_scripts/distil_trial.py demucs_results/distil_trial/trial.json --out FOLDER

Draws `distil_trial.png` and `.svg`, one panel for each set of test songs, into `--out` or beside
the file. Needs matplotlib alone, and runs from any folder.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from _style import footnotes, parser, save, style_of, warn

from demucs.process.command import run_command


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    command = parser(__doc__)
    command.add_argument("trial", type=Path, help="trial.json of studies.distil_trial")
    return command.parse_args(argv)


def main() -> None:
    options = parse_options()
    try:
        students, notes = read_trial(options.trial)
    except ValueError as error:
        warn("distil_trial", error)
        sys.exit(1)
    figure = draw(students)
    footnotes(figure, notes)
    save(figure, options.out or options.trial.parent, "distil_trial")


def read_trial(path: Path) -> tuple[list[dict], list[str]]:
    """The tested students of a trial, and what is missing; ValueError if the file is none."""
    try:
        students = list(json.loads(path.read_text(encoding="utf-8"))["students"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as a trial: {error}") from None
    if not students:
        raise ValueError(f"{path} has no students: nothing to draw")
    tested = [student for student in students if is_tested(student)]
    if not tested:
        raise ValueError(f"{path} has no student with results of a test: let the trial finish")
    missing = [f"{student.get('arm')} (seed {student.get('seed')})" for student in students
               if not is_tested(student)]  # fmt: skip
    return tested, [f"without finite results, so not drawn: {', '.join(missing)}"] * bool(missing)


def is_tested(student: dict) -> bool:
    """Whether all that is drawn of a student is there."""
    try:
        values = [scores["mean"] for scores in student["nsdr"].values()]
        return {"arm", "seed"} <= set(student) and all(map(math.isfinite, values)) and bool(values)
    except (AttributeError, KeyError, TypeError):
        return False


def draw(students: list[dict]) -> plt.Figure:
    tests = list(dict.fromkeys(test for student in students for test in student["nsdr"]))
    arms = list(dict.fromkeys(student["arm"] for student in students))
    seeds = list(dict.fromkeys(student["seed"] for student in students))
    figure, axes = plt.subplots(
        1, len(tests), figsize=(5.2 * len(tests), 4.2), layout="constrained", squeeze=False
    )
    for panel, test in zip(axes[0], tests, strict=True):
        for number, seed in enumerate(seeds):
            by_arm = {student["arm"]: student["nsdr"][test]["mean"] for student in students
                      if student["seed"] == seed and test in student["nsdr"]}  # fmt: skip
            panel.plot(
                [arms.index(arm) for arm in by_arm],
                list(by_arm.values()),
                linestyle="none",
                **style_of(number),
                label=f"seed {seed}",
            )
        for place, arm in enumerate(arms):
            values = [student["nsdr"][test]["mean"] for student in students
                      if student["arm"] == arm and test in student["nsdr"]]  # fmt: skip
            if not values:
                continue
            centre = sum(values) / len(values)
            panel.plot([place - 0.3, place + 0.3], [centre, centre], color="black", linewidth=2)
            panel.annotate(
                f"{centre:.2f}", (place + 0.32, centre), va="center", fontsize=8, color="black"
            )
        panel.set_xticks(range(len(arms)), arms, rotation=25, ha="right")
        panel.set_xlim(-0.6, len(arms) - 0.2)
        panel.set_title(f"{test} test songs")
        panel.set_ylabel("nSDR (dB), mean over stems")
        panel.grid(axis="y", alpha=0.3)
    axes[0][0].legend()
    return figure


if __name__ == "__main__":
    run_command(main)
