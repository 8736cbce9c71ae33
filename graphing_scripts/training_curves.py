#!/usr/bin/env python3
"""Training curves: loss, reconstruction, penalty and nSDR over epochs, of one run or of several.

    python3 graphing_scripts/training_curves.py outputs/xps/SIG/history.json [MORE ...] --out FOLDER

Reads Dora histories, folders of experiments, and training logs as SLURM keeps them (of this project
and of the public Demucs). Draws a figure for each, as PNG and SVG, into `--out` or beside it:
`training_curves` of a history, `NAME_curves` of a log NAME.out. With --together all runs go on the
same axes, as `runs`. A log that is appended to after a restart is one run by itself; the logs
of a run that has several are one with --join. Needs matplotlib alone, and runs from any folder.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from _runs import Run, join_logs, read_run
from _style import LINES, footnotes, parser, save, say, stem_style, style_of, warn
from matplotlib.ticker import MaxNLocator

from demucs.errors import message_of
from demucs.experiment.run import finite_number
from demucs.process.command import run_command

PANELS = {
    "loss": "loss",
    "reco": "reconstruction",
    "penalty": "singular-value penalty",
    "nsdr": "valid nSDR (dB)",
    "averages": "valid nSDR by state (dB)",
    "test": "test nSDR (dB)",
}
MISSING = {
    "loss": "no loss",
    "reco": "no reconstruction",
    "penalty": "no penalty",
    "nsdr": "no nSDR",
    "averages": "no values by state",
    "test": "no test stage",
}


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    made = parser(__doc__)
    add = made.add_argument
    add("inputs", nargs="+", type=Path, metavar="INPUT",
        help="history.json of Dora, folder of an experiment, or training log")  # fmt: skip
    add("--together", action="store_true", help="all runs on the same axes: runs.png")
    add("--join", action="store_true",
        help="the inputs are parts of one run's log (put in order by their times)")  # fmt: skip
    return made.parse_args(argv)


def main() -> None:
    options = parse_options()
    plt.rcParams.update({"font.size": 10})
    runs, failed = read_all(options.inputs, join=options.join)
    try:
        if options.together and runs:
            folder = options.out or (runs[0].path if runs[0].path.is_dir() else runs[0].path.parent)
            save(draw_together(runs), folder, "runs")
        elif runs:
            for run, folder, name in places(runs, options.out):
                save(draw(run), folder, name)
    except OSError as error:
        warn("training_curves", message_of(error))
        failed = True
    sys.exit(1 if failed else 0)


def read_all(inputs: Sequence[Path], *, join: bool) -> tuple[list[Run], bool]:
    """The runs that can be read, and whether any could not, which is printed."""
    runs, failed = [], False
    for paths in [inputs] if join else [[path] for path in inputs]:
        try:
            runs.append(join_logs(paths) if join else read_run(paths[0]))
        except ValueError as error:
            warn("training_curves", error)
            failed = True
    return runs, failed


def places(runs: Sequence[Run], out: Path | None) -> list[tuple[Run, Path, str]]:
    """Each run with the folder and the name of its figure, none of which is another's."""
    figures: list[tuple[Run, Path, str]] = []
    for run in runs:
        folder = run.path if run.path.is_dir() else run.path.parent
        is_log = run.path.is_file() and run.path.suffix != ".json"
        name = f"{run.path.stem}_curves" if is_log else "training_curves"
        if out is not None and len(runs) > 1 and not is_log:
            name = f"training_curves_{run.name}"
        taken = {(str(figure[1]), figure[2]) for figure in figures}
        plain, count = name, 1
        while (str(out or folder), name) in taken:
            count += 1
            name = f"{plain}_{count}"
        figures.append((run, out or folder, name))
    return figures


def draw(run: Run) -> plt.Figure:
    """One run, with every stem and every moving average."""
    figure, axes = panels()
    for number, stage in enumerate(("train", "valid")):
        look = {**style_of(number), "linestyle": LINES[number]}
        for key in ("loss", "reco", "penalty"):
            plot(axes[key], run, (stage, key), label=stage, **look)
    stems = stems_of(run, "valid")
    for stage, panel in (("valid", "nsdr"), ("test", "test")):
        names = stems if stage == "valid" else stems_of(run, "test")
        for stem in names:
            look = stem_style(stem, names)
            plot(axes[panel], run, (stage, f"nsdr_{stem}"), label=stem, **look)
        plot(axes[panel], run, (stage, "nsdr"), label="mean", color="black", linewidth=2)
    for number, name in enumerate(states_of(run)):
        look = {**style_of(number), "linestyle": LINES[number % len(LINES)]}
        plot(axes["averages"], run, ("valid", name, "nsdr"), label=name, **look)
    best, words = best_epoch(run)
    for panel in axes.values():
        if best and panel.has_data():
            panel.axvline(best, color="#555555", linewidth=1.5, linestyle=":", zorder=0)
    planned = run.facts.get("planned", 0)
    of = f" of {planned}" if planned > len(run.epochs) else ""
    several = "s" if max(planned, len(run.epochs)) > 1 else ""
    title = f"{run.name}: {len(run.epochs)}{of} epoch{several}"
    figure.suptitle("\n".join([title, words] if words else [title]), fontsize=11)
    finish(axes, [run])
    footnotes(figure, run.notes + partly(run))
    return figure


def draw_together(runs: Sequence[Run]) -> plt.Figure:
    """Several runs on the same axes: a colour and a marker each."""
    figure, axes = panels()
    names = distinct(runs)
    for number, run in enumerate(runs):
        look = style_of(number)
        for key in ("loss", "reco", "penalty"):
            if not plot(axes[key], run, ("valid", key), label="", **look):
                plot(axes[key], run, ("train", key), label="", **look)
            elif key != "penalty":
                dotted = {"color": look["color"], "linestyle": ":", "marker": ""}
                plot(axes[key], run, ("train", key), label="", **dotted)
        plot(axes["nsdr"], run, ("valid", "nsdr"), label="", **look)
        plot(axes["averages"], run, ("valid", "main", "nsdr"), label="", **look)
        plot(axes["test"], run, ("test", "nsdr"), label="", **look)
    finish(axes, runs, {**PANELS, "averages": "valid nSDR of main (dB)"})
    for key in ("loss", "reco"):
        axes[key].set_title("valid; dotted: train", fontsize=9)
    handles = [
        plt.Line2D([], [], label=f"{name}: {len(run.epochs)} epochs", **style_of(number))
        for number, (name, run) in enumerate(zip(names, runs, strict=True))
    ]
    figure.legend(handles=handles, loc="outside upper center", frameon=False,
                  ncols=min(len(runs), 3 if max(map(len, names)) < 24 else 2))  # fmt: skip
    footnotes(figure, [f"{name}: {note}" for name, run in zip(names, runs, strict=True)
                       for note in run.notes])  # fmt: skip
    return figure


def panels() -> tuple[plt.Figure, dict[str, plt.Axes]]:
    figure, grid = plt.subplots(2, 3, figsize=(10.5, 6.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    return figure, dict(zip(PANELS, grid.flat, strict=True))


def plot(axes: plt.Axes, run: Run, names: Sequence[str], **style: object) -> bool:
    """A line, with a marker at each point as long as these are few; whether there is any."""
    x, y = run.series(*names)
    if not x:
        return False
    style.setdefault("marker", "o")
    if names[0] != "test":
        x, y = with_gaps(x, y)
    style.setdefault("linewidth", 1.5 if len(x) < 100 else 1.1)
    axes.plot(x, y, markersize=4, markevery=marked(y), **style)
    return True


def with_gaps(x: list[int], y: list[float]) -> tuple[list[float], list[float]]:
    """Points with a NaN wherever epochs are missing, which interrupts the line."""
    places: list[float] = []
    values: list[float] = []
    for number, value in zip(x, y, strict=True):
        if places and number > places[-1] + 1:
            places.append(places[-1] + 0.5)
            values.append(float("nan"))
        places.append(number)
        values.append(value)
    return places, values


def marked(values: Sequence[float]) -> list[int]:
    """The points with a marker: about twelve, and those that no line leads to."""
    finite = [value == value for value in values]
    alone = [
        place
        for place, seen in enumerate(finite)
        if seen and not any(finite[max(0, place - 1) : place]) and not any(finite[place + 1 :][:1])
    ]
    return sorted({*range(0, len(values), max(1, len(values) // 12)), *alone})


def finish(axes: dict[str, plt.Axes], runs: Sequence[Run], labels: dict[str, str] = PANELS) -> None:
    """Labels, legends above the panels, and words in the panels without data."""
    last = max(len(run.epochs) for run in runs)
    for key, panel in axes.items():
        panel.set_ylabel(labels[key])
        margin = 0.5 if last == 1 else 0.03 * last
        panel.set_xlim(1 - margin, last + margin)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        panel.grid(alpha=0.3)
        if not panel.has_data():
            logs = any(run.path.is_file() and run.path.suffix != ".json" for run in runs)
            runs_here = "this run" if len(runs) == 1 else "these runs"
            broken = any("not finite" in note for run in runs for note in run.notes)
            missing = MISSING[key].replace("no ", "no finite ") if broken else MISSING[key]
            say(panel, f"{missing}\nin {'what the log says of ' if logs else ''}{runs_here}")
            panel.set_xticks([])
            panel.set_yticks([])
            continue
        panel.set_xlabel("epoch")
        labels_there = panel.get_legend_handles_labels()[1]
        if labels_there:
            columns = 3 if max(map(len, labels_there)) < 8 else 2
            panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize=8,
                         frameon=False, columnspacing=1, handlelength=2.2)  # fmt: skip


def stems_of(run: Run, stage: str) -> list[str]:
    """The stems of which `stage` has nSDR, the usual ones first."""
    keys = {key for epoch in run.epochs for key in epoch.get(stage, {})}
    stems = [key.removeprefix("nsdr_") for key in keys if key.startswith("nsdr_")]
    usual = ["drums", "bass", "other", "vocals"]
    stems = [stem for stem in stems if stem != "med" and not stem.startswith("med_")]
    return sorted(stems, key=lambda stem: (usual.index(stem) if stem in usual else 9, stem))


def states_of(run: Run) -> list[str]:
    """`main` and the moving averages that were validated."""
    valid = [epoch.get("valid", {}) for epoch in run.epochs]
    names = {key for values in valid for key, value in values.items() if isinstance(value, dict)}
    return sorted(names, key=lambda name: (name != "main", name))


def partly(run: Run) -> list[str]:
    """A note if a log has only the chosen state of each epoch."""
    if run.facts.get("chosen_only"):
        return ["by state: this log has a state's value only in the epochs in which it was chosen"]
    return []


def best_epoch(run: Run) -> tuple[int | None, str]:
    """The epoch whose state is kept, and words about it.

    `best` in a history is the best value so far of the metric that chooses (`test.metric`), which
    is nSDR or the loss: so the epoch is the one that has this value, to the digits of a log.
    """
    best = run.series("valid", "best")[1]
    for key, digits in (("nsdr", 6e-4), ("loss", 6e-5)) if best else ():
        for number, epoch in enumerate(run.epochs, 1):
            value = finite_number(epoch, "valid", key)
            if value is not None and abs(value - best[-1]) <= digits:
                return number, _words(run, number, "best", key)
    x, y = run.series("valid", "nsdr")
    if not x:
        return None, ""
    number = x[y.index(max(y))]
    return number, _words(run, number, "highest valid nSDR", "nsdr")


def _words(run: Run, number: int, stage: str, key: str) -> str:
    valid = run.epochs[number - 1]["valid"]
    value = f"nSDR {valid['nsdr']:.2f} dB" if key == "nsdr" else f"loss {valid['loss']:.4f}"
    state = f", of {valid['bname']}" if valid.get("bname") else ""
    return f"{stage} (dotted): epoch {number}, valid {value}{state}"


def distinct(runs: Sequence[Run]) -> list[str]:
    """A name for each run, with its file where two have the same."""
    names = [run.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.path.parent.name}/{run.path.name})"
        for name, run in zip(names, runs, strict=True)
    ]


if __name__ == "__main__":
    run_command(main)
