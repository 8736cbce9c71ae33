"""A user of the cluster, who has a copy of the repository and types commands in it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

from tests.slurm.experiment import Experiment
from tests.slurm.jobs import Job
from tests.slurm.local_cluster import PATIENCE, POLL, Cluster

ROOT = Path(__file__).resolve().parents[2]
LOG = Path("slurm_out", "demucs_train.out")


class Desk:
    """A copy of the repository, the environment of the running tests active, and a cluster.

    Args:
        cluster: where jobs go.
        folder: where the copy is made.
        songs: the dataset, which the user exported as DEMUCS_MUSDB.
    """

    def __init__(self, cluster: Cluster, folder: Path, songs: Path) -> None:
        self.cluster, self.folder = cluster, folder
        copy_repository(folder)
        self.environment = {
            "DEMUCS_MUSDB": str(songs),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{cluster.environment['PATH']}",
            # On few cores, a thread that spins while it waits keeps others from working.
            "OMP_WAIT_POLICY": "PASSIVE",
            # One thread a task on however many nodes: with more, sums are in another order.
            "OMP_NUM_THREADS": "1",
        }
        if sys.prefix != sys.base_prefix:
            self.environment["VIRTUAL_ENV"] = sys.prefix

    def type(
        self, *command: str, cwd: Path | None = None, timeout: float = PATIENCE, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """A command, in the folder of the copy; returns when it has ended."""
        return self.cluster.run(
            command,
            cwd=self.folder if cwd is None else cwd,
            environment={**self.environment, **environment},
            timeout=timeout,
        )

    def submit(self, *arguments: str, cwd: Path | None = None, **environment: str) -> str:
        """`sbatch ARGUMENTS`, as it is typed; returns the job's number.

        Raises:
            AssertionError: sbatch refused.
        """
        done = self.type("sbatch", *arguments, cwd=cwd, **environment)
        found = re.search(r"Submitted batch job (\d+)", done.stdout)
        assert found, f"sbatch {shlex.join(arguments)}: {done.stdout}{done.stderr}"
        return found[1]

    def train(self, epochs: int, *overrides: str, options: tuple[str, ...] = ()) -> str:
        """`sbatch OPTIONS slurm_scripts/train_slurm.sh EPOCHS OVERRIDES`; the job's number."""
        return self.submit(*options, "slurm_scripts/train_slurm.sh", str(epochs), *overrides)

    def wait(self, number: str, *, timeout: float = PATIENCE) -> Job:
        """Waits for the end of a job, however often it is queued again."""
        return self.cluster.wait(number, timeout=timeout)

    def wait_for(
        self, number: str, reached: Callable[[], bool], *, timeout: float = PATIENCE
    ) -> None:
        """Waits until something is so while a job runs.

        Raises:
            AssertionError: the job ended before, or it took too long; with its log.
        """
        deadline = time.monotonic() + timeout
        while not reached():
            job = self.cluster.job(number)
            late = time.monotonic() > deadline
            assert not job.has_ended, f"{job.state} too early:\n{self.log}"
            assert not late, f"not so after {timeout} s, {job.state}:\n{self.log}"
            time.sleep(POLL)

    def wait_for_epoch(self, number: str, epoch: int = 1) -> None:
        """Waits until the only experiment here has `epoch` epochs done."""
        self.wait_for(
            number, lambda: bool(self.experiments) and self.experiment.epochs_done >= epoch
        )

    @property
    def log(self) -> str:
        """What trainings here wrote so far."""
        path = self.folder / LOG
        return path.read_text() if path.exists() else ""

    @property
    def experiments(self) -> list[Experiment]:
        return [Experiment(path) for path in sorted((self.folder / "outputs" / "xps").glob("*"))]

    @property
    def experiment(self) -> Experiment:
        """The only one there is."""
        (found,) = self.experiments
        return found


def copy_repository(target: Path) -> None:
    """Copies what is in the repository, and nothing that git ignores; without git's own files.

    But for compiled modules: eight tasks that start at once would each compile all of them.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(("tests/", "demucs_results/")) or not (ROOT / name).exists():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
        if name.endswith(".py") and Path(compiled := cache_from_source(str(ROOT / name))).exists():
            new = Path(cache_from_source(str(target / name)))
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(compiled, new)  # it is valid, as the copy has the time of the original
