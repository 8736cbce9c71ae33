#!/usr/bin/env python3
"""Test metrics over checkpoints: nSDR, SDR, SIR, ISR and SAR by stem, mean and median over tracks.

    python3 graphing_scripts/test_metrics.py hdemucs_*_epoches.out --out FOLDER

Each INPUT is one or more checkpoints of a training: a history.json, an experiment's folder or a
training log, with their test stages; results (JSON) of tools.test_pretrained; or a log with the
dictionary that the public Demucs' tools.test_pretrained prints. The epoch of a result is that of
the release's name (SIG_282, as tools.export --epoch makes it) or of the file's (..._after_282_...);
otherwise say it: 282=FILE. Draws `test_metrics`, as PNG and SVG, into `--out` or beside the first
input. Needs matplotlib alone, and runs from any folder.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from _runs import read_run
from _scores import Scores, read_scores, scores_of_run
from _style import footnotes, parser, save, say, stem_style, warn
from matplotlib.ticker import MaxNLocator

from demucs.errors import message_of
from demucs.process.command import run_command

METRICS = {"nsdr": "nSDR", "sdr": "SDR", "sir": "SIR", "isr": "ISR", "sar": "SAR"}
OVER = {"": "mean over tracks", "_med": "median over tracks"}


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    made = parser(__doc__)
    help_ = "history, folder, log or results; EPOCH=FILE to say its epoch"
    made.add_argument("inputs", nargs="+", metavar="INPUT", help=help_)
    return made.parse_args(argv)


def main() -> None:
    options = parse_options()
    plt.rcParams.update({"font.size": 10})
    scores: list[Scores] = []
    notes: list[str] = []
    read, failed = 0, False
    for word in options.inputs:
        try:
            new_scores, new_notes = read_input(word)
        except ValueError as error:
            warn("test_metrics", error)
            failed = True
            continue
        read += 1
        scores += new_scores
        notes += new_notes
    if read:
        folder = options.out or folder_of(options.inputs[0])
        try:
            save(draw(scores, notes), folder, "test_metrics")
        except OSError as error:
            warn("test_metrics", message_of(error))
            failed = True
    sys.exit(1 if failed else 0)


def split_word(word: str) -> tuple[int | None, Path]:
    """`282=FILE`, or a file as it is; a file may have an equals sign in its name."""
    number, equals, path = word.partition("=")
    if equals and number.isdigit() and not Path(word).exists():
        return int(number), Path(path)
    return None, Path(word)


def folder_of(word: str) -> Path:
    path = split_word(word)[1]
    return path if path.is_dir() else path.parent


def read_input(word: str) -> tuple[list[Scores], list[str]]:
    """The checkpoints of one input, each with its epoch, and notes.

    Raises:
        ValueError: it cannot be read, or the epoch is not known.
    """
    epoch, path = split_word(word)
    problems = []
    if not path.is_dir():
        try:
            scores = read_scores(path)
        except ValueError as error:
            problems.append(str(error))
        else:
            scores.epoch = epoch if epoch is not None else scores.epoch
            if scores.epoch is None:
                raise ValueError(f"{path}: its epoch is not known: give it, e.g. as 282={path}")
            return [scores], [f"{path.name}: {note}" for note in scores.notes]
    try:
        run = read_run(path)
    except ValueError as error:
        if not problems or path.suffix != ".json":
            problems.append(str(error))
        raise ValueError("; or ".join(dict.fromkeys(problems))) from None
    if epoch is not None:
        raise ValueError(f"{word}: a training has its own epochs: give {path} alone")
    scores_by_epoch = scores_of_run(run)
    notes = (
        [] if scores_by_epoch else [f"{run.name}: no test stage in its {len(run.epochs)} epochs"]
    )
    return scores_by_epoch, notes + [
        f"{run.name}: {note}" for scores in scores_by_epoch for note in scores.notes
    ]


def draw(checkpoints: Sequence[Scores], notes: Sequence[str]) -> plt.Figure:
    """A column a metric, a row for the mean and one for the median, a line a stem."""
    by_epoch, twice = merge(checkpoints)
    stems = list(dict.fromkeys(stem for scores in checkpoints for stem in scores.sources))
    figure, grid = plt.subplots(
        len(OVER), len(METRICS), figsize=(12.5, 6.2), layout="constrained", sharex=bool(by_epoch)
    )
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.08)
    handles: dict[str, plt.Line2D] = {}
    for row, (suffix, over) in zip(grid, OVER.items(), strict=True):
        for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
            for stem in [*stems, "mean"]:
                points = sorted(
                    (epoch, table[metric + suffix][stem])
                    for epoch, table in by_epoch.items()
                    if stem in table.get(metric + suffix, {})
                )
                if points:
                    mean = {"color": "black", "linewidth": 2, "marker": "*", "markersize": 8}
                    look = mean if stem == "mean" else stem_style(stem, stems)
                    x, y = zip(*points, strict=True)
                    (line,) = axes.plot(x, y, label=stem, **{"markersize": 5, **look})
                    handles.setdefault("mean over stems" if stem == "mean" else stem, line)
            finish(axes, f"{name} (dB), {over.split()[0]}", list(by_epoch))
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    if handles:
        order = sorted(handles, key=lambda name: name == "mean over stems")
        names = list(dict.fromkeys(scores.name for scores in checkpoints))
        figure.legend([handles[name] for name in order], order, loc="outside upper center",
                      title=title(names, len(by_epoch)),
                      title_fontsize=12, ncols=len(order), frameon=False)  # fmt: skip
    footnotes(figure, [*notes, *twice, *doubts(checkpoints)])
    return figure


def merge(
    checkpoints: Sequence[Scores],
) -> tuple[dict[int, dict[str, dict[str, float]]], list[str]]:
    """Aggregates by epoch; what is there twice counts as it came last, with a note."""
    by_epoch: dict[int, dict[str, dict[str, float]]] = {}
    twice: list[str] = []
    for scores in checkpoints:
        table = by_epoch.setdefault(scores.epoch or 0, {})
        other = [
            key
            for key, values in scores.aggregates.items()
            if any(table.get(key, {}).get(stem, value) != value for stem, value in values.items())
        ]
        if other:
            names = ", ".join(dict.fromkeys(key.removesuffix("_med") for key in other))
            twice.append(
                f"epoch {scores.epoch} is there twice with other values of {names}: "
                f"those of {scores.path.name} are drawn"
            )
        for key, values in scores.aggregates.items():
            table.setdefault(key, {}).update(values)
    return by_epoch, twice


def doubts(checkpoints: Sequence[Scores]) -> list[str]:
    """Notes if the checkpoints are not of one training, or not of one set of songs."""
    notes = []
    names = {scores.name.removesuffix(f"_{scores.epoch}") for scores in checkpoints}
    if len(names) > 1:
        notes.append(f"these are of different models: {', '.join(sorted(names))}")
    sets = {
        (str(scores.data.get("name")), scores.data.get("tracks"))
        for scores in checkpoints
        if scores.data
    }
    if len(sets) > 1:
        words = sorted(f"{name} ({tracks} tracks)" for name, tracks in sets)
        notes.append(f"these were measured on different songs: {', '.join(words)}")
    return notes


def title(names: Sequence[str], count: int) -> str:
    number = f"{count} checkpoint{'s' if count > 1 else ''}"
    return f"{', '.join(names[:4])}, {number}: mean and median over the test tracks"


def finish(axes: plt.Axes, text: str, epochs: Sequence[int]) -> None:
    axes.set_title(text, fontsize=10)
    if len(epochs) == 1:
        axes.set_xticks(epochs)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.grid(alpha=0.3)
    axes.margins(x=0.08, y=0.1)
    if not axes.has_data():
        say(axes, "not measured")
        axes.set_yticks([])


if __name__ == "__main__":
    run_command(main)
