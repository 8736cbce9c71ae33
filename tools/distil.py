"""Makes training data from songs without stems: a teacher separates, the best excerpts are kept.

    python3 -m tools.distil MUSIC OUT -n TEACHER --calibration FILE.json --threshold 6
    python3 -m tools.distil MUSIC OUT -n TEACHER --network FILE --threshold 6
    python3 -m tools.distil MUSIC OUT -n TEACHER --by self_cycle --budget 10h

Two stages. `score` cuts every audio file of MUSIC into excerpts, has the teacher separate them, and
keeps blind scores of the quality of its stems in OUT/scores. `write` selects among all excerpts,
and writes OUT/train/NAME/{mixture,STEM}.wav with distilled.json, and OUT/manifest.json, which has
the outcome of every file and its reason: kept, not selected, skipped (unreadable, silent, too
short, a copy of another) or refused as a test song.

The value of an excerpt is the predicted nSDR in dB of the worst of the stems that play; with --by,
the score of that stem, an agreement in dB that ranks songs and predicts nothing. Files are
cut into equal excerpts of at most --excerpt seconds, so that memory stays constant and the good
passages of a song are found. Train on the result with dset=distilled, or dset.wav=OUT.

Songs that a model is tested on are kept out: files are compared with the folders of --guard by the
fingerprint of their sound, and by name with those and with MUSDB18's test songs. The fingerprint
survives mp3 coding, gain, cuts, medleys and mashups, but not another speed or pitch, nor does it
recognise a single stem of a test song.

The same command continues where it stopped. Tasks of one srun, and of a job array, divide the files
(slurm_scripts/distil_slurm.sh); the last one to finish scoring writes. With --stage score and then
--stage write, the writing is divided too.
"""

from demucs.process.signals import EXIT_STOPPED, Interrupted, begin

if __name__ == "__main__":
    begin(saves=True)  # before the imports below

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from demucs.errors import ConfigError
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors
from demucs.release.names import DEFAULT_FOLDER

STAGES = ("both", "score", "write")
WAYS = ("score", "random", "all", "oracle")  # of `demucs.blind.distil.selection`, without numpy


@reports_errors("what is done is kept: the same command continues")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    args = parse_options(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    from demucs.blind.distil.distillation import run

    try:
        return run(args)
    except Interrupted:
        print("stopped; what is done is kept: the same command continues", file=sys.stderr)
        return EXIT_STOPPED


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it, or the selection, is wrong."""
    made = parser()
    args = made.parse_args(argv)
    try:
        check(args)
    except ConfigError as error:
        made.error(str(error))
    return args


def check(args: argparse.Namespace) -> None:
    """Adds `rule` and `part`; raises ConfigError for what cannot be."""
    from demucs.blind.distil.selection import Budget, Rule

    args.rule = None
    if args.stage != "score":
        args.rule = Rule(
            by=args.select,
            threshold=args.threshold,
            budget=Budget.parse(args.budget) if args.budget else None,
            over=args.over,
            use=args.use,
            seed=args.seed,
        )
    judges = [option for option in (args.calibration, args.network, args.by) if option is not None]
    if not judges:
        raise ConfigError(
            "give --calibration FILE.json (python3 -m studies.blind_study calibrate makes one), "
            "--network FILE (python3 -m demucs.train_quality), or one score, e.g. --by self_cycle"
        )
    if len(judges) > 1:
        raise ConfigError("--calibration, --network and --by: give one of them")
    if args.use == "low" and args.by is not None:
        raise ConfigError(
            "--use low needs --calibration or --network: a score by itself has no interval"
        )
    if not 1 <= args.min_seconds < 1e6:
        raise ConfigError(f"--min-seconds {args.min_seconds:g}: give at least 1, a score's window")
    if not 0 <= args.excerpt < 1e6:
        raise ConfigError(f"--excerpt {args.excerpt:g}: give seconds, or 0 for whole files")
    if 0 < args.excerpt < 2 * args.min_seconds:
        raise ConfigError(
            f"--excerpt {args.excerpt:g} must be at least twice --min-seconds "
            f"({args.min_seconds:g}), or 0 for whole files"
        )
    args.part = _part(args.shard) if args.shard else None


def _part(text: str) -> tuple[int, int]:
    """`2/4` → (1, 4)."""
    rank, slash, number = text.partition("/")
    if not (slash and rank.isdigit() and number.isdigit() and 0 < int(rank) <= int(number)):
        raise ConfigError(f"--shard {text}: give K/N, from 1/N to N/N")
    return int(rank) - 1, int(number)


def parser() -> argparse.ArgumentParser:
    made = make_parser("tools.distil", __doc__)
    add = made.add_argument
    add("folder", type=Path, metavar="MUSIC",
        help="audio files at any depth, or songs as SONG/mixture.wav")  # fmt: skip
    add("out", type=Path, metavar="OUT", help="folder of the results")
    add("-n", "--name", required=True, metavar="TEACHER",
        help="release, bag (A,B) or published model that separates")  # fmt: skip
    add("--repo", help=f"its folder (default: {DEFAULT_FOLDER}, then the published models)")
    add("--sources", metavar="A,B,..", help="stems of the student: the teacher must have these")
    add("-d", "--device", help="cpu, cuda, … (default: cuda if there is one)")
    add("--stage", choices=STAGES, default="both", help="one stage alone")
    add("--shard", metavar="K/N", help="only this share of the files (default: as SLURM says)")
    add("--replace", action="store_true", help="make scores of other settings anew")
    _add_quality(made.add_argument_group("quality"))
    _add_selection(made.add_argument_group("selection"))
    _add_files(made.add_argument_group("files"))
    return made


def _add_quality(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--calibration", type=Path, metavar="FILE.json",
        help="of studies.blind_study: turns scores into predicted nSDR")  # fmt: skip
    add("--network", type=Path, metavar="FILE",
        help="network of demucs.train_quality: predicts nSDR, costs one separation")  # fmt: skip
    add("--by", metavar="SCORE", help="one score by itself, e.g. self_cycle")
    add("--excerpt", type=float, default=60.0, metavar="S",
        help="cut longer files into equal parts of at most S seconds; 0: never (60)")  # fmt: skip
    add("--truth", action="store_true",
        help="compare with the true stems in MUSIC/SONG/STEM.wav; for experiments")  # fmt: skip


def _add_selection(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--threshold", type=float, metavar="DB", help="keep what has at least this nSDR, or score")
    add("--budget", metavar="10h|50%|200",
        help="keep so many hours (h, m, s), this share of all, or so many songs")  # fmt: skip
    add("--select", choices=WAYS, default="score",
        help="what decides: the judge, chance, nothing, or the true nSDR, of songs with "
        "true stems (score)")  # fmt: skip
    add("--over", choices=("min", "mean"), default="min",
        help="the worst of the stems that play, or their mean (min)")  # fmt: skip
    add("--use", choices=("sdr", "low"), default="sdr",
        help="the prediction, or the low end of its interval (sdr)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="K", help="of --select random (0)")
    add("--prune", action="store_true", help="remove songs in OUT that are no longer selected")


def _add_files(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--guard", type=Path, action="append", metavar="DATASET/test",
        help="test songs that must not be trained on; repeatable "
        "(default: $DEMUCS_MUSDB/test)")  # fmt: skip
    add("--no-guard-names", dest="guard_names", action="store_false",
        help="compare with test songs by sound alone")  # fmt: skip
    add("--licence", metavar="NOTE",
        help="of files without a licences.json or LICENCE, e.g. 'CC BY 4.0, FMA'")  # fmt: skip
    add("--min-seconds", type=float, default=3.0, metavar="S", help="skip shorter files (3)")


if __name__ == "__main__":
    run_command(main)
