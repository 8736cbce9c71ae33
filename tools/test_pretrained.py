"""Evaluates a release: `python3 -m tools.test_pretrained --repo ./release_models -n SIG`.

Separates the test songs of a data set, prints tables with the definitions of their numbers, and
writes JSON and CSV files. Settings can be given as KEY=VALUE, as in training.

Each song is kept when it is scored: after a kill the same command continues. Tasks of one srun, and
of a job array, divide the songs; the last one to finish puts the results together.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import METRICS
from demucs.evaluation.release_test import run
from demucs.evaluation.test_options import KEYS, read_settings
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors
from demucs.release.names import DEFAULT_FOLDER


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it, or a setting, is wrong."""
    args = _parse_words(argv)
    try:
        read_settings(args.overrides, {})
    except ConfigError as error:
        _parser().error(str(error))
    return args


def _parse_words(argv: Sequence[str] | None) -> argparse.Namespace:
    args = _parser().parse_intermixed_args(argv)
    # `--tracks A B test.shifts=2`: a setting is not a track.
    for name in ("tracks", "metrics"):
        words = getattr(args, name) or []
        settings = [word for word in words if word.partition("=")[0] in KEYS]
        args.overrides += settings
        setattr(args, name, [word for word in words if word not in settings] or None)
    unknown = [word for word in args.metrics or [] if word not in METRICS]
    if unknown:
        _parser().error(f"--metrics {unknown[0]}: give some of {', '.join(METRICS)}")
    return args


@reports_errors("the songs measured so far are kept: the same command continues")
def main(argv: Sequence[str] | None = None) -> int:
    args = _parse_words(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    return run(args)


def _parser() -> argparse.ArgumentParser:
    keys = "\n".join(f"  {name:<14}{text}" for name, text in KEYS.items())
    parser = make_parser(
        "tools.test_pretrained",
        "Evaluate a release on a test set.",
        epilog=f"settings, as KEY=VALUE:\n{keys}",
    )
    add = parser.add_argument
    add("-n", "--name", required=True,
        help="name of the release or published model; a bag of several: A,B or A:1:0,B:0:1; "
        "of the Hugging Face Hub: hf://NAME")  # fmt: skip
    add("--repo", help=f"its folder (default: {DEFAULT_FOLDER}, then the published models)")
    add("--musdb", metavar="PATH", help="data set (default: $DEMUCS_MUSDB, then the model's own)")
    add("--split", choices=["test", "valid"], default="test")
    add("--tracks", nargs="+", metavar="NAME", help="only these tracks")
    add("--max-tracks", type=int, metavar="N", help="only the first N tracks")
    add("--out", type=Path, metavar="FILE",
        help="results (default: REPO/evaluation_NAME.json)")  # fmt: skip
    add("-d", "--device", help="cpu, cuda, … (default: cuda if there is one)")
    add("--metrics", nargs="+", metavar="NAME",
        help=f"what to measure, of {', '.join(METRICS)} (default: all)")  # fmt: skip
    add("--no-sdr", action="store_true", help="nSDR only")
    add("--published", action="store_true", help="print rows of published models too")
    add("--again", action="store_true", help="measure anew what is measured already")
    add("--backend", choices=["own", "museval"], default="own",
        help="of SDR, ISR, SIR and SAR; museval takes 30 times as long for the same "
        "numbers, except where it is unsure itself (docs/negative-results.md)")  # fmt: skip
    add("overrides", nargs="*", metavar="KEY=VALUE")
    return parser


if __name__ == "__main__":
    run_command(main)
