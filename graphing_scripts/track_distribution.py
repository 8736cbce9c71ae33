#!/usr/bin/env python3
"""Metrics track by track: the distribution for each stem, beside the published rows.

    python3 graphing_scripts/track_distribution.py release_models/evaluation_SIG.json --out FOLDER

Reads results (JSON) of tools.test_pretrained, one or several. Draws a figure for each metric,
`track_distribution_METRIC`, as PNG and SVG, into `--out` or beside the first file: for each stem a
box (quartiles and median), every track as a point, and from 8 tracks on a violin. The figure of
SDR has the published numbers too: medians over the 50 test songs of MUSDB18-HQ, to be compared
with the median in the box, and only if the results are of these songs; models of the same kind as
the evaluated one (single, bag) stand first. Needs matplotlib and numpy, and runs from any folder.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from _scores import METRICS, Scores, read_scores
from _style import COLOURS, MARKERS, footnotes, parser, save, say, warn

from demucs.errors import message_of
from demucs.evaluation.results.published_rows import (
    BAG,
    SINGLE,
    PublishedRow,
    only_bags,
    published,
    published_rows,
)
from demucs.process.command import run_command

TITLES = {"nsdr": "nSDR (dB)", "sdr": "SDR (dB)", "isr": "ISR (dB)", "sir": "SIR (dB)",
          "sar": "SAR (dB)", "si_sdr": "SI-SDR (dB)", "l1_freq": "L1-freq", "bleedless":
          "bleedless", "fullness": "fullness", "log_wmse": "log-WMSE"}  # fmt: skip
VIOLIN = 8  # tracks; a density of fewer is made up
HATCHES = ("", "///", "...", "xxx")


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    made = parser(__doc__)
    add = made.add_argument
    add("results", nargs="+", type=Path, metavar="FILE", help="results of tools.test_pretrained")
    metrics_help = f"which of {', '.join(METRICS)} (default: nsdr, sdr, isr, sir, sar if measured)"
    add("--metrics", nargs="+", choices=METRICS, metavar="NAME", help=metrics_help)
    return made.parse_args(argv)


def main() -> None:
    options = parse_options()
    plt.rcParams.update({"font.size": 11, "hatch.linewidth": 0.4})
    models, failed = [], False
    for path in options.results:
        try:
            scores = read_scores(path)
            if not scores.tracks and path.suffix != ".json":
                raise ValueError(f"{path} has no values by track: give results (JSON)")
            models.append(scores)
        except ValueError as error:
            warn("track_distribution", error)
            failed = True
    if models:
        usual = [name for name in METRICS[:5] if any(name in scores.metrics() for scores in models)]
        for metric in options.metrics or usual or ["nsdr"]:
            try:
                figure = draw(models, metric)
                save(figure, options.out or models[0].path.parent, f"track_distribution_{metric}")
            except OSError as error:
                warn("track_distribution", message_of(error))
                failed = True
                break
    sys.exit(1 if failed else 0)


def draw(models: Sequence[Scores], metric: str) -> plt.Figure:
    """One metric: a group of boxes for each stem, one of each evaluation."""
    stems = list(dict.fromkeys(stem for scores in models for stem in scores.sources))
    rows = rows_beside(models) if metric == "sdr" else []
    notes = []
    sources = published()["sources"]
    if rows and not set(stems) <= set(sources):
        notes.append(f"the published rows are of {', '.join(sources)}: left out")
        rows = []
    wide = 0.6 + 0.5 * len(models) + (0.6 if rows else 0)
    wide = 1.5 + wide * (len(stems) + bool(rows)) + (3.4 if rows else 0)
    figure, axes = plt.subplots(
        figsize=(min(14, max(6.5, wide)), 5.8 if rows else 5.2), layout="constrained"
    )
    step = 0.8 / (len(models) + (1.2 if rows else 0))
    for number, scores in enumerate(models):
        for place, stem in enumerate(stems):
            values = sorted(scores.values(metric, stem).values())
            if values:
                put(axes, values, place - 0.4 + step * (number + 0.5), 0.8 * step, number)
        notes += notes_of(scores, metric, stems, several=len(models) > 1)
    if not axes.has_data():
        say(axes, f"{TITLES[metric]} is of no track in these results")
        axes.set_yticks([])
    columns = list(stems)
    if rows and axes.has_data():
        columns.append("mean of the medians")
        for number, scores in enumerate(models):
            mean = scores.aggregates.get("sdr_med", {}).get("mean")
            if mean is not None:
                axes.plot(len(stems) - 0.4 + step * (number + 0.5), mean, linestyle="", marker="_",
                          markersize=22, markeredgewidth=3, color=COLOURS[number % 7])  # fmt: skip
        add_published(figure, axes, rows, stems, 0.4 - 0.6 * step, step)
        notes += [*comparable(models, published()), *only_bags(rows)]
    axes.set_xticks(
        range(len(columns)), [name.replace("mean of the ", "mean of\nthe ") for name in columns]
    )
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylabel(TITLES[metric])
    axes.grid(axis="y", alpha=0.3)
    add_legend(figure, models, metric)
    footnotes(figure, notes)
    return figure


def rows_beside(models: Sequence[Scores]) -> list[PublishedRow]:
    """Measured rows, of which those of the models' kind are first."""
    bags = all(scores.members > 1 for scores in models)
    return [row for row in published_rows(BAG if bags else SINGLE) if not row.estimate]


def put(axes: plt.Axes, values: list[float], place: float, width: float, number: int) -> None:
    """A box, points, and a violin where there are enough of them, at `place`."""
    colour = COLOURS[number % len(COLOURS)]
    if len(values) >= VIOLIN and len(set(values)) > 1:
        violin = axes.violinplot([values], positions=[place], widths=width, showextrema=False)
        for body in violin["bodies"]:
            body.set(facecolor=colour, alpha=0.2, edgecolor=colour)
    black = {"color": "black", "linewidth": 1.2}
    axes.boxplot(
        [values], positions=[place], widths=0.45 * width, showfliers=False, patch_artist=True,
        boxprops={"facecolor": "none", "hatch": HATCHES[number % 4], "edgecolor": colour,
                  "linewidth": 1.5},
        medianprops={"color": "black", "linewidth": 2.5}, whiskerprops=black, capprops=black,
        manage_ticks=False,
    )  # fmt: skip
    # The same little shift for the same rank, so that a second call gives the same figure.
    shift = 0.2 * width * np.sin(2.4 * np.arange(len(values)))
    axes.plot(place + shift, values, linestyle="", marker=MARKERS[number % len(MARKERS)],
              color=colour, markersize=4 if len(values) >= VIOLIN else 6.5, alpha=0.8,
              markeredgecolor="white", markeredgewidth=0.5, zorder=4)  # fmt: skip


def add_published(
    figure: plt.Figure, axes: plt.Axes, rows: Sequence[PublishedRow], stems: Sequence[str],
    shift: float, step: float,
) -> None:  # fmt: skip
    """The published numbers as markers to the right of each stem's boxes."""
    handles = []
    for number, row in enumerate(rows):
        values = dict(zip(published()["sources"], row.stems, strict=True))
        points = [(place, values[stem]) for place, stem in enumerate(stems)]
        points.append((len(stems), row.all if len(stems) == len(values) else None))
        points = [(place, value) for place, value in points if value is not None]
        spread = step * 0.9 * (number / (len(rows) - 1) - 0.5)
        colour = COLOURS[number % 7]
        look = {
            "color": colour, "marker": MARKERS[(number + number // 7) % 7], "linestyle": "",
            "markerfacecolor": colour if row.kind == SINGLE else "white", "markeredgewidth": 1.4,
            "markersize": 5.5,
        }  # fmt: skip
        axes.plot([place + shift + spread for place, _ in points],
                  [value for _, value in points], **look)  # fmt: skip
        label = f"{row.model}: {row.kind or 'kind not stated'}\n{row.source}"
        handles.append(plt.Line2D([], [], label=label, **look))
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=6.8,
                  title=f"published medians,\n{published()['test_set']}\n"
                  "(filled: single models)", title_fontsize=8,
                  alignment="left", labelspacing=0.45)  # fmt: skip


def add_legend(figure: plt.Figure, models: Sequence[Scores], metric: str) -> None:
    """Above the panel: what is shown, and which boxes are whose if there are several."""
    handles = [
        plt.Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=COLOURS[number % 7],
                      hatch=HATCHES[number % 4], linewidth=1.5,
                      label=f"{name}: {len(scores.tracks)} tracks")
        for number, (name, scores) in enumerate(zip(names_of(models), models, strict=True))
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", frameon=False, title=title(metric),
                  title_fontsize=12, ncols=min(3, len(models)))  # fmt: skip


def names_of(models: Sequence[Scores]) -> list[str]:
    """Names of the models, with the file's where two are the same."""
    names = [scores.name for scores in models]
    return [
        name if names.count(name) == 1 else f"{name} ({scores.path.name})"
        for name, scores in zip(names, models, strict=True)
    ]


def title(metric: str) -> str:
    windows = metric in ("sdr", "isr", "sir", "sar")
    return f"{TITLES[metric].removesuffix(' (dB)')} of each track" + (
        " (median over its windows of 1 s)" if windows else ""
    )


def notes_of(scores: Scores, metric: str, stems: Sequence[str], *, several: bool) -> list[str]:
    head = f"{scores.name}: " if several else ""
    notes = [head + note for note in scores.notes]
    for stem in stems:
        missing = len(scores.tracks) - len(scores.values(metric, stem))
        if scores.tracks and missing == len(scores.tracks):
            notes.append(f"{head}{stem} was not measured")
        elif missing:
            notes.append(f"{head}{stem} has no value in {missing} of {len(scores.tracks)} tracks")
    if 0 < len(scores.tracks) < VIOLIN:
        notes.append(f"{head}{len(scores.tracks)} tracks are too few for a violin")
    return notes


def comparable(models: Sequence[Scores], published: dict[str, Any]) -> list[str]:
    """Words where the published rows are of other songs."""
    notes = []
    for scores in models:
        name = re.sub(r"[^a-z0-9]", "", str(scores.data.get("name", "")).lower())
        tracks = len(scores.tracks)
        if not ("musdb18hq" in name and scores.data.get("split") == "test" and tracks == 50):
            songs = f"{tracks} tracks of “{scores.data.get('name', 'an unknown set')}”"
            notes.append(
                f"NOT COMPARABLE with the published rows: {scores.name} was measured on {songs}, "
                f"they on {published['test_set']}"
            )
    return notes or ["compare the published numbers with the medians in the boxes"]


if __name__ == "__main__":
    run_command(main)
