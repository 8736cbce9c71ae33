"""A real SLURM on this machine: munged, slurmctld and a slurmd for each of its virtual nodes.

    with Cluster() as cluster:
        number = cluster.submit("--wrap", "hostname")
        job = cluster.wait(number)

It needs neither root nor systemd, listens on the loopback network, and is up in a fraction of a
second. All its files lie in one folder in /tmp, and all its processes, jobs included, below one
supervisor, so that nothing is left of either.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.slurm.jobs import Job, parse_jobs
from tests.slurm.requirements import search_path
from tests.slurm.slurm_conf import write_settings

HERE = Path(__file__).resolve().parent
START_PATIENCE = 20  # seconds until a daemon answers
PATIENCE = 900  # seconds for a job or a command: many shared machines are slow at times
POLL = 0.1  # seconds between questions to the controller
FOREIGN = ("SLURM", "SBATCH", "SRUN", "SALLOC", "SQUEUE", "SINFO")  # of a cluster we may be inside


class Cluster:
    """A cluster of `nodes` virtual nodes, 127.0.0.1 and on, each with `gpus` fake GPUs.

    Jobs of the partition `high` take nodes from those of `low`, the default, and SLURM queues the
    latter again. Jobs that are told to end have `kill_wait` seconds to do so.
    """

    def __init__(self, *, nodes: int = 2, gpus: int = 8, kill_wait: int = 10) -> None:
        self.nodes, self.gpus, self.kill_wait = nodes, gpus, kill_wait

    def __enter__(self) -> "Cluster":
        # Not pytest's folder: the path of a unix socket has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self.folder.chmod(0o755)  # munged refuses folders that a group may write to
        write_settings(self.folder, nodes=self.nodes, gpus=self.gpus, kill_wait=self.kill_wait)
        self._write_sacct()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)},
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}:{search_path()}",
        }
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "supervise.py"), str(self.folder)],
            stdin=subprocess.PIPE,
            env=self.environment,
            start_new_session=True,
        )
        try:
            self._start_daemons()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends every process of the cluster, jobs included, and removes its folder.

        Raises:
            RuntimeError: some of it is left.
        """
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        if self._supervisor.wait(timeout=60) != 0:
            raise RuntimeError(f"the cluster in {self.folder} could not be ended")

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = PATIENCE,
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command to its end where SLURM's programs find this cluster."""
        return subprocess.run(
            command,
            cwd=self.folder if cwd is None else cwd,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ask(self, *command: str) -> str:
        """What a command prints.

        Raises:
            RuntimeError: it failed.
        """
        done = self.run(command)
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def submit(self, *arguments: str, cwd: Path | None = None) -> str:
        """`sbatch ARGUMENTS`; returns the job's number."""
        done = self.run(["sbatch", "--parsable", *arguments], cwd=cwd)
        if done.returncode != 0:
            raise RuntimeError(f"sbatch {shlex.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip().split(";")[0]

    def jobs(self, number: str | None = None) -> list[Job]:
        """All jobs, or those of one number: several where it is an array's."""
        one = () if number is None else (number,)
        return parse_jobs(self.ask("scontrol", "--oneliner", "show", "job", *one))

    def job(self, number: str) -> Job:
        """The job of this number."""
        (found,) = self.jobs(number)
        return found

    def wait_until(
        self, number: str, reached: Callable[[Job], bool], *, timeout: float = PATIENCE
    ) -> Job:
        """Waits until a job is as it should; returns it.

        Raises:
            TimeoutError: it did not become so, with what SLURM says of it.
        """
        deadline = time.monotonic() + timeout
        while not reached(job := self.job(number)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout} s: {dict(job.fields)}")
            time.sleep(POLL)
        return job

    def wait(self, number: str, *, timeout: float = PATIENCE) -> Job:
        """Waits until a job has ended, however often it is queued again before."""
        return self.wait_until(number, lambda job: job.has_ended, timeout=timeout)

    def wait_array(self, number: str, *, timeout: float = PATIENCE) -> list[Job]:
        """Waits until all tasks of a job array have ended; returns them in their order."""
        deadline = time.monotonic() + timeout
        tasks = self.jobs(number)
        while not all(job.has_ended for job in tasks):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout} s: {[dict(job.fields) for job in tasks]}")
            time.sleep(POLL)
            tasks = self.jobs(number)
        return sorted(tasks, key=lambda job: int(job.array_task or 0))

    def _start_daemons(self) -> None:
        folder = self.folder
        self._start(
            "munged",
            "--foreground",
            f"--socket={folder}/munge.sock",
            f"--key-file={folder}/munge.key",
            f"--pid-file={folder}/munged.pid",
            f"--seed-file={folder}/munged.seed",
            f"--log-file={folder}/munged.log",
        )
        self._until("munged", (folder / "munge.sock").exists)
        self._start("slurmctld", "-D", "-f", f"{folder}/slurm.conf")
        self._until("slurmctld", lambda: "is UP" in self.run(["scontrol", "ping"]).stdout)
        for number in range(1, self.nodes + 1):
            self._start("slurmd", "-D", "-f", f"{folder}/slurm.conf", "-N", f"127.0.0.{number}")
        states = ["sinfo", "--noheader", "--Node", "--format=%T"]
        self._until("slurmd", lambda: set(self.run(states).stdout.split()) == {"idle"})

    def _start(self, program: str, *arguments: str) -> None:
        path = shutil.which(program, path=self.environment["PATH"])
        command = json.dumps([path or program, *arguments])
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.write(command.encode() + b"\n")
        self._supervisor.stdin.flush()

    def _until(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while not ready():
            if time.monotonic() > deadline:
                logs = [log.read_text()[-2000:] for log in sorted(self.folder.glob("*.log"))]
                raise RuntimeError("\n".join([f"{name} does not start:", *logs]))
            time.sleep(0.02)

    def _write_sacct(self) -> None:
        program = self.folder / "bin" / "sacct"
        program.parent.mkdir()
        command = shlex.join([sys.executable, str(HERE / "sacct.py")])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)
