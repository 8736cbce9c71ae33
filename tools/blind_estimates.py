"""Separates labelled songs by several teachers: the training set of the quality network.

    python3 -m tools.blind_estimates OUT --repo release_models -n A_1,A_6,B_6 --songs DATASET

Separates each song of DATASET by each named model (as different as there are: several
architectures, several stages of training) and writes OUT/{train,valid}/SONG/TEACHER/STEM.flac, and
beside them record.json: true nSDR, level, error and activity of the song and of each second. Test
songs are never used. Songs that are done are kept, so an interrupted command continues where it
stopped; other models can be added later. Then:

    python3 -m demucs.train_quality estimates=OUT songs=DATASET
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
from collections.abc import Sequence
from pathlib import Path

from demucs.blind.network.estimate_sets import SPLITS, collect_estimates
from demucs.process.command import run_command
from demucs.process.tool import CONTINUES, make_parser, reports_errors


@reports_errors(CONTINUES)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    args = parser().parse_args(argv)
    outcome = collect_estimates(
        args.out,
        [name for name in args.names.split(",") if name],
        songs=args.songs,
        splits=args.splits.split(","),
        repo=args.repo,
        kind=args.kind,
        limit=args.limit,
        device=args.device,
        progress=args.progress,
    )
    print(f"{outcome.estimates} estimates in {args.out}, {outcome.new} of them new")
    return 0


def parser() -> argparse.ArgumentParser:
    made = make_parser("tools.blind_estimates", __doc__)
    add = made.add_argument
    add("out", type=Path, metavar="OUT", help="folder for the estimates")
    add("-n", "--names", required=True, metavar="A,B,..", help="releases, bags or published models")
    add("--repo", type=Path, metavar="FOLDER", help="folder of the releases (./release_models)")
    add("--songs", type=Path, required=True, metavar="DATASET", help="folder with train/NAME/")
    add(
        "--splits", default=",".join(SPLITS), metavar="A,B", help="splits to separate (train,valid)"
    )
    add("--kind", default="music", metavar="WORD", help="kind of music, which is recorded (music)")
    add("--limit", type=int, metavar="N", help="at most so many songs of each split")
    add(
        "-d", "--device", default="cpu", metavar="DEV", help="device to compute on, e.g. cuda (cpu)"
    )
    add("--no-progress", dest="progress", action="store_false", help="no progress bars")
    return made


if __name__ == "__main__":
    run_command(main)
