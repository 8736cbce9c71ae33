#!/usr/bin/env python3
"""Scaling of a training with its processes (GPUs): examples a second, parallel efficiency.

    python3 graphing_scripts/scaling.py RUN_OF_1 RUN_OF_2 8=slurm_out/demucs_train.out --out FOLDER

A run is a history.json, an experiment's folder or a log, with `N=` before it where it does not tell
how many processes there were. Draws `scaling.png` and `.svg` into `--out` or the current folder.
Examples a second are the batches of an epoch times the batch size, over the seconds that its
training took (in a history); in a log, its steps a second times the batch size.
The first epoch is left out where there are others, since it pays for the start.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
from _runs import Run, read_run
from _style import COLOURS, footnotes, parser, save, warn
from matplotlib.ticker import FixedLocator, NullLocator

from demucs.experiment.run import finite_number
from demucs.process.command import run_command

SAME = {"batch_size": "batch size", "model": "model", "channels": "channels",
        "segment": "segment (s)", "device": "device", "threads": "threads"}  # fmt: skip


@dataclass
class Speed:
    """A run's examples a second, epoch by epoch, and what it ran on."""

    name: str
    processes: int
    epochs: list[float]
    facts: dict

    @property
    def median(self) -> float:
        return statistics.median(self.epochs)


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    command = parser(__doc__)
    command.add_argument("runs", nargs="+", metavar="[N=]RUN", help="a history, a folder or a log")
    command.add_argument("--batch-size", type=int, help="of the runs that do not tell it")
    options = command.parse_args(argv)
    if options.batch_size is not None and options.batch_size < 1:
        command.error("--batch-size must be above 0")
    return options


def main() -> None:
    options = parse_options()
    speeds, failed = [], False
    for text in options.runs:
        try:
            speeds.append(read_speed(text, options.batch_size))
        except ValueError as error:
            warn("scaling", error)
            failed = True
    if speeds:
        save(draw(speeds), options.out or Path(), "scaling")
    sys.exit(1 if failed else 0)


def read_speed(text: str, batch_size: int | None) -> Speed:
    """A run by `[N=]PATH`; ValueError if it does not tell what is needed."""
    given = re.fullmatch(r"(\d+)=(.+)", text)
    run = read_run(Path(given[2] if given else text))
    processes = int(given[1]) if given else run.facts.get("processes")
    if not processes:
        raise ValueError(f"{text} does not tell how many processes there were: write N={text}")
    size = run.facts.get("batch_size") or batch_size
    if not size:
        raise ValueError(f"{text} does not tell its batch size: give --batch-size N")
    return Speed(run.name, processes, examples_per_second(run, size),
                 {**run.facts, "batch_size": size})  # fmt: skip


def examples_per_second(run: Run, size: int) -> list[float]:
    """Examples a second of each epoch that has them; ValueError if none does."""
    batches, rates = run.facts.get("batches"), run.facts.get("rates", {})
    rounded = run.path.suffix != ".json"  # a log has whole seconds
    by_epoch: dict[int, float] = {}
    for number, epoch in enumerate(run.epochs, 1):
        seconds = finite_number(epoch, "seconds", "train")
        if rounded and rates.get(number):
            by_epoch[number] = rates[number] * size
        elif seconds and batches:
            by_epoch[number] = batches * size / seconds
        elif rates.get(number):
            by_epoch[number] = rates[number] * size
    if len(by_epoch) > 1:
        by_epoch.pop(1, None)
    if not by_epoch:
        raise ValueError(
            f"{run.path} has neither the steps a second nor, with the seconds, the number of steps "
            "of an epoch: give the experiment's folder or its log, and keep misc.num_prints above 0"
        )
    return list(by_epoch.values())


def draw(speeds: list[Speed]) -> plt.Figure:
    """Examples a second and parallel efficiency by the number of processes."""
    speeds = sorted(speeds, key=lambda speed: speed.processes)
    counts = sorted({speed.processes for speed in speeds})
    # The ideal goes through the fewest processes: the best of their runs, so that none beats it
    # by a bad start alone.
    base = max(speed.median / speed.processes for speed in speeds if speed.processes == counts[0])
    plt.rcParams.update({"font.size": 10})
    figure, (rate, share) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    span = [counts[0], max(counts[-1], 2 * counts[0])]
    rate.plot(span, [base * processes for processes in span], color="black", linestyle="--",
              linewidth=1, label=f"ideal: {base:.3g} for each process")  # fmt: skip
    share.axhline(100, color="black", linestyle="--", linewidth=1)
    for axes, value in ((rate, lambda speed, y: y),
                        (share, lambda speed, y: 100 * y / speed.processes / base)):  # fmt: skip
        medians = {n: statistics.median(speed.median for speed in speeds if speed.processes == n)
                   for n in counts}  # fmt: skip
        middle = [value(Speed("", n, [], {}), medians[n]) for n in counts]
        axes.plot(counts, middle, color=COLOURS[0], marker="o", markersize=6, zorder=3,
                  label="median of the epochs")  # fmt: skip
        for speed in speeds:
            values = [value(speed, y) for y in speed.epochs]
            axes.plot([speed.processes] * len(values), values, linestyle="", marker="o",
                      markersize=4, markerfacecolor="white", markeredgecolor=COLOURS[0],
                      zorder=2)  # fmt: skip
        for n, y in zip(counts, middle, strict=True):
            axes.annotate(f"{y:.3g}" if axes is rate else f"{y:.0f} %", (n, y), xytext=(9, -12),
                          textcoords="offset points", fontsize=9)  # fmt: skip
        axes.set_xscale("log", base=2)
        ticks = sorted({*counts, span[1]})
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(n) for n in ticks])
        axes.set_xlim(span[0] / 1.2, span[1] * 1.25)
        axes.set_xlabel("processes")
        axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
        axes.grid(alpha=0.3)
    rate.set_ylabel("examples a second")
    share.set_ylabel(f"parallel efficiency (%), {counts[0]} = 100")
    rate.legend(loc="upper left", frameon=False)
    footnotes(figure, notes(speeds))
    return figure


def notes(speeds: list[Speed]) -> list[str]:
    """Reservations for a reader who compares the runs."""
    lines = []
    if len({speed.processes for speed in speeds}) == 1:
        lines.append(f"all runs have {speeds[0].processes} process(es): there is nothing to scale")
    for key, name in SAME.items():
        values = {speed.processes: speed.facts[key] for speed in speeds if key in speed.facts}
        noted = [speed.facts[key] for speed in speeds if key in speed.facts]
        if len(set(noted)) > 1:
            each = ", ".join(f"{n}: {value}" for n, value in values.items())
            lines.append(
                f"not comparable: the {name} differs between the runs ({each} by processes)"
            )
        elif 0 < len(noted) < len(speeds):
            lines.append(f"only {len(noted)} of {len(speeds)} runs tell the {name}")
    sizes = {speed.facts["batch_size"] for speed in speeds}
    if len(sizes) == 1:
        lines.append(f"batch size {sizes.pop()} over all processes together; dots are epochs")
    return lines


if __name__ == "__main__":
    run_command(main)
