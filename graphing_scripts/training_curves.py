#!/usr/bin/env python3
"""Training curves from Dora histories: loss and nSDR over epochs.

    python3 graphing_scripts/training_curves.py outputs/xps/SIG/history.json [MORE ...] --out FOLDER

Draws one figure a history, `training_curves.png` and `.svg`, into `--out` or beside the history.
Needs matplotlib alone, and runs from any folder.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

# Okabe-Ito colours: told apart by colour-blind readers and in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("histories", nargs="+", type=Path, help="history.json of Dora")
    parser.add_argument("--out", type=Path, help="folder for the figures")
    return parser.parse_args(argv)


def main() -> None:
    options = parse_options()
    failed = False
    for path in options.histories:
        try:
            epochs = read_history(path)
        except ValueError as error:
            print(f"training_curves: {error}", file=sys.stderr)
            failed = True
            continue
        folder = options.out or path.parent
        folder.mkdir(parents=True, exist_ok=True)
        figure = draw(epochs, path.parent.name)
        for suffix in ("png", "svg"):
            figure.savefig(folder / f"training_curves.{suffix}", dpi=150)
            print(folder / f"training_curves.{suffix}")
        plt.close(figure)
    sys.exit(1 if failed else 0)


def read_history(path: Path) -> list[dict]:
    """The epochs of a history; ValueError if the file is not one or has none."""
    try:
        epochs = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a Dora history: {error}") from None
    if not isinstance(epochs, list) or not all(isinstance(epoch, dict) for epoch in epochs):
        raise ValueError(f"{path} is not a Dora history: it should be a list, one entry an epoch")
    if not epochs:
        raise ValueError(f"{path} has no epoch yet: nothing to draw")
    return epochs


def series(epochs: list[dict], stage: str, key: str) -> tuple[list[int], list[float]]:
    """Epochs (from 1) and the finite values of one metric."""
    points = [
        (number, float(epoch[stage][key]))
        for number, epoch in enumerate(epochs, 1)
        if isinstance(epoch.get(stage, {}).get(key), int | float)
        and math.isfinite(epoch[stage][key])
    ]
    return [x for x, _ in points], [y for _, y in points]


def draw(epochs: list[dict], title: str) -> plt.Figure:
    figure, (loss, nsdr) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for colour, stage in zip(COLOURS, ("train", "valid"), strict=False):
        plot(loss, epochs, stage, "loss", stage, colour)
    finish(loss, "loss (weighted L1 or MSE, normalised audio)")
    stems = sorted({key for e in epochs for key in e.get("valid", {}) if key.startswith("nsdr_")})
    for colour, key in zip(COLOURS, stems, strict=False):
        plot(nsdr, epochs, "valid", key, key.removeprefix("nsdr_"), colour)
    plot(nsdr, epochs, "valid", "nsdr", "mean", "#000000", linewidth=2.5)
    finish(nsdr, "valid nSDR (dB)")
    figure.suptitle(f"{title}: {len(epochs)} epochs")
    return figure


def plot(
    axes: plt.Axes, epochs: list[dict], stage: str, key: str, label: str, colour: str, **style
):
    x, y = series(epochs, stage, key)
    if x:
        axes.plot(x, y, label=label, color=colour, marker="o", markersize=3, **style)


def finish(axes: plt.Axes, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    if axes.has_data():
        axes.legend()
    else:
        axes.text(0.5, 0.5, "not in this history", ha="center", transform=axes.transAxes)


if __name__ == "__main__":
    main()
