"""Study of collected records: what blind scores know of the true quality of stems.

    python3 -m tools.blind_scores RECORDS ...                      # first, for each teacher
    python3 -m studies.blind_study report RECORDS --out demucs_results/blind_study
    python3 -m studies.blind_study calibrate RECORDS --out calibration.json
    python3 graphing_scripts/blind_quality.py demucs_results/blind_study/study.json

`report` calibrates on the songs of the split `valid` of one kind of music, and on those of `test`
compares predictions and each score with the true quality, as well for families of teachers and
kinds of music that calibration did not see. It writes study.json, all numbers with their
definitions, and study.md, which begins with the answer. `calibrate` keeps the calibration itself,
as a file that tools.distil reads.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demucs.errors import ConfigError, DatasetError
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors

if TYPE_CHECKING:
    from demucs.blind.records import Record


@reports_errors("nothing was written")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parser().parse_args(argv)
    options.run(options)
    return 0


def report(options: argparse.Namespace) -> None:
    """Writes study.json and study.md."""
    from demucs.files import atomic_paths
    from studies.blind.study import study  # these bring torch and scikit-learn
    from studies.blind.text import page

    if options.draws < 20:
        raise ConfigError(f"--draws {options.draws}: an interval takes at least 20")
    content = study(
        _records(options),
        kind=options.kind,
        families=options.families,
        targets=options.targets,
        regressor=options.regressor,
        coverage=options.coverage,
        draws=options.draws,
        seed=options.seed,
        compare=options.compare,
        heard=options.heard,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )
    paths = [options.out / name for name in ("study.json", "study.md")]
    with atomic_paths(paths) as (numbers, text):
        numbers.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
        text.write_text(page(content), encoding="utf-8")
    for path in paths:
        print(path)


def calibrate(options: argparse.Namespace) -> None:
    """Writes a calibration."""
    from demucs.blind.calibration.calibration import Calibration
    from demucs.blind.calibration.rows import common_names

    records = [
        record for record in _records(options)
        if record.split == "valid"
        and (not options.kind or record.kind == options.kind)
        and (not options.families or record.family in options.families)
    ]  # fmt: skip
    if not records:
        raise DatasetError(
            f"{options.records} has no record of the split valid with that kind and these "
            "families: see its folders TEACHER/KIND/SPLIT, or collect some with tools.blind_scores"
        )
    made = Calibration.fit(
        records,
        target=options.targets[0],
        coverage=options.coverage,
        seed=options.seed,
        names=[name for name in common_names(records) if name not in options.without],
        regressor=options.regressor,
        apart=options.apart,
    )
    made.save(options.out)
    print(f"{options.out}: fitted on {len(records)} records")


def _records(options: argparse.Namespace) -> "list[Record]":
    from demucs.blind.calibration.regressors import REGRESSORS
    from demucs.blind.records import read_records

    if options.regressor not in REGRESSORS:
        raise ConfigError(f"--regressor {options.regressor}: one of {', '.join(REGRESSORS)}")
    if not 0 < options.coverage < 1:
        raise ConfigError(
            f"--coverage {options.coverage:g}: give a share between 0 and 1, e.g. 0.9"
        )
    return read_records(options.records)


def parser() -> argparse.ArgumentParser:
    made = make_parser("studies.blind_study", __doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    report_parser = commands.add_parser("report", help="the study: study.json and study.md")
    _shared(report_parser, report)
    add = report_parser.add_argument
    add("--draws", type=int, default=400, metavar="N", help="resamples for intervals (400)")
    add(
        "--heard",
        nargs="+",
        metavar="FAMILY",
        help="families on which the network behind the records' extra scores was trained (all)",
    )
    add("--no-compare", dest="compare", action="store_false", help="leave out other regressors")
    calibrate_parser = commands.add_parser("calibrate", help="a calibration file, for distillation")
    _shared(calibrate_parser, calibrate)
    calibrate_parser.add_argument(
        "--apart", choices=("track", "family"), default="track",
        help="what the interval is for: new songs, or new songs by a new family of teachers",
    )  # fmt: skip
    calibrate_parser.add_argument(
        "--without", nargs="*", default=["cycle", "members"], metavar="SCORE",
        help="scores to leave out (cycle members: tools.distil has one song and one model)",
    )  # fmt: skip
    return made


def _shared(made: argparse.ArgumentParser, run: object) -> None:
    made.set_defaults(run=run)
    add = made.add_argument
    add("records", type=Path, metavar="RECORDS", help="folder that tools.blind_scores wrote")
    add("--out", type=Path, required=True, help="folder of the study, or file of the calibration")
    add("--kind", help="of music to calibrate on (the one with most records of valid)")
    add("--families", nargs="+", default=[], metavar="NAME", help="to calibrate on (all)")
    add("--targets", nargs="+", choices=("nsdr", "sdr"), default=["nsdr", "sdr"],
        help="truths to predict; of calibrate the first (nsdr sdr)")  # fmt: skip
    add("--regressor", default="signed_ridge", metavar="NAME", help="(signed_ridge)")
    add("--coverage", type=float, default=0.9, metavar="P", help="of the intervals (0.9)")
    add("--seed", type=int, default=0, metavar="K", help="of folds and resamples (0)")


if __name__ == "__main__":
    run_command(main)
