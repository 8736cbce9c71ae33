"""Folders of experiments: their files, and the record of the run that works in one.

    outputs/xps/SIGNATURE/
        checkpoint.th, checkpoint.prev.th    the state after the last epoch or stop, and before
        checkpoint.public.th                 that of the public Demucs, where it began this run
        history.json                         the metrics of each epoch (written through Dora)
        run.json                             the run that works here, or worked here last: RunRecord
        train.log                            its log
        .lock                                held while a run works here

This module imports no torch, so that tools read experiments without a delay.
"""

import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean
from typing import Any

from demucs.errors import DemucsError
from demucs.files import atomic_path, check_readable, list_folder, path_errors
from demucs.process.lock import lock

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.th"
PREVIOUS_CHECKPOINT = "checkpoint.prev.th"
PUBLIC_CHECKPOINT = "checkpoint.public.th"
CHECKPOINTS = (CHECKPOINT, PREVIOUS_CHECKPOINT, PUBLIC_CHECKPOINT)  # what a run resumes from
PUBLIC_HISTORY = "history.public.json"
PUBLIC_MAGIC = b"PK\x03\x04"  # of the zip files that torch.save writes
RUN = "run.json"
LOG = "train.log"
LOCK = ".lock"
SCHEMA = "demucs-run-1"
RECENT = 5  # epochs whose time is averaged


def outputs_folder() -> Path:
    """The folder with `xps/`: `$DEMUCS_OUTPUTS`, or `outputs` in the current folder."""
    return Path(os.environ.get("DEMUCS_OUTPUTS") or "outputs")


def with_checkpoint(experiments: Path) -> list[str]:
    """Signatures of the experiments in a folder that have saved a checkpoint.

    Raises:
        PathError: the folder may not be read.
    """
    with path_errors():
        if experiments.is_dir():
            check_readable(experiments)
    return sorted(path.parent.name for path in experiments.glob(f"*/{CHECKPOINT}"))


def is_public_checkpoint(path: Path) -> bool:
    """Whether a file looks like a checkpoint of the public Demucs: what `torch.save` writes."""
    try:
        with open(path, "rb") as file:
            return file.read(len(PUBLIC_MAGIC)) == PUBLIC_MAGIC
    except OSError:
        return False


def keep_public_history(folder: Path) -> int:
    """Keeps the public Demucs' `history.json` as `history.public.json`, once.

    Returns:
        How many epochs it has; 0 without one that can be read.
    """
    path, copy = folder / "history.json", folder / PUBLIC_HISTORY
    try:
        if not copy.exists():
            with atomic_path(copy) as temporary:
                shutil.copyfile(path, temporary)
        return len(json.loads(copy.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return 0


def is_public_run(folder: Path) -> bool:
    """Whether the public Demucs began the run in a folder."""
    return (folder / PUBLIC_CHECKPOINT).exists() or is_public_checkpoint(folder / CHECKPOINT)


def experiment_folders(experiments: Path) -> list[Path]:
    """The folders in `outputs/xps`, by signature; none if it does not exist yet.

    Raises:
        PathError: it is a file, or may not be read.
    """
    with path_errors():
        if not experiments.exists() and (
            experiments.parent.is_dir() or not experiments.parent.exists()
        ):
            return []
        return [path for path in list_folder(experiments) if path.is_dir()]


@dataclass(kw_only=True)
class RunRecord:
    """A run of an experiment, as `run.json` describes it.

    A run that is killed leaves `state` at `running`: whether it really runs is seen from its job or
    process (`demucs.experiment.run_state`).

    Attributes:
        schema: the format.
        signature, name: of the experiment; the name lists its overrides, in short.
        epochs, epoch: how many there will be, and how many are done.
        state: `running`, `stopped` (by a signal, and saved), `finished`, or `failed`.
        message: why it stopped or failed.
        job_id, array_job_id, array_task_id: of SLURM; None without.
        restarts: how often SLURM queued the job again.
        host, pid, processes: of the first process, and how many there are.
        started, updated: UTC, ISO 8601.
        seconds_per_epoch: mean of the last five; None before the first.
        log: where the log is, from the experiment's folder.
        environment: the machine, the versions and the commit, see
            `demucs.experiment.environment.describe`.
    """

    signature: str
    name: str
    epochs: int
    epoch: int = 0
    state: str = "running"
    message: str | None = None
    job_id: str | None = None
    array_job_id: str | None = None
    array_task_id: str | None = None
    restarts: int = 0
    host: str = ""
    pid: int = 0
    processes: int = 1
    started: str = ""
    updated: str = ""
    seconds_per_epoch: float | None = None
    log: str = LOG
    environment: dict[str, Any] = field(default_factory=dict)
    schema: str = SCHEMA

    @classmethod
    def begin(
        cls,
        *,
        signature: str,
        name: str,
        epochs: int,
        processes: int,
        environ: Mapping[str, str],
        environment: Mapping[str, Any] | None = None,
    ) -> "RunRecord":
        """The record of a run that starts now, in this process."""
        restarts = environ.get("SLURM_RESTART_COUNT", "")
        return cls(
            signature=signature,
            name=name,
            epochs=epochs,
            processes=processes,
            job_id=environ.get("SLURM_JOB_ID"),
            array_job_id=environ.get("SLURM_ARRAY_JOB_ID"),
            array_task_id=environ.get("SLURM_ARRAY_TASK_ID"),
            restarts=int(restarts) if restarts.isdigit() else 0,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=_now(),
            environment=dict(environment or {}),
        )

    @classmethod
    def read(cls, folder: Path) -> "RunRecord | None":
        """The record in an experiment's folder; None if there is none that can be read."""
        try:
            content = json.loads((folder / RUN).read_text(encoding="utf-8"))
            return cls(**content) if content["schema"] == SCHEMA else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, folder: Path) -> None:
        """Writes `run.json`; a failure is logged, and does not stop the training."""
        self.updated = _now()
        try:
            with atomic_path(folder / RUN) as temporary:
                temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            logger.warning("%s could not be written: %s", folder / RUN, error)

    def advance(self, folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
        """Notes the epochs that are done, by their metrics."""
        self.epoch = len(history)
        seconds = [sum(epoch["seconds"].values()) for epoch in history if "seconds" in epoch]
        self.seconds_per_epoch = round(fmean(seconds[-RECENT:]), 3) if seconds else None
        self.save(folder)

    def who(self) -> str:
        """The job, process and host of the run, for messages."""
        job = f"job {self.job_id}, " if self.job_id else ""
        return f"{job}process {self.pid} on {self.host}, since {self.started}"


@contextmanager
def recorded(
    folder: Path, record: RunRecord, stopped_by: tuple[type[BaseException], ...]
) -> Iterator[RunRecord]:
    """Holds an experiment's folder for a run, and keeps its record: how it ends is noted.

    Args:
        folder: of the experiment.
        record: of the run.
        stopped_by: exceptions that mean a stop and not a failure.

    Raises:
        DemucsError: another run holds the folder; its record is untouched.
    """
    with locked(folder):
        record.save(folder)
        try:
            yield record
        except BaseException as error:
            record.state = "stopped" if isinstance(error, stopped_by) else "failed"
            is_told = isinstance(error, (DemucsError, *stopped_by)) and str(error)
            record.message = str(error) if is_told else f"{type(error).__name__}: {error}"
            record.save(folder)
            raise
        record.state = "finished"
        record.save(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process: two runs in one folder would ruin each other's checkpoints.

    The lock ends with the process, however it ends, and child processes have no part in it.
    Where the file system or the operating system has no locks, there is a warning instead.

    Raises:
        DemucsError: another process holds it; says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a") as file:
        outcome = lock(file)
        if outcome == "held":
            raise DemucsError(_held(folder))
        if outcome == "unsupported":
            logger.warning("%s has no file locks: start an experiment only once", folder)
        yield


def _held(folder: Path) -> str:
    record = RunRecord.read(folder)
    holder = record.who() if record else "another process"
    cancel = f"scancel {record.job_id}" if record and record.job_id else "end it"
    return (
        f"the experiment {folder.name} is being trained already, by {holder}: wait for it, or "
        f"{cancel}, or train another one, e.g. with dummy=2"
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
