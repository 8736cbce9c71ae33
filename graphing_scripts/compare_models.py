#!/usr/bin/env python3
"""Two models on the same tracks: the difference track by track, and whether it means anything.

    python3 graphing_scripts/compare_models.py A.json B.json --out FOLDER

Reads two results (JSON) of tools.test_pretrained. Draws a figure for each metric, `compare_METRIC`,
as PNG and SVG, into `--out` or beside B: for each stem B - A of every track, sorted; the mean
difference with its 95 % bootstrap interval; and the p-value of Wilcoxon's signed-rank test, after
Holm's correction for the number of stems. Needs matplotlib, numpy and scipy, and runs from any
folder.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from _style import COLOURS, footnotes, parser, save, say, warn

sys.path.insert(1, str(Path(__file__).parents[1]))  # for the package, where it is not installed

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import VALUES, title
from demucs.evaluation.results.comparison import Difference, compare, doubts
from demucs.evaluation.results.results import Results
from demucs.process.command import run_command

FEW = 6  # songs, below which the test cannot say anything
NO_UNIT = ("l1_freq", "bleedless", "fullness", "log_wmse")


@dataclass(frozen=True)
class Pair:
    """Two evaluations, and what they are called in the figure."""

    first: Results
    second: Results
    names: tuple[str, str]

    def gaps(self, metric: str, stem: str) -> np.ndarray:
        """Second - first, by track, sorted; only tracks that have a value in both."""
        stems = [name for name in self.first.sources if name in self.second.sources]
        chosen = stems if stem == "mean" else [stem]
        gaps = []
        for name in self.first.tracks.keys() & self.second.tracks.keys():
            rows = [
                results.tracks[name].values.get(metric, {}) for results in (self.first, self.second)
            ]
            pairs = [[row.get(key) for key in chosen] for row in rows]
            if None not in pairs[0] and None not in pairs[1]:
                gaps.append(float(np.mean(pairs[1]) - np.mean(pairs[0])))
        return np.sort(np.array([gap for gap in gaps if np.isfinite(gap)]))


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    made = parser(__doc__)
    add = made.add_argument
    add("first", type=Path, metavar="A", help="results (JSON)")
    add("second", type=Path, metavar="B", help="results (JSON) of another model, the same songs")
    add("--metrics", nargs="+", choices=VALUES, metavar="NAME",
        help=f"which of {', '.join(VALUES)} (default: nsdr and sdr, if measured)")  # fmt: skip
    return made.parse_args(argv)


def main() -> None:
    options = parse_options()
    plt.rcParams.update({"font.size": 11})
    try:
        first, second = Results.load(options.first), Results.load(options.second)
        differences = compare(first, second)
        measured = list(dict.fromkeys(difference.metric for difference in differences))
        metrics = (
            options.metrics or [name for name in ("nsdr", "sdr") if name in measured] or measured
        )
        if missing := [name for name in metrics if name not in measured]:
            raise ConfigError(
                f"--metrics {' '.join(missing)}: not measured in both; these are: "
                + ", ".join(measured)
            )
        pair = Pair(first, second, called(first, second, options.first, options.second))
        for metric in metrics:
            rows = [row for row in differences if row.metric == metric]
            save(draw(pair, rows), options.out or options.second.parent, f"compare_{metric}")
    except (ConfigError, OSError) as error:
        warn("compare_models", error)
        sys.exit(1)


def called(first: Results, second: Results, file: Path, other: Path) -> tuple[str, str]:
    """The models' names, or the files' if these are the same."""
    names = str(first.model.get("name", file.stem)), str(second.model.get("name", other.stem))
    return (
        names
        if names[0] != names[1]
        else (f"{names[0]} ({file.name})", f"{names[1]} ({other.name})")
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p-value after Holm's correction for how many there are (Holm, 1979).

    The smallest is multiplied by their number, the next by one less, and so on; none becomes
    smaller than one before it, nor greater than 1.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        corrected[place] = highest
    return corrected


def verdict(row: Difference, corrected: float | None, names: Sequence[str]) -> str:
    """The second line of a panel's title."""
    if row.songs < FEW:
        return f"{row.songs} songs: too few for a test"
    if corrected is None:
        return "hardly a song differs: no test"
    if corrected >= 0.05:
        return f"p = {corrected:.2g}, not significant"
    stars = "***" if corrected < 0.001 else "**" if corrected < 0.01 else "*"
    better = names[(row.median or row.mean or 0) > 0]
    return f"p = {corrected:.2g} {stars}: {better} is better"


def draw(pair: Pair, rows: Sequence[Difference]) -> plt.Figure:
    """One metric: a panel for each stem and one for their mean."""
    metric = rows[0].metric
    unit = "" if metric in NO_UNIT else " (dB)"
    figure, grid = plt.subplots(
        1, len(rows), sharey=True, figsize=(max(8.5, 2.45 * len(rows)), 4.7), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    stems = [row for row in rows if row.stem != "mean"]
    corrected = dict(zip((row.stem for row in stems), holm([row.p_value for row in stems]),
                         strict=True))  # fmt: skip
    for axes, row in zip(grid[0], rows, strict=True):
        p_value = corrected.get(row.stem, row.p_value)
        panel(axes, pair.gaps(metric, row.stem), row, verdict(row, p_value, "AB"))
    grid[0][0].set_ylabel(f"{title(metric)} of B - A{unit}\nabove 0: B is better")
    handles = [
        plt.Line2D([], [], linestyle="", marker="^", color=COLOURS[0], label="track, B better"),
        plt.Line2D([], [], linestyle="", marker="v", color=COLOURS[1], label="track, A better"),
        plt.Line2D([], [], color="black", linewidth=2, label="mean difference"),
        plt.Rectangle((0, 0), 1, 1, color="#bbbbbb", label="its 95 % interval (bootstrap)"),
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=4,
        frameon=False,
        fontsize=10,
        title=f"A: {pair.names[0]}     B: {pair.names[1]}",
        title_fontsize=12,
    )
    tested = [stem for stem, p in corrected.items() if p is not None]
    explained = []
    if tested:
        explained = [
            f"p: Wilcoxon's signed-rank test, two-sided, after Holm's correction for "
            f"{len(tested)} stems (that of the mean by itself); * < 0.05, ** < 0.01, *** < 0.001"
        ]
    footnotes(figure, explained + doubts(pair.first, pair.second))
    return figure


def panel(axes: plt.Axes, gaps: np.ndarray, row: Difference, words: str) -> None:
    """The differences of one stem."""
    axes.axhline(0, color="black", linewidth=0.8)
    if row.interval is not None:
        axes.axhspan(*row.interval, color="#bbbbbb", alpha=0.6, linewidth=0, zorder=0)
    if not len(gaps):
        say(axes, "no track has\na value in both")
    else:
        axes.axhline(row.mean, color="black", linewidth=2)
        places = np.arange(1, len(gaps) + 1)
        for chosen, marker, colour in (
            (gaps > 0, "^", COLOURS[0]), (gaps < 0, "v", COLOURS[1]), (gaps == 0, "o", "black"),
        ):  # fmt: skip
            axes.vlines(places[chosen], 0, gaps[chosen], color=colour, alpha=0.4, linewidth=1)
            axes.plot(places[chosen], gaps[chosen], linestyle="", marker=marker, color=colour,
                      markersize=5)  # fmt: skip
        axes.set_xlabel(f"{len(gaps)} tracks, sorted")
    mean = "–" if row.mean is None else f"{row.mean:+.2f}"
    span = "" if row.interval is None else f" [{row.interval[0]:+.2f}, {row.interval[1]:+.2f}]"
    axes.set_title(f"{row.stem}: {mean}{span}\n{words}", fontsize=9.5)
    axes.set_xticks([])
    axes.grid(axis="y", alpha=0.3)


if __name__ == "__main__":
    run_command(main)
