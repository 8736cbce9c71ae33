"""The state of an experiment, from its own files, the queue of SLURM and the processes here."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from demucs.experiment.queue import PAUSED, WAITING, Job, Queue
from demucs.experiment.record import RunRecord
from demucs.experiment.run_progress import Run, job_of

START_SLACK = 60.0  # seconds by which clocks and the writing of run.json may differ
ACTIVE = ("running", "starting", "pending", "suspended")


@dataclass(frozen=True)
class State:
    """The state of an experiment: what it is doing, and why.

    Attributes:
        word: one of `running`, `starting`, `pending`, `suspended`; `finished`, `stopped` (as it
            asked, and saved), `failed` (with an error), `dead` (it ended without a record);
            `unfinished` (no more is known), `new` (has not trained yet).
        detail: why, where that is known.
        job: of SLURM, such as `12` or `12_3`.
    """

    word: str
    detail: str = ""
    job: str = ""

    @property
    def is_active(self) -> bool:
        return self.word in ACTIVE


def state_of(run: Run, queue: Queue | None) -> State:
    """The state of `run`; `queue` is None where SLURM cannot be asked."""
    jobs = [job for name in run.jobs if queue is not None and (job := queue.find(name))]
    for job in jobs:
        if job.is_live:
            return _with_live_job(run, job)
    last_job = run.jobs[0] if run.jobs else ""
    if run.record is not None and run.record.state == "running":
        return _verified(run.record, last_job, queue)
    if run.record is not None:
        return State(run.record.state, job=last_job)
    if run.epochs is not None and run.epoch >= run.epochs:
        return State("finished", job=last_job)
    if jobs:
        return State("dead", _in_words(jobs[0]), jobs[0].id)
    return State("unfinished" if run.epoch else "new", job=last_job)


def _with_live_job(run: Run, job: Job) -> State:
    if job.state in WAITING:
        reason = "" if job.reason in ("None", "") else job.reason
        return State("pending", reason, job.id)
    if job.state in PAUSED:
        return State("suspended", job=job.id)
    if run.record is not None and job.id == job_of(run.record):
        return State(run.record.state, job=job.id)
    older = run.record is None and run.epoch > 0  # trained by a version that keeps no record
    return State("running" if older else "starting", job=job.id)


def _verified(record: RunRecord, job: str, queue: Queue | None) -> State:
    """The state of a run whose record says `running`, but whose job, if any, does not run."""
    if job and queue is not None:
        ended = queue.find(job)
        return State("dead", _in_words(ended) if ended else "its job is gone", job)
    if record.host != socket.gethostname():
        return State("running", f"on {record.host}, as its record says", job)
    if is_alive(record.pid, record.started):
        return State("running", job=job)
    return State("dead", "its process is gone", job)


def _in_words(job: Job) -> str:
    return f"job {job.state.lower().replace('_', ' ')}"


def is_alive(pid: int, started: str) -> bool:
    """Whether process `pid` of this machine is the one that wrote `started` (UTC, ISO 8601).

    Numbers of processes come round again: one that began after the run is another.
    """
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # there is one, of another user
    began, wrote = _process_start(pid), parse_time(started)
    return began is None or wrote is None or began <= wrote + START_SLACK


def _process_start(pid: int) -> float | None:
    """The start of a process in seconds since 1970; None where /proc does not have it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime ")
        )
    except (OSError, StopIteration):
        return None
    return boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def parse_time(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 time, by itself in UTC; None if it is none."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()
