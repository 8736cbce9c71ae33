"""The progress of an experiment: its epochs, its best value, its jobs and its last words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demucs.experiment.record import LOG, RunRecord
from demucs.experiment.run import RunFiles, finite_number, last_line

_LOG_PREFIX = re.compile(r"^\[\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d)[^\]]*\](?:\[[^\]]*\])* - ")
RECENT = 5  # epochs whose time is averaged


@dataclass(frozen=True, kw_only=True)
class Run:
    """An experiment as its folder describes it.

    Attributes:
        folder: `outputs/xps/SIGNATURE`.
        name: its overrides.
        epoch, epochs: done, and the goal if it is known.
        best, best_epoch: the best value of `metric` on the validation songs, and since when.
        metric: what it is best by, such as `loss`, `nsdr` or `sdr`.
        seconds_per_epoch: of the latest epochs.
        record: `run.json`; None for an experiment of before there was one.
        jobs: of SLURM that may be working on it, the likeliest first, such as `12` or `12_3`.
        last_line: of its log.
        problem: what is wrong with its files, if anything.
    """

    folder: Path
    name: str
    epoch: int
    epochs: int | None
    best: float | None
    best_epoch: int | None
    metric: str | None
    seconds_per_epoch: float | None
    record: RunRecord | None
    jobs: Sequence[str]
    last_line: str
    problem: str | None

    @property
    def signature(self) -> str:
        return self.folder.name


def read_run(folder: Path) -> Run:
    """Reads an experiment's folder; what cannot be read is missing, and is its `problem`."""
    files = RunFiles.read(folder)
    record, history = files.record, files.history
    best, best_epoch = _best(history)
    goal = str(record.epochs if record else files.setting("epochs"))
    return Run(
        folder=folder,
        name=record.name if record and record.name else " ".join(files.overrides),
        epoch=max(record.epoch if record else 0, len(history)),
        epochs=int(goal) if goal.isdigit() else None,
        best=best,
        best_epoch=best_epoch,
        metric=files.setting("test.metric"),
        seconds_per_epoch=(record and record.seconds_per_epoch) or _seconds(history),
        record=record,
        jobs=list(dict.fromkeys(job for job in (job_of(record), files.job) if job)),
        last_line=_last_words(files),
        problem="; ".join(files.problems) or None,
    )


def job_of(record: RunRecord | None) -> str:
    """The job of a run, as SLURM shows it: `12`, or `12_3` in an array; empty if it had none."""
    if record is None:
        return ""
    if record.array_job_id and record.array_task_id:
        return f"{record.array_job_id}_{record.array_task_id}"
    return record.job_id or ""


def _best(history: Sequence[Mapping[str, Any]]) -> tuple[float | None, int | None]:
    """The latest `valid.best`, and the first epoch that had it, counted from 1."""
    values = [finite_number(metrics, "valid", "best") for metrics in history]
    if not values or values[-1] is None:
        return None, None
    return values[-1], values.index(values[-1]) + 1


def _seconds(history: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean seconds of the latest epochs, of training and validation."""
    parts = [
        (finite_number(metrics, "seconds", "train"), finite_number(metrics, "seconds", "valid"))
        for metrics in history[-RECENT:]
    ]
    seconds = [train + valid for train, valid in parts if train is not None and valid is not None]
    return sum(seconds) / len(seconds) if seconds else None


def _last_words(files: RunFiles) -> str:
    """The last line of the log, with its time of day only; the error of a run that failed.

    Before it has a log of its own, a job of `dora grid` writes into the file of the job.
    """
    record = files.record
    if record is not None and record.state == "failed" and record.message:
        return " ".join(record.message.split())
    log = files.folder / (record.log if record else LOG)
    line = last_line([log, files.folder / "latest" / f"{files.job}_0_log.out"])
    return _LOG_PREFIX.sub(r"\1 ", line)
