"""Keeps a run among the results: `python3 -m tools.archive SIG`.

    python3 -m tools.archive SIG --name long_run --title "..." --log slurm_out/demucs_train.out
    python3 -m tools.archive --index          (write the index of demucs_results again)

Copies what a reader needs to understand and repeat it into demucs_results/NAME: the command, the
configuration, the environment, logs, history, evaluations, and a few seconds of separated sound of
a test song; then writes its README and the index of all results. Weights stay where they are.
Paths of this machine are taken out of logs and configuration.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from demucs.errors import ConfigError
from demucs.experiment.record import outputs_folder
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors
from demucs.release.names import DEFAULT_FOLDER, is_valid_name

RESULTS = Path("demucs_results")


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_options(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    return run(args)


def run(args: argparse.Namespace) -> int:
    """Archives and writes the index; returns the exit code."""
    from demucs.report.archive.pages import write_index, write_readme

    if args.signature is not None:
        from demucs.report.archive.excerpt import keep_sound, separate
        from demucs.report.archive.kept_files import archive

        name = args.name or args.signature
        if not is_valid_name(name):
            raise ConfigError(
                f"--name {name!r}: give a plain name, without folders, such as my-run"
            )
        excerpt = None if args.no_sound else separate(args)  # first, since it can be refused
        folder = archive(args, args.results / name)
        if excerpt is not None:
            keep_sound(excerpt, folder)
        print(write_readme(folder))
    print(write_index(args.results))
    if args.signature is not None:
        print(f"draw its figures: python3 graphing_scripts/redraw.py {args.results}")
    return 0


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    parser = make_parser("tools.archive", __doc__)
    add = parser.add_argument
    add("signature", nargs="?", metavar="SIG", help="experiment, in outputs/xps")
    add("--index", action="store_true", help="write the index of all results, and no more")
    add("--results", type=Path, default=RESULTS, metavar="FOLDER", help=f"({RESULTS})")
    add("--name", help="folder in there (default: SIG)")
    add("--title", help="what it is, in a line, for the index")
    add("--command", help="what was typed (default: python3 -m demucs.train with its overrides)")
    add("--dora_dir", type=Path, default=outputs_folder(), metavar="FOLDER",
        help="where xps/SIG lies (default: $DEMUCS_OUTPUTS, or outputs)")  # fmt: skip
    add("--log", nargs="+", type=Path, default=[], metavar="FILE", help="of SLURM, kept as well")
    add("--repo", type=Path, default=Path(DEFAULT_FOLDER), metavar="FOLDER",
        help=f"of the release and of evaluation_SIG*.json ({DEFAULT_FOLDER})")  # fmt: skip
    add("--musdb", metavar="FOLDER", help="data set, for the sound (default: $DEMUCS_MUSDB, ...)")
    add("--track", metavar="NAME", help="test song for the sound (default: the first)")
    add("--start", type=float, metavar="SECONDS", help="of the sound (default: the liveliest)")
    add("--seconds", type=float, default=6, help="of sound (6)")
    add("--no-sound", action="store_true", help="keep no sound")
    args = parser.parse_args(argv)
    if (args.signature is None) != args.index:
        parser.error("give the signature of a run, or --index")
    if not 0 < args.seconds <= 30:
        parser.error(f"--seconds {args.seconds:g}: give a number above 0, and at most 30")
    return args


if __name__ == "__main__":
    run_command(main)
