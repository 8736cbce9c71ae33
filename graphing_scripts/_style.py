"""The style of all figures: colours, markers, files, and words where something is missing.

Beside the scripts, so that `python3 graphing_scripts/NAME.py` finds it from any folder.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from demucs.files import atomic_path

# Names of runs and stems are words, not formulas: a `$` in them is a dollar.
plt.rcParams["text.parse_math"] = False

# Okabe-Ito colours: distinct for colour-blind readers and, with the markers, in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "^", "s", "D", "v", "P", "X"]
LINES = ["-", "--", "-.", ":"]
# The usual stems look the same in every figure; others follow in their order.
STEMS = ["drums", "bass", "other", "vocals"]


def style_of(number: int) -> dict[str, str]:
    """Colour and marker of the N-th thing, for `axes.plot`; 49 of them differ."""
    marker = number + number // len(COLOURS)
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[marker % len(MARKERS)]}


def stem_style(stem: str, sources: list[str]) -> dict[str, str]:
    """Colour and marker of a stem, the same in every figure."""
    further = [name for name in sources if name not in STEMS]
    return style_of(STEMS.index(stem) if stem in STEMS else len(STEMS) + further.index(stem))


def parser(text: str) -> argparse.ArgumentParser:
    """A parser whose help is `text`, with `--out FOLDER`."""
    command = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("--out", type=Path, help="folder for the figures")
    return command


def save(figure: plt.Figure, folder: Path, name: str) -> None:
    """Writes NAME.png and NAME.svg, each whole or not at all, and prints their paths.

    Raises:
        OSError: the folder cannot be made or written.
    """
    # Without a date and with fixed identifiers, the same numbers give the same file.
    with plt.rc_context({"svg.hashsalt": "demucs", "svg.fonttype": "path"}):
        for suffix in ("png", "svg"):
            path = folder / f"{name}.{suffix}"
            metadata = {"Date": None} if suffix == "svg" else None
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=suffix, dpi=150, metadata=metadata)
            print(path)
    plt.close(figure)


def say(axes: plt.Axes, text: str) -> None:
    """Words in the middle of a panel that has nothing to draw."""
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=axes.transAxes)


def footnotes(figure: plt.Figure, notes: list[str]) -> None:
    """Notes in small print below the figure: what is missing or left out."""
    if notes:
        figure.supxlabel("\n".join(notes), fontsize=8, color="#555555", ha="left", x=0.01)


def warn(script: str, message: object) -> None:
    """To standard error: what could not be read or drawn."""
    print(f"{script}: {message}", file=sys.stderr)
