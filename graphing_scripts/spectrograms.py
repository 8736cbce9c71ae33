#!/usr/bin/env python3
"""Spectrograms of a mixture, and of the reference, estimate and error of each stem.

    python3 graphing_scripts/spectrograms.py demucs_results/demo_c4a125af/audio --out FOLDER
    python3 graphing_scripts/spectrograms.py --mixture SONG/mixture.wav --references SONG \\
        --estimates separated/MODEL/SONG --start 30 --seconds 10

Draws `spectrograms.png` and `.svg`. A folder alone has `mixture.*`, `STEM_estimate.*` and perhaps
`STEM_reference.*`; otherwise estimates are a folder of STEM.wav as `demucs` writes them, and
references one as MUSDB18-HQ has them. Needs soundfile, scipy and matplotlib.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from _audio import Clip, compared, nsdr, read_clip, spectrogram
from _style import STEMS, footnotes, parser, save, say, warn

from demucs.process.command import run_command

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)  # Hz
RANGE = 80  # dB below the loudest point of the mixture


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    command = parser(__doc__)
    command.add_argument("folder", nargs="?", type=Path, help="mixture.*, STEM_estimate.*, ...")
    command.add_argument("--mixture", type=Path, help="its audio file")
    command.add_argument("--estimates", type=Path, help="folder of STEM.wav")
    command.add_argument("--references", type=Path, help="folder of STEM.wav")
    command.add_argument("--start", type=float, default=0, help="seconds into the song (0)")
    command.add_argument("--seconds", type=float, help="how many to show (all)")
    options = command.parse_args(argv)
    if bool(options.folder) == bool(options.mixture and options.estimates):
        command.error("give a folder, or --mixture FILE and --estimates FOLDER")
    if options.start < 0 or (options.seconds is not None and options.seconds <= 0):
        command.error("--start must not be below 0, and --seconds must be above it")
    return options


def main() -> None:
    options = parse_options()
    try:
        mixture, pairs = find(options)
        song = read_clip(mixture, options.start, options.seconds)
        stems, problems = read_stems(pairs, song, options)
    except ValueError as error:
        warn("spectrograms", error)
        sys.exit(1)
    for problem in problems:
        warn("spectrograms", problem)
    referenced = any("reference" in files for files in pairs.values())
    figure = draw(song, stems, options.start, referenced=referenced, notes=problems)
    save(figure, options.out or options.folder or options.estimates, "spectrograms")
    sys.exit(1 if problems else 0)


def find(options: argparse.Namespace) -> tuple[Path, dict[str, dict[str, Path]]]:
    """The mixture's file, and those of each stem by "estimate" and "reference"."""
    pairs: dict[str, dict[str, Path]] = {}
    folders = {"estimate": options.estimates, "reference": options.references}
    if options.folder:
        folders = dict.fromkeys(folders, options.folder)
    for kind, folder in folders.items():
        ending = f"_{kind}" if options.folder else ""
        for stem, path in audio_of(folder).items():
            if stem.endswith(ending) and stem != "mixture":
                pairs.setdefault(stem.removesuffix(ending), {})[kind] = path
    mixture = options.mixture or audio_of(options.folder).get("mixture")
    if mixture is None:
        raise ValueError(f"{options.folder} has no mixture.wav (or .flac, ...): add it")
    where = options.folder or options.estimates
    if not any("estimate" in files for files in pairs.values()):
        name = "STEM_estimate.wav, e.g. drums_estimate.wav" if options.folder else "STEM.wav"
        raise ValueError(f"{where} has no estimates: they are called {name}")
    order = [*STEMS, *sorted(set(pairs) - set(STEMS))]
    return mixture, {stem: pairs[stem] for stem in order if stem in pairs}


def audio_of(folder: Path | None) -> dict[str, Path]:
    """Audio files of a folder by name; ValueError if there is no such folder."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give one with an audio file for each stem")
    return {path.stem: path for path in sorted(folder.iterdir())
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")}  # fmt: skip


def read_stems(
    pairs: dict[str, dict[str, Path]], song: Clip, options: argparse.Namespace
) -> tuple[dict[str, dict[str, Clip]], list[str]]:
    """The clips that could be read, and the problems of the others."""
    stems: dict[str, dict[str, Clip]] = {}
    problems = []
    for stem, files in pairs.items():
        stems[stem] = {}
        for kind, path in files.items():
            try:
                clip = read_clip(path, options.start, options.seconds)
                if clip.rate != song.rate:
                    raise ValueError(
                        f"{path} has {clip.rate} Hz, and the mixture {song.rate}: resample it"
                    )
                stems[stem][kind] = clip
            except ValueError as error:
                problems.append(str(error))
    return stems, problems


def draw(
    song: Clip, stems: dict[str, dict[str, Clip]], start: float, *, referenced: bool,
    notes: list[str],
) -> plt.Figure:  # fmt: skip
    """A row for the mixture and one for each stem."""
    columns, rows = 3 if referenced else 1, 1 + len(stems)
    plt.rcParams.update({"font.size": 10})
    figure, grid = plt.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=True, layout="constrained",
        figsize=(12 if columns == 3 else 8, 1.0 + 1.85 * rows),
    )  # fmt: skip
    top = float(spectrogram(song.audio, song.rate)[0].max())
    notes = list(notes)
    show(grid[0][0], song, "mixture", top, start)
    if columns == 3:
        estimates = [clips["estimate"] for clips in stems.values() if "estimate" in clips]
        total, short = compared(song, estimates)
        show(grid[0][1], Clip(total, song.rate), "sum of the estimates", top, start)
        left = Clip(song.audio[:short] - total[:short], song.rate)
        show(grid[0][2], left, "mixture − sum", top, start)
    for row, (stem, clips) in zip(grid[1:], stems.items(), strict=True):
        notes += draw_stem(list(row), stem, clips, top, start)
    for axes in grid[-1]:
        axes.set_xlabel("seconds")
    for row in grid:
        row[0].set_ylabel("Hz")
    image = next(axes.images[0] for axes in grid.flat if axes.images)
    bar = figure.colorbar(image, ax=grid, location="right", shrink=0.6, pad=0.015)
    bar.set_label("dB below the loudest point of the mixture")
    footnotes(figure, notes)
    return figure


def draw_stem(
    row: list[plt.Axes], stem: str, clips: dict[str, Clip], top: float, start: float
) -> list[str]:
    """The panels of a stem; gives notes on it."""
    panels = dict(zip(("reference", "estimate", "error"), row, strict=False))
    if len(row) == 1:
        panels = {"estimate": row[0]}
    for kind in ("reference", "estimate"):
        if kind in panels and kind in clips:
            show(panels[kind], clips[kind], f"{stem}: {kind}", top, start)
        elif kind in panels:
            say(panels[kind], f"no {kind} of {stem}")
    if "error" not in panels:
        return []
    if len(clips) < 2:
        say(panels["error"], "no error without both")
        return []
    notes = []
    reference, estimate = clips["reference"], clips["estimate"]
    if reference.audio.shape != estimate.audio.shape:
        shapes = [f"{clip.seconds:.2f} s with {clip.audio.shape[1]} channel(s)"
                  for clip in (reference, estimate)]  # fmt: skip
        notes.append(f"{stem}: the reference has {shapes[0]}, the estimate {shapes[1]}; "
                     "compared is what both have")  # fmt: skip
    total, short = compared(reference, [estimate])
    error = Clip(reference.audio[:short] - total[:short], reference.rate)
    value = nsdr(reference.audio[:short], total[:short])
    score = "silent reference, no nSDR" if value is None else f"nSDR {value:.2f} dB"
    show(panels["error"], error, f"{stem}: error, {score}", top, start)
    return notes


def show(axes: plt.Axes, clip: Clip, title: str, top: float, start: float) -> None:
    """One spectrogram."""
    axes.set_title(title, fontsize=10)
    if not np.any(clip.audio):
        say(axes, "silent")
        return
    values, edges = spectrogram(clip.audio, clip.rate)
    decibels = 10 * np.log10(np.maximum(values / max(top, 1e-20), 10 ** (-RANGE / 10)))
    # Bands are equal steps of the logarithm, so that an image of equal rows shows them.
    low, high = np.log2(edges[[0, -1]])
    axes.imshow(
        decibels, origin="lower", aspect="auto", cmap="magma", vmin=-RANGE, vmax=0,
        extent=(start, start + clip.seconds, low, high), interpolation="nearest",
    )  # fmt: skip
    shown = [tick for tick in TICKS if edges[0] <= tick <= edges[-1]]
    axes.set_yticks(np.log2(shown), [f"{tick:,}".replace(",", "\u202f") for tick in shown])
    axes.tick_params(labelsize=8)


if __name__ == "__main__":
    run_command(main)
