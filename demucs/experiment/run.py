"""What an experiment's folder says about it, read without torch, Hydra or Dora."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demucs.errors import message_of
from demucs.experiment.record import LOG, RUN, RunRecord

TAIL = 8192  # bytes at the end of a log that are looked at
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LOG_PREFIX = re.compile(r"^\[\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d)[^\]]*\](?:\[[^\]]*\])* - ")


@dataclass(frozen=True, kw_only=True)
class Run:
    """An experiment as it lies on the disk.

    Attributes:
        folder: `outputs/xps/SIGNATURE`.
        name: its overrides.
        epoch, epochs: done, and the goal if it is known.
        best, best_epoch: the best value of `metric` on the validation songs, and since when.
        metric: what it is best by, as `loss` or `nsdr`.
        seconds_per_epoch: of the latest epochs.
        record: `run.json`; None for an experiment of before there was one.
        jobs: of SLURM that may be working on it, the likeliest first, as `12` or `12_3`.
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
    problems: list[str] = []
    record = RunRecord.read(folder)
    if record is None and _is_there(folder / RUN, problems):
        problems.append(f"{RUN} cannot be read: the next run writes it anew")
    history = _content(folder / "history.json", list, problems)
    words = [str(word) for word in _content(folder / ".argv.json", list, problems)]
    grid = _content(folder / "job.json", dict, problems)
    config = _text(folder / ".hydra" / "config.yaml")
    best, best_epoch = _best(history)
    goal = str(record.epochs if record else _setting(config, words, "epochs"))
    return Run(
        folder=folder,
        name=record.name if record and record.name else " ".join(words),
        epoch=max(record.epoch if record else 0, len(history)),
        epochs=int(goal) if goal.isdigit() else None,
        best=best,
        best_epoch=best_epoch,
        metric=_setting(config, words, "test.metric"),
        seconds_per_epoch=(record and record.seconds_per_epoch) or _seconds(history),
        record=record,
        jobs=_jobs(record, str(grid.get("job_id") or "")),
        last_line=_last_line(folder, record, str(grid.get("job_id") or "")),
        problem="; ".join(problems) or None,
    )


def _is_there(path: Path, problems: list[str]) -> bool:
    try:
        return path.exists()
    except OSError as error:
        problems.append(message_of(error))
        return False


def _content(path: Path, kind: type[Any], problems: list[str]) -> Any:
    """The JSON value of a file, an empty one where there is no file or it is broken."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return kind()
    except PermissionError as error:
        if not problems:  # of one folder, all files are alike
            problems.append(message_of(error))
        return kind()
    except (OSError, ValueError) as error:
        problems.append(f"{path.name} cannot be read: {error}")
        return kind()
    if not isinstance(found, kind):
        problems.append(f"{path.name} cannot be read: it holds no {kind.__name__}")
        return kind()
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _setting(config: str, words: Sequence[str], key: str) -> str | None:
    """A key's value: from the configuration as Hydra wrote it, or from the overrides.

    The file is block-style YAML, of which two levels of indentation are all that is needed here;
    a YAML reader takes longer than everything else together.
    """
    section, _, name = key.rpartition(".")
    inside = not section
    for line in config.splitlines():
        if not line.startswith(" "):
            inside = line == f"{section}:" if section else True
        if inside and line.startswith(f"{'  ' if section else ''}{name}: "):
            return line.partition(": ")[2].strip("'\" ")
    values = [word.partition("=")[2] for word in words if word.startswith(f"{key}=")]
    return values[-1].strip("'\" ") if values else None


def _best(history: Sequence[Mapping[str, Any]]) -> tuple[float | None, int | None]:
    """The latest `valid.best`, and the first epoch that had it, counted from 1."""
    values = [_number(metrics, "valid", "best") for metrics in history]
    if not values or values[-1] is None:
        return None, None
    return values[-1], values.index(values[-1]) + 1


def _seconds(history: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean seconds of the last five epochs, of training and validation."""
    parts = [
        (_number(metrics, "seconds", "train"), _number(metrics, "seconds", "valid"))
        for metrics in history[-5:]
    ]
    known = [train + valid for train, valid in parts if train is not None and valid is not None]
    return sum(known) / len(known) if known else None


def _number(metrics: Mapping[str, Any], *keys: str) -> float | None:
    found: Any = metrics
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    good = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
    return float(found) if good else None


def job_of(record: RunRecord | None) -> str:
    """The job of a run, as SLURM shows it: `12`, or `12_3` in an array; empty if it had none."""
    if record is None:
        return ""
    if record.array_job_id and record.array_task_id:
        return f"{record.array_job_id}_{record.array_task_id}"
    return record.job_id or ""


def _jobs(record: RunRecord | None, submitted: str) -> list[str]:
    """The job that wrote `run.json`, and the one that `dora grid` submitted last."""
    return list(dict.fromkeys(job for job in (job_of(record), submitted) if job))


def _last_line(folder: Path, record: RunRecord | None, submitted: str) -> str:
    """The last line of the log, with its time of day only; the error of a run that failed.

    Before it has a log of its own, a job of `dora grid` writes into the file of the job.
    """
    if record is not None and record.state == "failed" and record.message:
        return " ".join(record.message.split())
    own = folder / (record.log if record else LOG)
    for path in (own, folder / "latest" / f"{submitted}_0_log.out"):
        lines = [line for line in re.split(r"[\r\n]+", _end(path)) if line.strip()]
        if lines:
            return LOG_PREFIX.sub(r"\1 ", lines[-1].strip())
    return ""


def _end(path: Path) -> str:
    """The end of a text file, without colours; empty if there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return COLOUR.sub("", file.read().decode(errors="replace"))
    except OSError:
        return ""
