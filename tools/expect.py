"""Tells whether a run is on the way: `python3 -m tools.expect SIG ...`.

Prints its first epochs and its SDR beside those of public runs, the time of an epoch, and the
causes of low numbers that apply to it, each with what it costs in dB, its key and the source of the
figure (docs/expectations.md has the table). SIG is an experiment in OUTPUTS/xps, running or
finished, or a folder: of an experiment, also of the public Demucs, or of results such as
demucs_results/slurm_9893ada6. Loads no torch for these. The exit code is 0 whether or not
something applies.

    python3 -m tools.expect 53288a8c --json    for programs
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from demucs.experiment.record import outputs_folder
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors
from demucs.release.names import DEFAULT_FOLDER
from demucs.report.expect.checklist import expectation
from demucs.report.expect.text import expectation_text
from demucs.report.run_files import find_run


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parser().parse_args(argv)
    outputs = options.outputs or outputs_folder()
    runs = [find_run(name, outputs=outputs, repo=options.repo, light=True) for name in options.runs]
    if options.json:
        content = [expectation(run) for run in runs]
        print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n\n\n".join(expectation_text(run) for run in runs))
    return 0


def parser() -> argparse.ArgumentParser:
    made = make_parser("tools.expect", __doc__)
    add = made.add_argument
    add("runs", nargs="+", metavar="SIG", help="experiment, or folder of one or of its results")
    add("--json", action="store_true", help="as JSON, with all causes")
    add("--outputs", type=Path, metavar="FOLDER",
        help="where experiments lie, in xps/ (default: $DEMUCS_OUTPUTS, then outputs)")  # fmt: skip
    repo = f"where evaluations lie, as evaluation_SIG.json (default: {DEFAULT_FOLDER})"
    add("--repo", type=Path, metavar="FOLDER", help=repo)
    return made


if __name__ == "__main__":
    run_command(main)
