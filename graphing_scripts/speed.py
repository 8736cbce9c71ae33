#!/usr/bin/env python3
"""Figure of benchmarks: times as fast as the reference, and the time itself.

    python3 graphing_scripts/speed.py demucs_results/benchmarks/bench_*.json --out FOLDER

Draws `speed.png` and `.svg` from the files that `benchmarks/bench_*.py --json FILE` write, a row
for each of their tables, into `--out` or beside the first file. Bars are medians over rounds, dots
the rounds themselves: where those are far apart, other jobs disturbed the measurement.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import math
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from _style import COLOURS, footnotes, parser, save, say, warn

from demucs.process.command import run_command

FORMAT = "demucs-benchmark-1"
BUSY = 0.3  # waiting jobs for each core, above which a note says so


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    command = parser(__doc__)
    command.add_argument("files", nargs="+", type=Path, help="JSON of benchmarks/bench_*.py")
    return command.parse_args(argv)


def main() -> None:
    options = parse_options()
    benchmarks, failed = [], False
    for path in options.files:
        try:
            benchmarks.append(read_benchmark(path))
        except ValueError as error:
            warn("speed", error)
            failed = True
    if benchmarks:
        save(draw(benchmarks), options.out or options.files[0].parent, "speed")
    sys.exit(1 if failed else 0)


def read_benchmark(path: Path) -> dict[str, Any]:
    """A benchmark's numbers; ValueError if the file has none."""
    try:
        benchmark = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a benchmark: {error}") from None
    if not isinstance(benchmark, dict) or benchmark.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not a benchmark ({FORMAT}): make one by benchmarks/bench_*.py --json FILE"
        )
    try:
        for table in benchmark["tables"]:
            table["title"], table["unit"], table["reference"]
            table["rows"] = [finite_row(row) for row in table["rows"]]
        benchmark["machine"]["processor"], benchmark["benchmark"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} lacks {error}: measure again") from None
    if not any(table["rows"] for table in benchmark["tables"]):
        raise ValueError(f"{path} has no rows: nothing was measured")
    return benchmark


def finite_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row without rounds that are not numbers."""
    rounds = [seconds for seconds in row["rounds"] if math.isfinite(seconds)]
    return {**row, "label": str(row["label"]), "rounds": rounds}


def draw(benchmarks: list[dict[str, Any]]) -> plt.Figure:
    """A row of two panels for each table."""
    tables = [(benchmark, table) for benchmark in benchmarks for table in benchmark["tables"]]
    heights = [0.9 + 0.36 * max(len(table["rows"]), 1) for _, table in tables]
    figure, grid = plt.subplots(
        len(tables), 2, squeeze=False, layout="constrained", figsize=(11, 0.6 + sum(heights)),
        height_ratios=heights,
    )  # fmt: skip
    plt.rcParams.update({"font.size": 10})
    for (benchmark, table), (left, right) in zip(tables, grid, strict=True):
        rows, reference = table["rows"], table["reference"]
        named = any("ours" in row["label"] for row in rows)
        for row in rows:  # without one of that name, all that is compared with the reference
            row["ours"] = "ours" in row["label"] if named else row["label"] != reference
        base = next((row["median"] for row in rows if row["label"] == reference), None)
        left.set_title(f"{benchmark['benchmark']}: {table['title']}", loc="left", fontsize=10.5)
        bars(right, rows, lambda value: value, "{:.3g}")
        right.set_xlabel(f"{table['unit']} (less is better)")
        right.tick_params(labelleft=False)
        if base is None:
            say(left, "no reference to compare with")
            left.set_yticks(range(len(rows)), [row["label"] for row in rows])
            left.set_ylim(len(rows) - 0.4, -0.6)
        else:
            bars(left, rows, lambda value, base=base: base / value, "{:.2f} ×")
            left.axvline(1, color="black", linewidth=1, linestyle="--", zorder=1)
            left.set_xlabel(f"times as fast as {reference}")
    footnotes(figure, notes(benchmarks))
    return figure


def bars(axes: plt.Axes, rows: list[dict[str, Any]], value: Any, form: str) -> None:
    """A bar a row with its number, and a dot a round."""
    longest = 0.0
    for height, row in enumerate(rows):
        if not row["rounds"] or not row["median"]:
            axes.text(0, height, " not measured", va="center", fontsize=8.5)
            continue
        middle = value(row["median"])
        points = [value(seconds) for seconds in row["rounds"] if seconds]
        axes.barh(
            height, middle, height=0.62, color=COLOURS[0] if row["ours"] else "#BBBBBB", zorder=2
        )
        axes.plot(points, [height] * len(points), linestyle="", marker="o", markersize=3.5,
                  markerfacecolor="white", markeredgecolor="black", zorder=3)  # fmt: skip
        axes.annotate(form.format(middle), (max([middle, *points]), height), xytext=(5, 0),
                      textcoords="offset points", va="center", fontsize=8.5)  # fmt: skip
        longest = max(longest, middle, *points)
    axes.set_xlim(0, 1.2 * longest or 1)
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def notes(benchmarks: list[dict[str, Any]]) -> list[str]:
    """The machine of each benchmark, and reservations about its numbers."""
    lines = []
    for benchmark in benchmarks:
        machine = benchmark["machine"]
        line = f"{benchmark['benchmark']}: {machine['processor']}, "
        line += f"{machine.get('threads', '?')} threads, torch {machine.get('torch', '?')}, "
        line += str(machine.get("date", "no date"))
        counts = sorted(
            {len(row["rounds"]) for table in benchmark["tables"] for row in table["rows"]}
        )
        line += f"; rounds: {'-'.join(str(count) for count in counts)}"
        load, cores = machine.get("load_average"), machine.get("cores")
        if load is not None and cores and load > (1 + BUSY) * cores:
            line += f"; other jobs ran beside it (load average {load:g} on {cores} cores)"
        lines += textwrap.wrap(line, 150)
    return lines


if __name__ == "__main__":
    run_command(main)
