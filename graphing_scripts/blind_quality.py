#!/usr/bin/env python3
"""Figures of the study of blind scores, from the study.json of studies.blind_study.

    python3 graphing_scripts/blind_quality.py demucs_results/blind_study/study.json --out FOLDER

Draws into `--out`, or beside study.json, as PNG and SVG, for each target (nsdr, sdr):
predicted_TARGET (predicted against true dB, by stem), scores_TARGET (Spearman of each score, and
with loudness held constant), risk_TARGET (what is kept when the worst-scored stems are dropped),
calibration_TARGET (mean truth by predicted value, and the intervals' coverage). With
`--records records.tar.xz` also raw_TARGET: the best single scores against true dB, point by point.
Needs matplotlib alone, and runs from any folder.
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
from _blind_records import draw_raw, read_records
from _style import COLOURS, MARKERS, parser, save, say, warn

from demucs.process.command import run_command

TITLES = {
    "songs": "held-out songs",
    "family": "teachers never seen",
    "kind": "music never seen",
    "both": "teachers and music never seen",
}
FORMAT = "demucs-blind-study-1"
MODEL = "calibration"
UNITS = {"nsdr": "nSDR", "sdr": "SDR"}


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    command = parser(__doc__)
    command.add_argument("study", type=Path, help="study.json of studies.blind_study")
    command.add_argument("--records", type=Path, help="the study's records: a folder or a tar file")
    return command.parse_args(argv)


def main() -> None:
    options = parse_options()
    try:
        study = read_study(options.study)
        records = read_records(options.records) if options.records else None
    except ValueError as error:
        warn("blind_quality", error)
        sys.exit(1)
    plt.rcParams.update({"font.size": 11})
    folder = options.out or options.study.parent
    for target, part in study["targets"].items():
        for name, draw in FIGURES.items():
            try:
                figure = draw(part["conditions"], study["sources"], target, study)
            except (KeyError, TypeError, ValueError, StopIteration) as error:
                plt.close("all")
                figure = lacking(name, error)
            save(figure, folder, f"{name}_{target}")
        if records is not None:
            save(draw_raw(records, study, target), folder, f"raw_{target}")


def lacking(name: str, error: Exception) -> plt.Figure:
    """In place of a figure whose numbers are not in the study."""
    figure, axes = plt.subplots(figsize=(6, 3))
    axes.axis("off")
    say(
        axes,
        f"{name}: the study lacks {error or 'conditions'};\nmake it again by studies.blind_study",
    )
    return figure


def read_study(path: Path) -> dict:
    """The study; ValueError if the file is none."""
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a study: {error}") from None
    if not isinstance(study, dict) or study.get("format") != FORMAT:
        raise ValueError(f"{path} is not a study of studies.blind_study report ({FORMAT})")
    missing = sorted({"targets", "sources", "records", "definitions", "settings"} - set(study))
    if missing or not study["targets"]:
        raise ValueError(f"{path} lacks {', '.join(missing) or 'targets'}: make it again")
    return study


def predicted(conditions: dict, sources: list[str], target: str, study: dict) -> plt.Figure:
    """Predicted against true dB: a row a condition, a column a stem, a marker a family."""
    figure, grid = plt.subplots(
        len(conditions), len(sources), squeeze=False, layout="constrained",
        figsize=(3.1 * len(sources), 3.1 * len(conditions) + 0.6),
    )  # fmt: skip
    families = sorted({record["family"] for record in study["records"]})
    for row, (name, condition) in zip(grid, conditions.items(), strict=True):
        for axes, stem in zip(row, sources, strict=True):
            points = condition["songs"]["calibration"][MODEL][stem].get("points", {})
            if not points:
                say(axes, "no points in study.json,\nwhich has them where they are few")
            spearman = condition["songs"]["correlations"][MODEL][stem]["spearman"]
            scatter(axes, points, families)
            rho = "–" if spearman["value"] is None else f"{spearman['value']:.2f}"
            axes.set_title(f"{stem}: ρ = {rho}, n = {spearman['rows']}", fontsize=11)
        row[0].set_ylabel(f"{TITLES[name]}\ntrue {UNITS[target]} (dB)")
    for axes in grid[-1]:
        axes.set_xlabel(f"predicted {UNITS[target]} (dB)")
    handles = [
        plt.Line2D([], [], linestyle="", marker=MARKERS[n % 7], color=COLOURS[n % 7], label=family)
        for n, family in enumerate(families)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(families), frameon=False)
    return figure


def scatter(axes: plt.Axes, points: dict, families: list[str]) -> None:
    for n, family in enumerate(families):
        chosen = [i for i, name in enumerate(points.get("family", [])) if name == family]
        axes.plot(
            [points["guess"][i] for i in chosen], [points["truth"][i] for i in chosen],
            linestyle="", marker=MARKERS[n % 7], color=COLOURS[n % 7], markersize=4, alpha=0.7,
            markeredgewidth=0,
        )  # fmt: skip
    values = [
        value for key in ("guess", "truth") for value in points.get(key, []) if value is not None
    ]
    if values:
        ends = [min(values), max(values)]
        axes.plot(ends, ends, color="black", linewidth=0.8, linestyle="--")
    axes.grid(alpha=0.3)


def scores(conditions: dict, sources: list[str], target: str, study: dict) -> plt.Figure:
    """Spearman of each score on held-out songs by stem, with and without loudness."""
    condition = conditions.get("songs") or next(iter(conditions.values()))
    table = condition["songs"]["correlations"]
    names = sorted(table, key=lambda name: table[name]["mean"]["spearman"]["value"] or -9)
    columns = [*sources, "mean"]
    figure, grid = plt.subplots(
        1, len(columns), sharey=True, layout="constrained",
        figsize=(2.5 * len(columns) + 1.5, 0.32 * len(names) + 1.8),
    )  # fmt: skip
    for axes, stem in zip(grid, columns, strict=True):
        for key, shift, colour, marker in (
            ("spearman", 0.15, COLOURS[0], "o"), ("partial", -0.15, COLOURS[1], "D"),
        ):  # fmt: skip
            for height, name in enumerate(names):
                dot(axes, table[name][stem][key], height + shift, colour, marker)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.axvline(study["definitions"]["goals"]["songs"], color="grey", linestyle=":")
        axes.set_title(stem, fontsize=11)
        axes.set_xlim(-1, 1)
        axes.grid(alpha=0.3)
    grid[0].set_yticks(range(len(names)), names)
    grid[len(grid) // 2].set_xlabel(
        f"Spearman with the true {UNITS[target]} on held-out songs, 95 %"
    )
    labels = {"Spearman": (COLOURS[0], "o"), "with loudness held constant": (COLOURS[1], "D")}
    handles = [
        plt.Line2D([], [], linestyle="", marker=marker, color=colour, label=label)
        for label, (colour, marker) in labels.items()
    ]
    handles.append(plt.Line2D([], [], color="grey", linestyle=":", label="goal"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def dot(axes: plt.Axes, statistic: dict, height: float, colour: str, marker: str) -> None:
    if statistic["value"] is None:
        return
    if statistic["low"] is not None and statistic["high"] is not None:
        axes.plot(
            [statistic["low"], statistic["high"]], [height, height], color=colour, linewidth=1.2
        )
    axes.plot(statistic["value"], height, color=colour, marker=marker, markersize=4.5)


def risk(conditions: dict, sources: list[str], target: str, study: dict) -> plt.Figure:
    """Mean true dB of the stems that are kept, by the share that is kept."""
    figure, grid = plt.subplots(
        1, len(sources), squeeze=False, layout="constrained", figsize=(3.2 * len(sources), 3.9)
    )
    first = next(iter(conditions.values()))
    title = TITLES[next(iter(conditions))]
    for axes, stem in zip(grid[0], sources, strict=True):
        for n, (name, condition) in enumerate(conditions.items()):
            curve = condition["songs"]["risk"][MODEL][stem]
            if "quality" in curve:
                # Each condition has songs of its own: the gain over keeping all is compared.
                base = curve["random"]["quality"]
                axes.plot(
                    [100 * share for share in curve["kept"]],
                    [quality - base for quality in curve["quality"]],
                    color=COLOURS[n], marker=MARKERS[n], markevery=4, label=TITLES[name],
                )  # fmt: skip
        curve = first["songs"]["risk"][MODEL][stem]
        if "oracle" in curve:
            base = curve["random"]["quality"]
            axes.plot(
                [100 * share for share in curve["kept"]],
                [quality - base for quality in curve["oracle"]["quality"]],
                color="black", linestyle="--", label=f"by the truth, {title}",
            )  # fmt: skip
        axes.axhline(0, color="grey", linestyle=":", label="at random")
        axes.set_title(stem, fontsize=11)
        axes.set_xlabel("kept (%)")
        axes.grid(alpha=0.3)
    grid[0][0].set_ylabel(f"{UNITS[target]} of what is kept\nover that of all (dB)")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure


def calibration(conditions: dict, sources: list[str], target: str, study: dict) -> plt.Figure:
    """Mean truth by predicted value in bins, and the share of truths inside the intervals."""
    figure, grid = plt.subplots(
        1, len(sources) + 1, layout="constrained", figsize=(3 * (len(sources) + 1), 3.9)
    )
    for axes, stem in zip(grid, sources, strict=False):
        ends: list[float] = []
        for n, (name, condition) in enumerate(conditions.items()):
            bins = condition["songs"]["calibration"][MODEL][stem].get("bins", [])
            guess, truth = ([part[key] for part in bins] for key in ("guess", "truth"))
            axes.plot(guess, truth, color=COLOURS[n], marker=MARKERS[n], label=TITLES[name])
            ends += [*guess, *truth]
        if ends:
            line = [min(ends), max(ends)]
            axes.plot(line, line, color="black", linestyle="--", label="as predicted")
        axes.set_title(stem, fontsize=11)
        axes.set_xlabel(f"predicted {UNITS[target]} (dB)")
        axes.grid(alpha=0.3)
    grid[0].set_ylabel(f"mean true {UNITS[target]} (dB)")
    coverage(grid[-1], conditions, sources, study)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure


def coverage(axes: plt.Axes, conditions: dict, sources: list[str], study: dict) -> None:
    for n, condition in enumerate(conditions.values()):
        stems = condition["songs"]["calibration"][MODEL]
        values = [stems[stem].get("covered") for stem in sources]
        axes.plot(
            [i + 0.12 * (n - 1.5) for i in range(len(sources))],
            [math.nan if value is None else 100 * value for value in values],
            linestyle="", color=COLOURS[n], marker=MARKERS[n],
        )  # fmt: skip
    nominal = 100 * study["settings"]["coverage"]
    axes.axhline(nominal, color="black", linestyle="--")
    axes.set_xticks(range(len(sources)), sources)
    axes.set_ylim(0, 105)
    axes.set_title("truths in the interval (%)", fontsize=11)
    axes.grid(alpha=0.3)


FIGURES = {
    "predicted": predicted, "scores": scores, "risk": risk, "calibration": calibration,
}  # fmt: skip


if __name__ == "__main__":
    run_command(main)
