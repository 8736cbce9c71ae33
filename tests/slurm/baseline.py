"""The trainings that all others are compared with."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.slurm.desk import Desk
from tests.slurm.experiment import Experiment
from tests.slurm.jobs import Job
from tests.slurm.local_cluster import Cluster
from tests.slurm.tiny_songs import EPOCHS, TINY


@dataclass(frozen=True)
class Trained:
    """A training that nobody disturbed.

    Attributes:
        desk: where it was submitted.
        job: how it ended.
        status: what `tools.status --json` printed while it ran.
    """

    desk: Desk
    job: Job
    status: "subprocess.CompletedProcess[str]"

    @property
    def experiment(self) -> Experiment:
        return self.desk.experiment


def train_undisturbed(cluster: Cluster, folder: Path, songs: Path, *options: str) -> Trained:
    """`sbatch OPTIONS slurm_scripts/train_slurm.sh EPOCHS OVERRIDES`, from beginning to end.

    Raises:
        AssertionError: it failed; with its log.
    """
    desk = Desk(cluster, folder, songs)
    number = desk.train(EPOCHS, *TINY, options=options)
    desk.wait_for_epoch(number)
    status = desk.type("python3", "-m", "tools.status", "--json")
    job = desk.wait(number)
    assert (job.state, job.exit_code) == ("COMPLETED", 0), desk.log
    return Trained(desk, job, status)
