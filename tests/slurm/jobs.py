"""What `scontrol show job` says of a job."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "TIMEOUT",
}


@dataclass(frozen=True)
class Job:
    """A job, or one task of a job array, as SLURM knows it.

    Attributes:
        fields: everything that scontrol prints, as `JobState` or `NodeList`.
    """

    fields: Mapping[str, str]

    @property
    def number(self) -> str:
        """The job's own number, also within an array."""
        return self.fields["JobId"]

    @property
    def name(self) -> str:
        return self.fields["JobName"]

    @property
    def state(self) -> str:
        return self.fields["JobState"]

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def is_running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def exit_code(self) -> int:
        return int(self.fields["ExitCode"].partition(":")[0])

    @property
    def restarts(self) -> int:
        """How often it was queued again after it had started."""
        return int(self.fields["Restarts"])

    @property
    def array_task(self) -> str | None:
        """Its index in the array (`3`, or `0-2` for those not started yet)."""
        return self.fields.get("ArrayTaskId")


def parse_jobs(text: str) -> list[Job]:
    """Jobs from what `scontrol --oneliner show job` prints, a line each."""
    return [Job(_fields(line)) for line in text.splitlines() if line.startswith("JobId=")]


def _fields(line: str) -> dict[str, str]:
    """`KEY=VALUE KEY=VALUE`; values may have spaces, and the first of two like keys counts."""
    found: dict[str, str] = {}
    for key, value in re.findall(r"(?:^| )([A-Z][\w/:]*)=(.*?)(?= [A-Z][\w/:]*=|$)", line):
        found.setdefault(key, value.strip())
    return found
