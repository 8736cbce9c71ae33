"""Jobs of SLURM that belong to experiments."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field

WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
WORKING = {"RUNNING", "CONFIGURING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT"}
PAUSED = {"SUSPENDED", "STOPPED"}
COMMENT = "demucs"  # the first word of what submit.sh has SLURM remember
PATIENCE = 10  # seconds to wait for squeue
FORMAT = "%i|%A|%T|%r|%k|%j"


@dataclass(frozen=True)
class Job:
    """A job of SLURM.

    Attributes:
        id: as SLURM shows it: `12`, or `12_3` for a task of an array.
        raw: its number without an array's.
        state: SLURM's word, such as `RUNNING`.
        reason: why it waits, e.g. `Priority`.
        comment: what it was submitted with; `demucs SIGNATURE` by `submit.sh`.
        name: what the script calls it.
    """

    id: str
    raw: str
    state: str
    reason: str
    comment: str
    name: str

    @property
    def experiment(self) -> str:
        """The signature that it was submitted for; empty if that is not known."""
        word, _, signature = self.comment.partition(" ")
        return signature if word == COMMENT else ""

    @property
    def is_live(self) -> bool:
        """Whether it runs or will run."""
        return self.state in WAITING | WORKING | PAUSED


@dataclass(frozen=True)
class Queue:
    """Jobs by id: this user's, and those that were asked for; also some that have ended."""

    jobs: dict[str, Job] = field(default_factory=dict)

    def find(self, job: str) -> Job | None:
        return self.jobs.get(job)

    def submitted_for(self, signature: str) -> list[str]:
        """The jobs that run or wait for an experiment, by id."""
        return [job.id for job in self.jobs.values() if job.is_live and job.experiment == signature]


def read_queue(wanted: Iterable[str]) -> Queue | None:
    """Asks SLURM for the jobs of this user and the jobs `wanted`; None where there is no SLURM.

    Raises:
        TimeoutError: SLURM is here but does not answer.
    """
    if shutil.which("squeue") is None:
        return None
    jobs = _squeue("--user", str(os.getuid()))
    if jobs is None:
        return None
    missing = sorted(set(wanted) - set(jobs))
    if missing:  # of others who train into the same folder
        jobs.update(_squeue("--jobs", ",".join(missing)) or {})
    return Queue(jobs)


def _squeue(*arguments: str) -> dict[str, Job] | None:
    """Jobs by id; None if there are none or SLURM is not set up.

    Raises:
        TimeoutError: no answer.
    """
    command = ["squeue", "--noheader", "--array", "--states=all", "--format", FORMAT, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"squeue did not answer within {PATIENCE} s") from None
    if done.returncode:
        return None
    jobs = [Job(*line.split("|", 5)) for line in done.stdout.splitlines() if line.count("|") >= 5]
    return {job.id: job for job in jobs}
