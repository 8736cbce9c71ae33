"""Makes new training songs whose stems come from different songs, aligned in beat and key.

    python3 -m tools.automix DATASET OUT --per-song 2 --seed 0

Each song of DATASET/train gives the beat, the key and one stem of new ones; the other stems come
from songs whose tempo and key are near enough to be brought to it. Writes
OUT/train/NAME/STEM.wav (16 bits; with automix.json, which says what it was made from) and
OUT/train.jsonl, a line for each song. Songs of `test` are never used, nor, for training, those
that are for validation.

A song depends on the dataset, the seed and the limits below. A second call keeps the songs that
are complete, so an interrupted one resumes where it stopped. Then train with dset.wav=OUT.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from demucs.data.automix import Limits, automix
from demucs.process.command import run_command
from demucs.process.tool import CONTINUES, make_parser, reports_errors

STEMS = "drums,bass,other,vocals"
SHOWN = 10  # lines about songs that could not be made


@reports_errors(CONTINUES)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    outcome = automix(
        args.dataset,
        args.out,
        sources=tuple(args.sources.split(",")),
        split=args.split,
        per_song=args.per_song,
        seed=args.seed,
        limits=_limits(args),
        samplerate=args.samplerate,
        channels=args.channels,
        mixture=args.mixture,
        builtin=args.builtin,
        workers=args.workers,
        progress=args.progress,
    )
    for line in outcome.left_out[:SHOWN]:
        print(f"left out: {line}", file=sys.stderr)
    if len(outcome.left_out) > SHOWN:
        print(f"left out: {len(outcome.left_out) - SHOWN} more", file=sys.stderr)
    print(f"{len(outcome.folders)} songs in {args.out / args.split}, {outcome.new} of them new")
    return 0


def _limits(args: argparse.Namespace) -> Limits:
    return Limits(
        tempo=args.tempo,
        semitones=args.semitones,
        likeness=args.likeness,
        clarity=args.clarity,
        min_seconds=args.min_seconds,
        max_seconds=args.max_seconds,
    )


def parser() -> argparse.ArgumentParser:
    made = make_parser("tools.automix", __doc__)
    made.add_argument("dataset", type=Path, metavar="DATASET", help="folder with train/NAME/")
    made.add_argument("out", type=Path, metavar="OUT", help="folder for the new songs")
    add = made.add_argument
    add("--per-song", type=int, default=1, metavar="N", help="new songs for each song (1)")
    add("--split", default="train", help="train or valid (train)")
    add("--seed", type=int, default=0, metavar="K", help="seed of the songs (0)")
    add("--sources", default=STEMS, metavar="A,B,..", help=f"stems ({STEMS})")
    add("--samplerate", type=int, default=44100, metavar="HZ", help="of the dataset (44100)")
    add("--channels", type=int, default=2, metavar="C", help="of the new songs (2)")
    add("--mixture", action="store_true", help="write mixture.wav too: the sum of the stems")
    limits = Limits()
    for name, kind, text in (
        ("tempo", float, "largest change of tempo, percent"),
        ("semitones", int, "largest transposition"),
        ("likeness", float, "smallest correlation of two songs' pitch classes"),
        ("clarity", float, "smallest clarity of a song's beat, 0 to 1"),
        ("min-seconds", float, "shortest new song"),
        ("max-seconds", float, "longest new song"),
    ):
        value = getattr(limits, name.replace("-", "_"))
        add(f"--{name}", type=kind, default=value, metavar="X", help=f"{text} ({value:g})")
    add("--builtin", action="store_true", help="stretch without SoundTouch even if it is there")
    add("-j", "--workers", type=int, metavar="N", help="processes (one for each core)")
    add("--no-progress", dest="progress", action="store_false", help="no progress bars")
    return made


if __name__ == "__main__":
    run_command(main)
