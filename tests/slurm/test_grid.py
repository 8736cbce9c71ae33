"""`dora grid` on the cluster: two experiments of the group's grid, as one job array."""

import shlex

import pytest

from tests.slurm.desk import Desk
from tests.slurm.experiment import Experiment
from tests.slurm.tiny_songs import TINY

OVERRIDES = (*TINY, "epochs=2", "batch_size=8", "dset.metadata=metadata")


@pytest.mark.long
def test_two_experiments_are_one_array_that_survives_a_signal(desk: Desk) -> None:
    environment = {
        "DEMUCS_GRID_CPU_TASKS": "2",
        "DEMUCS_GRID_OVERRIDES": shlex.join(OVERRIDES),
        "SBATCH_PARTITION": "high",
    }
    grid = ("dora", "grid", "group", "0", "1", "--no_monitoring")
    known = {job.number for job in desk.cluster.jobs()}
    started = desk.type(*grid, **environment)
    assert started.returncode == 0, started.stdout + started.stderr
    jobs = [job for job in desk.cluster.jobs() if job.number not in known]
    (array,) = {job.fields["ArrayJobId"] for job in jobs}

    second = f"{array}_1"
    desk.wait_for(second, lambda: any(is_within(one, "1") for one in desk.experiments))
    desk.cluster.ask("scancel", "--signal=USR1", second)
    tasks = desk.cluster.wait_array(array)
    assert [task.state for task in tasks] == ["COMPLETED"] * 2, logs(desk)
    assert [task.restarts for task in tasks] == [0, 1]
    assert {task.fields["Partition"] for task in tasks} == {"high"}

    assert len(desk.experiments) == 2
    for experiment in desk.experiments:
        assert experiment.epochs_done == 2
        assert experiment.record["processes"] == 2
        assert experiment.record["array_job_id"] == array
    shown = desk.type(*grid, **environment)
    assert shown.returncode == 0, shown.stderr
    for word in ("COM", "nsdr", "sdr", "loss", *(one.signature for one in desk.experiments)):
        assert word in shown.stdout
    assert len(desk.cluster.jobs(array)) == 2


def is_within(experiment: Experiment, task: str) -> bool:
    """Whether an experiment is that of a task of the array, and has its first epoch done."""
    return experiment.epochs_done >= 1 and experiment.record["array_task_id"] == task


def logs(desk: Desk) -> str:
    """What the tasks wrote, by way of submitit."""
    return "\n".join(path.read_text() for path in desk.folder.glob("outputs/arrays/*/*_log.*"))
