"""Makes a release of a training run: `python3 -m tools.export SIG`, or a bag of several.

    python3 -m tools.export SIG SIG --bag NAME --weights 1,0,0.5,1 0,1,0.5,1

Reads the best state of the run's checkpoint, which carries its own model specification and
configuration: no data set, no GPU and no configuration files are needed.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from demucs.experiment.record import outputs_folder
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors
from demucs.release import (
    DEFAULT_FOLDER,
    DEFAULT_LICENCE,
    file_sha256,
    save_release,
)
from demucs.release.bagfile import BagFile
from demucs.release.export import check_names, parse_weights, prepare, write_bag


def export_bag(args: argparse.Namespace) -> int:
    """Writes the releases of several runs and a bag of them; returns the exit code."""
    content = BagFile(
        models=args.signatures, weights=parse_weights(args.weights), segment=args.segment
    )
    check_names(args.bag, args.signatures, args.out)
    releases = [
        prepare(
            signature,
            args.out,
            args.dora_dir,
            half=args.half,
            licence=args.licence,
            force=args.force,
        )
        for signature in dict.fromkeys(args.signatures)
    ]
    written = write_bag(args.bag, content, args.out, releases, force=args.force)
    for path in (*(release.path for release in releases), args.out / f"{args.bag}.yaml"):
        print(f"{'wrote' if path in written else 'unchanged'}: {path}")
    print(f"separate with it: demucs --repo {args.out} -n {args.bag} FILE")
    print(f"evaluate it with: python3 -m tools.test_pretrained --repo {args.out} -n {args.bag}")
    return 0


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.bag is None:
        if len(args.signatures) > 1:
            parser.error("several SIG make a bag: give its name with --bag NAME")
        for flag in ("weights", "segment"):
            if getattr(args, flag) is not None:
                parser.error(f"--{flag} is of a bag: give its name with --bag NAME")
    elif args.name is not None or args.epoch is not None:
        parser.error("--name and --epoch are of a single release, not of a bag")
    if args.segment is not None and not 0 < args.segment < float("inf"):
        parser.error(f"--segment {args.segment:g}: give a number of seconds above 0")
    return args


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_options(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    return export_bag(args) if args.bag is not None else export_one(args)


def export_one(args: argparse.Namespace) -> int:
    """Writes the release of a run; returns the exit code."""
    release = prepare(
        args.signatures[0],
        args.out,
        args.dora_dir,
        name=args.name,
        epoch=args.epoch,
        half=args.half,
        licence=args.licence,
        force=args.force,
    )
    path, info = release.path, release.info
    if release.missing:
        save_release(path, release.state, info)
    best = info.provenance["best"]
    print(f"{'wrote' if release.missing else 'unchanged'}: {path}")
    print(f"  size:       {path.stat().st_size / 2**20:.1f} MiB ({info.provenance['precision']})")
    print(f"  best epoch: {best['epoch']} of {info.provenance['epochs']}")
    print(f"  metric:     {best['name']} = {best['metric']}")
    if quantised := info.provenance.get("quantised"):
        print(f"  quantised:  {', '.join(f'{key} {value}' for key, value in quantised.items())}")
    print(f"  sha256:     {file_sha256(path)}")
    print(f"  weights:    {info.provenance['weights_sha256']}")
    print(f"  licence:    {info.licence}")
    print(f"evaluate it with: python3 -m tools.test_pretrained --repo {args.out} -n {path.stem}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("tools.export", __doc__)
    parser.add_argument(
        "signatures",
        nargs="+",
        metavar="SIG",
        help="the run's signature (dora info); of a bag, several",
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path(DEFAULT_FOLDER), help="folder (default: %(default)s)"
    )
    parser.add_argument(
        "--dora_dir",
        type=Path,
        default=outputs_folder(),
        help="where the runs are (default: $DEMUCS_OUTPUTS or ./outputs)",
    )
    parser.add_argument("--half", action="store_true", help="store float16: half the size")
    parser.add_argument("--name", help="name of the release (default: SIG)")
    parser.add_argument(
        "--epoch",
        type=int,
        metavar="N",
        help="the best state as of epoch N, of which save_every kept a copy (name: SIG_N)",
    )
    parser.add_argument("--licence", default=DEFAULT_LICENCE, help="licence of the weights")
    parser.add_argument("--force", action="store_true", help="replace another release, or bag")
    parser.add_argument(
        "--bag", metavar="NAME", help="write the releases and a bag of them, NAME.yaml, beside them"
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        metavar="ROW",
        help="of the bag: for each SIG a row with a number for each stem, such as 1,0,0.5,1, or "
        "one number for all (default: all alike)",
    )
    parser.add_argument(
        "--segment",
        type=float,
        metavar="SECONDS",
        help="of the bag: length of a chunk in seconds, instead of the models' own",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
