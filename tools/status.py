"""Shows the state of each experiment: `python3 -m tools.status [SIG ...]`.

A row for each folder in `outputs/xps`, those at work first: signature, overrides (without those
that all shown have), epochs done of the goal, the best value on the validation songs and the epoch
it is from, time left, SLURM job, state, and the last line of the log. Works with and without SLURM,
and loads no torch.

    python3 -m tools.status --running          only what runs or waits
    python3 -m tools.status 53288a8c --json    for programs
    python3 -m tools.status --watch 30         again and again, until Ctrl-C

States: running, starting, pending (waits in SLURM's queue), suspended; finished, stopped (when
asked, and saved: it can resume), failed (with an error, shown in place of the log), dead (it
was killed: it can resume from its last checkpoint); unfinished or new (nothing more is known).
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from demucs.console import duration, table, without_common
from demucs.errors import ConfigError, ModelNotFoundError
from demucs.experiment.queue import Queue, read_queue
from demucs.experiment.record import experiment_folders, outputs_folder
from demucs.experiment.run_progress import Run, read_run
from demucs.experiment.run_state import ACTIVE, State, parse_time, state_of
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors

HEAD = ("SIG", "EXPERIMENT", "EPOCH", "BEST VALID", "ETA", "JOB", "STATE", "LAST LINE")
SHORTENED = (7, 1, 6)  # where the terminal is narrow
JOB_NAMES = "demucs"  # what the names of our jobs begin with
Row = tuple[Run, State]


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parser().parse_args(argv)
    if options.watch is not None and options.watch <= 0:
        raise ConfigError(f"--watch {options.watch:g}: give the seconds between two looks")
    while True:
        text = look(options)
        if options.watch is None:
            print(text, flush=True)
            return 0
        clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() else ""
        print(f"{clear}{time.strftime('%H:%M:%S')}\n{text}", flush=True)
        try:
            time.sleep(options.watch)
        except KeyboardInterrupt:
            return 130


def parser() -> argparse.ArgumentParser:
    made = make_parser("tools.status", __doc__)
    made.add_argument("signatures", nargs="*", metavar="SIG", help="only these, or their beginning")
    made.add_argument("--running", action="store_true", help="only what runs or waits")
    made.add_argument("--json", action="store_true", help="as JSON, with all fields")
    made.add_argument("--watch", type=float, metavar="SECONDS", help="repeat after so many seconds")
    made.add_argument(
        "--dora_dir", type=Path, default=None, metavar="FOLDER", help=f"({outputs_folder()})"
    )
    return made


def look(options: argparse.Namespace) -> str:
    """One look at all experiments, as text.

    Raises:
        ModelNotFoundError: none of the experiments has the signature asked for.
    """
    experiments = (options.dora_dir or outputs_folder()) / "xps"
    runs = [read_run(folder) for folder in chosen(experiments, options.signatures)]
    queue = ask_slurm(job for run in runs for job in run.jobs)
    if queue is not None:
        runs = [replace(run, jobs=[*run.jobs, *queue.submitted_for(run.signature)]) for run in runs]
    rows = [(run, state_of(run, queue)) for run in runs]
    if options.running:
        rows = [(run, state) for run, state in rows if state.is_active]
    rows.sort(key=order, reverse=True)
    now = time.time()
    if options.json:
        return json.dumps([as_json(run, state, now) for run, state in rows], indent=2)
    parts = [as_table(rows, now) if rows else nothing(experiments, bool(runs))]
    if not options.signatures:
        parts += others(rows, queue)
    return "\n".join(parts)


def chosen(experiments: Path, signatures: Sequence[str]) -> list[Path]:
    """Folders of experiments: all, or those whose signature begins as one that was asked for.

    Raises:
        ModelNotFoundError: there is none for one of `signatures`.
        PathError: the folder may not be read.
    """
    folders = experiment_folders(experiments)
    if not signatures:
        return folders
    for signature in signatures:
        if not any(folder.name.startswith(signature) for folder in folders):
            names = ", ".join(folder.name for folder in folders[:20]) or "none"
            raise ModelNotFoundError(
                f"There is no experiment {signature} in {experiments.absolute()}; there are: "
                f"{names}. Give another folder with --dora_dir"
            )
    return [folder for folder in folders if folder.name.startswith(tuple(signatures))]


def ask_slurm(jobs: Iterable[str]) -> Queue | None:
    """SLURM's jobs; None, with a warning, if it does not answer."""
    try:
        return read_queue(jobs)
    except TimeoutError as error:
        print(f"warning: {error}; states are as the runs wrote them last", file=sys.stderr)
        return None


def order(row: Row) -> tuple[bool, int, float]:
    """Sort key: experiments at work first, then those that wrote last."""
    run, state = row
    rank = -ACTIVE.index(state.word) if state.is_active else 0
    written = parse_time(run.record.updated) if run.record else None
    return state.is_active, rank, written or changed(run.folder)


def changed(folder: Path) -> float:
    """When a folder changed, in seconds since 1970; 0 if it is gone."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def seconds_left(run: Run, now: float) -> float | None:
    """Seconds of training left, by the time of the latest epochs; None if that is not known."""
    if run.epochs is None or run.seconds_per_epoch is None:
        return None
    updated = parse_time(run.record.updated) if run.record else None
    into = 0.0 if updated is None else min(max(now - updated, 0.0), run.seconds_per_epoch)
    return max(0.0, (run.epochs - run.epoch) * run.seconds_per_epoch - into)


def as_table(rows: Sequence[Row], now: float) -> str:
    names, common = without_common([run.name for run, _ in rows])
    cells = [
        cells_of(run, state, name, now) for (run, state), name in zip(rows, names, strict=True)
    ]
    text = table(HEAD, cells, terminal_width(), SHORTENED)
    return f"All with: {common}\n{text}" if common else text


def cells_of(run: Run, state: State, name: str, now: float) -> tuple[str, ...]:
    best = "-"
    if run.best is not None:
        value = (
            f"{run.best:.2f} dB"
            if (run.metric or "").startswith(("nsdr", "sdr"))
            else f"{run.best:.4f}"
        )
        best = f"{run.metric or 'best'} {value} @{run.best_epoch}"
    left = seconds_left(run, now) if state.word == "running" else None
    return (
        run.signature,
        name or "-",
        f"{run.epoch}/{run.epochs if run.epochs is not None else '?'}",
        best,
        "-" if left is None else duration(left),
        state.job or "-",
        f"{state.word} ({state.detail})" if state.detail else state.word,
        run.problem or run.last_line or "-",
    )


def as_json(run: Run, state: State, now: float) -> dict[str, Any]:
    record = run.record
    return {
        "signature": run.signature,
        "name": run.name,
        "folder": str(run.folder),
        "epoch": run.epoch,
        "epochs": run.epochs,
        "metric": run.metric,
        "best": run.best,
        "best_epoch": run.best_epoch,
        "seconds_per_epoch": run.seconds_per_epoch,
        "seconds_left": seconds_left(run, now),
        "job": state.job or None,
        "state": state.word,
        "detail": state.detail or None,
        "restarts": record.restarts if record else None,
        "processes": record.processes if record else None,
        "updated": record.updated if record else None,
        "last_line": run.last_line or None,
        "problem": run.problem,
    }


def others(rows: Sequence[Row], queue: Queue | None) -> list[str]:
    """Lines on our jobs in the queue that are no experiment's yet, as an export that waits."""
    shown = {job for run, _ in rows for job in run.jobs}
    jobs = [] if queue is None else list(queue.jobs.values())
    left = [
        job
        for job in jobs
        if job.is_live and job.name.startswith(JOB_NAMES) and job.id not in shown
    ]
    if not left:
        return []
    head = ["", "Other jobs in the queue:"]
    return head + [
        f"  {job.id}  {job.name}{f' of {job.experiment}' if job.experiment else ''}"
        f"  {job.state.lower()}" + (f" ({job.reason})" if job.reason not in ("None", "") else "")
        for job in left
    ]


def nothing(experiments: Path, there_are: bool) -> str:
    if there_are:
        return "No experiment runs or waits."
    return f"No experiments in {experiments.absolute()} yet: `python3 -m demucs.train` starts one."


def terminal_width() -> int | None:
    """Characters of a line; None where nobody looks at it, unless $COLUMNS says so."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


if __name__ == "__main__":
    run_command(main)
