#!/usr/bin/env python3
"""Whether distilled data helps: every student of a trial, by arm, and each arm's mean.

    python3 graphing_scripts/distil_trial.py demucs_results/distil_trial/trial.json --out FOLDER

Draws `distil_trial.png` and `.svg`, one panel for each set of test songs, into `--out` or beside
the file. Needs matplotlib alone, and runs from any folder.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Okabe-Ito colours and a marker each: told apart by colour-blind readers and in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
MARKERS = "osD^vP"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trial", type=Path, help="trial.json of tools.distil_trial")
    parser.add_argument("--out", type=Path, help="folder for the figures")
    options = parser.parse_args()
    try:
        students = read_trial(options.trial)
    except ValueError as error:
        sys.exit(f"distil_trial: {error}")
    folder = options.out or options.trial.parent
    folder.mkdir(parents=True, exist_ok=True)
    figure = draw(students)
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"distil_trial.{suffix}", dpi=150)
        print(folder / f"distil_trial.{suffix}")


def read_trial(path: Path) -> list[dict]:
    """The students of a trial; ValueError if the file is none."""
    try:
        students = list(json.loads(path.read_text(encoding="utf-8"))["students"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as a trial: {error}") from None
    if not students:
        raise ValueError(f"{path} has no students: nothing to draw")
    return students


def draw(students: list[dict]) -> plt.Figure:
    tests = list(students[0]["nsdr"])
    arms = list(dict.fromkeys(one["arm"] for one in students))
    seeds = list(dict.fromkeys(one["seed"] for one in students))
    figure, axes = plt.subplots(
        1, len(tests), figsize=(5.2 * len(tests), 4.2), layout="constrained", squeeze=False
    )
    for panel, test in zip(axes[0], tests, strict=True):
        for number, seed in enumerate(seeds):
            own = {one["arm"]: one["nsdr"][test]["mean"] for one in students if one["seed"] == seed}
            panel.plot(
                [arms.index(arm) for arm in own],
                list(own.values()),
                linestyle="none",
                marker=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                label=f"seed {seed}",
            )
        for place, arm in enumerate(arms):
            values = [one["nsdr"][test]["mean"] for one in students if one["arm"] == arm]
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
    main()
