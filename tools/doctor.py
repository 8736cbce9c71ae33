"""Examines a dataset before it costs days of training: `python3 -m tools.doctor DATASET`.

DATASET holds train/, test/ and perhaps valid/, with a folder NAME/ of SOURCE.wav files (MUSDB18-HQ,
or stems with names of your own) or a file NAME.stem.mp4 (MUSDB18) for each track. Every file is
read once. A row for each problem: what it is, in which track and stem, how much, and what to do.

    python3 -m tools.doctor musdb18hq
    python3 -m tools.doctor mine --sources drums,bass,piano,vocals --segment 8 --json doctor.json
    python3 -m tools.doctor mine --against musdb18hq/test    no song of the one in the other

Errors break training or scores. Warnings are likely harm, or a suspicion (swapped, bleed) to listen
to. Notes are good to know. Exit code: 0 if there are no errors and no warnings (with --strict, no
notes either), 1 if there are, 2 if DATASET or an option cannot be used.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from demucs.console import duration, table
from demucs.data.doctor import CHECKS, Diagnosis, Finding, Severity, Wanted, diagnose
from demucs.files import atomic_path
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors

HEAD = ("", "TRACK", "STEM", "WHAT", "VALUE", "REMEDY")
SHORTENED = (5, 1, 4)  # where the terminal is narrow
JSON_VERSION = 1  # raise it when a field changes its meaning


@reports_errors(code=2)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parser().parse_args(argv)
    wanted = Wanted(
        samplerate=options.samplerate,
        channels=options.channels,
        segment=options.segment,
        sources=options.sources,
    )
    diagnosis = diagnose(
        options.dataset,
        wanted,
        against=options.against,
        ignore=options.ignore,
        workers=options.workers,
        progress=options.progress,
    )
    if options.json:
        write_json(options.json, options.dataset, wanted, diagnosis)
    try:
        print(report(diagnosis, terminal_width()), flush=True)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit_code(diagnosis, options.strict)


def parser() -> argparse.ArgumentParser:
    checks = "\n".join(f"  {name:<11} {text}" for name, text in CHECKS.items())
    made = make_parser("tools.doctor", __doc__, epilog=f"checks:\n{checks}")
    made.add_argument("dataset", type=Path, metavar="DATASET", help="the folder")
    made.add_argument(
        "--sources", type=names, default=(), metavar="A,B", help="(the stems most tracks have)"
    )
    made.add_argument("--segment", type=float, default=11.0, metavar="S", help="seconds (11)")
    made.add_argument("--samplerate", type=int, default=44100, metavar="HZ", help="(44100)")
    made.add_argument("--channels", type=int, default=2, metavar="N", help="(2)")
    made.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="OTHER",
        help="a dataset or any folder of songs that must not be in DATASET; may be repeated",
    )
    made.add_argument(
        "--ignore", type=names, default=(), metavar="CHECK,..", help="leave these out"
    )
    made.add_argument("--strict", action="store_true", help="notes are problems too")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the findings there too")
    made.add_argument(
        "-j", dest="workers", type=int, default=None, metavar="N", help="processes (one a core)"
    )
    made.add_argument(
        "--no-progress", dest="progress", action="store_false", help="no progress bar"
    )
    return made


def names(text: str) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def report(diagnosis: Diagnosis, width: int | None) -> str:
    """The table and the summary."""
    lines = []
    if diagnosis.findings:
        rows = [cells(finding) for finding in diagnosis.findings]
        lines += [table(HEAD, rows, width, SHORTENED), ""]
    lines += [f"not checked - {line}" for line in diagnosis.skipped]
    stems = ", ".join(diagnosis.sources) or "-"
    head = f"{diagnosis.tracks} tracks, {duration(diagnosis.seconds)} of {stems}"
    if not diagnosis.findings:
        return "\n".join([*lines, f"{head}: no problems"])
    by_check = Counter((-finding.severity, finding.check) for finding in diagnosis.findings)
    counted = ", ".join(f"{count} {check}" for (_, check), count in sorted(by_check.items()))
    totals = ", ".join(
        f"{count} {severity.word}{'s' * (count != 1)}"
        for severity in reversed(Severity)
        if (count := sum(finding.severity == severity for finding in diagnosis.findings))
    )
    return "\n".join([*lines, f"{head}: {totals} ({counted})"])


def cells(finding: Finding) -> tuple[str, ...]:
    return (
        finding.severity.word,
        finding.track,
        finding.stem or "-",
        finding.check,
        finding.value,
        finding.remedy,
    )


def exit_code(diagnosis: Diagnosis, strict: bool) -> int:
    least = Severity.NOTE if strict else Severity.WARNING
    return int(any(finding.severity >= least for finding in diagnosis.findings))


def write_json(path: Path, dataset: Path, wanted: Wanted, diagnosis: Diagnosis) -> None:
    """Everything that was found, for programs."""
    content: dict[str, Any] = {
        "version": JSON_VERSION,
        "dataset": str(dataset),
        "wanted": {**asdict(wanted), "sources": diagnosis.sources},
        "tracks": diagnosis.tracks,
        "seconds": diagnosis.seconds,
        "counts": {
            severity.word: sum(finding.severity == severity for finding in diagnosis.findings)
            for severity in Severity
        },
        "skipped": diagnosis.skipped,
        "findings": [
            {**asdict(finding), "severity": finding.severity.word} for finding in diagnosis.findings
        ],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def terminal_width() -> int | None:
    """Characters of a line; None where nobody looks at it, unless $COLUMNS says so."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


if __name__ == "__main__":
    run_command(main)
