"""Makes an HTML page of one or several runs: `python3 -m tools.report SIG ... --out report`.

The page has the configuration, the numbers beside published ones, training curves, a table of all
songs, and players that switch between mixture, reference and estimate in place. It works from the
disk, without a network. SIG is an experiment in OUTPUTS/xps, a release in REPO, or a folder of
results such as demucs_results/demo_c4a125af; what is not there is said in the page.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import VALUES
from demucs.experiment.record import outputs_folder
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors
from demucs.release.names import DEFAULT_FOLDER


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    parser = make_parser("tools.report", __doc__)
    add = parser.add_argument
    add("runs", nargs="+", metavar="SIG", help="experiment, release, or folder of results")
    add("--out", type=Path, default=Path("report"), metavar="FOLDER",
        help="for the page (default: report); an earlier report there is replaced")  # fmt: skip
    add("--outputs", type=Path, metavar="FOLDER",
        help="where experiments lie, in xps/ (default: $DEMUCS_OUTPUTS, then outputs)")  # fmt: skip
    add("--repo", type=Path, metavar="FOLDER", help=f"releases (default: {DEFAULT_FOLDER})")
    add("--results", nargs="+", type=Path, metavar="FILE",
        help="evaluations, one a run in their order (default: evaluation.json in the run's folder, "
        "then REPO/evaluation_SIG.json)")  # fmt: skip
    add("--musdb", metavar="PATH",
        help="songs to separate (default: $DEMUCS_MUSDB, then the release's)")  # fmt: skip
    add("--tracks", nargs="+", default=[], metavar="NAME", help="songs with a player")
    add("--players", type=int, default=3, metavar="N",
        help="how many songs get one: best, median, worst, ... (default: 3)")  # fmt: skip
    add("--seconds", type=float, default=20.0, metavar="S", help="of each song (default: 20)")
    add("--start", type=float, metavar="S",
        help="where they begin (default: where most stems are active)")  # fmt: skip
    add("--metric", choices=VALUES, help="to choose and sort by (default: sdr)")
    add("--title", help="of the page (default: the names of the runs)")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    """Makes the report; returns the exit code."""
    from demucs.report.make import Options, make_report
    from demucs.report.run_files import find_run

    options = Options(
        title=args.title, metric=args.metric, tracks=args.tracks, players=args.players,
        seconds=args.seconds, start=args.start, musdb=args.musdb,
    )  # fmt: skip
    if args.results and len(args.results) != len(args.runs):
        raise ConfigError(
            f"--results has {len(args.results)} files for {len(args.runs)} runs: give one a run"
        )
    results = args.results or [None] * len(args.runs)
    outputs = args.outputs or outputs_folder()
    runs = [
        find_run(name, outputs=outputs, repo=args.repo, evaluation=file)
        for name, file in zip(args.runs, results, strict=True)
    ]
    for problem in make_report(runs, args.out, options):
        print(f"note: {problem}", file=sys.stderr)
    print(f"report: {args.out / 'index.html'}")
    return 0


@reports_errors("nothing was written")
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_options(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    return run(args)


if __name__ == "__main__":
    run_command(main)
