"""From songs to a release and its table in one command, preempted on the way."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from demucs.evaluation import Results
from demucs.pretrained import get_model
from tests.slurm.baseline import Trained
from tests.slurm.desk import Desk
from tests.slurm.experiment import differences
from tests.slurm.jobs import Job
from tests.slurm.local_cluster import Cluster
from tests.slurm.tiny_songs import EPOCHS, SOURCES, TINY

STEPS = ("demucs_train", "demucs_release", "demucs_evaluate", "demucs_plots")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def ended(
    cluster: Cluster, songs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Desk, dict[str, Job]]:
    """`bash pipeline_slurm.sh`, whose training a job of the partition `high` interrupts."""
    desk = Desk(cluster, tmp_path_factory.mktemp("pipeline") / "demucs", songs)
    done = desk.type("bash", "slurm_scripts/pipeline_slurm.sh", str(EPOCHS), *TINY)
    assert done.returncode == 0, done.stderr
    jobs = {job.name: job for job in map(cluster.job, re.findall(r"\b\d+\b", done.stdout))}
    train = jobs["demucs_train"].number
    desk.wait_for_epoch(train)
    urgent = cluster.submit(
        "--partition=high", "--nodes=2", "--gres=gpu:8", "--output=/dev/null", "--wrap", "sleep 1"
    )
    assert cluster.wait(urgent).state == "COMPLETED"
    return desk, {name: desk.wait(job.number) for name, job in jobs.items()}


def test_each_step_waits_for_the_one_before(ended: tuple[Desk, dict[str, Job]]) -> None:
    desk, jobs = ended
    assert tuple(jobs) == STEPS
    assert [job.state for job in jobs.values()] == ["COMPLETED"] * len(STEPS), desk.log
    times = [(job.fields["StartTime"], job.fields["EndTime"]) for job in jobs.values()]
    for (_, end), (start, _) in pairwise(times):
        assert start >= end


def test_preemption_changes_nothing(ended: tuple[Desk, dict[str, Job]], trained: Trained) -> None:
    desk, jobs = ended
    assert jobs["demucs_train"].restarts == 1
    assert "stopped in epoch" in desk.log
    assert differences(desk.experiment, trained.experiment) == []


def test_what_the_steps_leave(ended: tuple[Desk, dict[str, Job]]) -> None:
    desk, _ = ended
    signature, releases = desk.experiment.signature, desk.folder / "release_models"
    best = desk.experiment.checkpoint["best"]["state"]
    weights = get_model(signature, releases).state_dict()
    assert weights.keys() == best.keys()
    results = Results.load(releases / f"evaluation_{signature}.json")
    assert results.complete
    assert len(results.tracks) == 2
    # The test stage of eight processes and the evaluation by one found the same.
    tested = desk.experiment.history[-1]["test"]["nsdr"]
    assert results.summary()["nsdr"] == pytest.approx(tested, abs=1e-5)
    table = (desk.folder / "slurm_out" / "demucs_evaluate.out").read_text()
    assert all(word in table for word in (*SOURCES, "nSDR", "SDR", "ISR", "SIR", "SAR")), table
    assert list(desk.folder.glob("outputs/**/*.png")), "no plot"
