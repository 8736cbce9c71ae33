"""The cluster itself, without a line of this project: what the other tests stand on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.slurm.jobs import parse_jobs
from tests.slurm.local_cluster import Cluster
from tests.slurm.requirements import PROGRAMS, missing_packages
from tests.slurm.slurm_conf import GPU_TYPE
from tests.slurm.supervise import descendants

ROOT = Path(__file__).resolve().parents[2]


def test_missing_packages_are_named(tmp_path: Path) -> None:
    assert missing_packages(str(tmp_path)) == [
        "munge (munged)",
        "slurmctld (slurmctld)",
        "slurmd (slurmd)",
        "slurm-client (sbatch, scancel, scontrol, sinfo, squeue, srun)",
    ]
    for name in PROGRAMS:
        (tmp_path / name).touch(mode=0o755)
    assert missing_packages(str(tmp_path)) == []


def test_a_job_is_read_from_what_scontrol_prints() -> None:
    (job,) = parse_jobs(
        "JobId=3 ArrayJobId=2 ArrayTaskId=0 JobName=a b Restarts=1 ExitCode=85:0 JobState=FAILED "
        "NtasksPerN:B:S:C=0:0:*:* NodeList=127.0.0.1 Command=/tmp/my script.sh x=1"
    )
    assert (job.number, job.array_task, job.name) == ("3", "0", "a b")
    assert (job.restarts, job.exit_code, job.has_ended) == (1, 85, True)
    assert job.fields["Command"] == "/tmp/my script.sh x=1"


def test_eight_tasks_of_a_job_are_on_the_nodes_it_asked_for(
    cluster: Cluster, tmp_path: Path
) -> None:
    log = tmp_path / "out"
    number = cluster.submit(
        "--nodes=2", "--ntasks-per-node=4", "--cpus-per-task=8", f"--gres=gpu:{GPU_TYPE}:4",
        "--constraint=thisplace", f"--output={log}",
        "--wrap", "srun sh -c 'echo $SLURM_PROCID $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES'",
    )  # fmt: skip
    assert cluster.wait(number).state == "COMPLETED"
    assert sorted(log.read_text().splitlines()) == [
        f"{task} 127.0.0.{1 + task // 4} 0,1,2,3" for task in range(8)
    ]


def test_no_more_gpus_than_there_are(cluster: Cluster) -> None:
    with pytest.raises(RuntimeError, match="node configuration is not available"):
        cluster.submit("--gres=gpu:9", "--wrap", "true")


def test_a_failing_job_has_its_exit_code(cluster: Cluster) -> None:
    job = cluster.wait(cluster.submit("--output=/dev/null", "--wrap", "exit 3"))
    assert (job.state, job.exit_code, job.restarts) == ("FAILED", 3, 0)


def test_a_requeued_job_starts_again(cluster: Cluster, tmp_path: Path) -> None:
    script = 'if [ "${SLURM_RESTART_COUNT:-0}" = 0 ]; then touch begun; sleep 60; fi'
    number = cluster.submit("--requeue", "--output=/dev/null", "--wrap", script, cwd=tmp_path)
    cluster.wait_until(number, lambda job: (tmp_path / "begun").exists())
    cluster.ask("scontrol", "requeue", number)
    job = cluster.wait(number)
    assert (job.state, job.restarts) == ("COMPLETED", 1)


@pytest.mark.long
def test_a_higher_partition_preempts_and_the_job_is_queued_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    script = (
        'if [ "${SLURM_RESTART_COUNT:-0}" = 0 ]; then '
        "srun sh -c 'trap \"echo told > told; exit 85\" TERM; touch begun; sleep 60 & wait'; fi"
    )
    whole = ["--nodes=2", "--gres=gpu:8"]
    low = cluster.submit(*whole, "--requeue", "--output=/dev/null", "--wrap", script, cwd=tmp_path)
    cluster.wait_until(low, lambda job: (tmp_path / "begun").exists())
    high = cluster.submit(*whole, "--partition=high", "--output=/dev/null", "--wrap", "true")
    assert cluster.wait(high).state == "COMPLETED"
    job = cluster.wait(low)
    assert (job.state, job.restarts) == ("COMPLETED", 1)
    assert (tmp_path / "told").exists(), "the job's tasks were not told with SIGTERM"


def test_an_array_and_a_stand_in_for_sacct(cluster: Cluster, tmp_path: Path) -> None:
    number = cluster.submit(
        "--array=0-2", "--output=/dev/null",
        "--wrap", "touch $SLURM_ARRAY_TASK_ID; exit $SLURM_ARRAY_TASK_ID", cwd=tmp_path,
    )  # fmt: skip
    tasks = cluster.wait_array(number)
    assert [(one.array_task, one.exit_code) for one in tasks] == [("0", 0), ("1", 1), ("2", 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]
    lines = cluster.ask("sacct", "-o", "JobID,State,NodeList", "--parsable2").splitlines()
    assert lines[0] == "JobID|State|NodeList"
    assert f"{number}_0|COMPLETED|127.0.0.1" in lines
    assert f"{number}_2|FAILED|127.0.0.1" in lines


def test_nothing_is_left_of_a_cluster_while_its_jobs_run(packages: None, tmp_path: Path) -> None:
    before = descendants(os.getpid())
    with Cluster(nodes=1) as cluster:
        escape = "setsid sh -c 'touch escaped; exec env -i sleep 100' & srun sleep 100"
        number = cluster.submit("--output=/dev/null", "--wrap", escape, cwd=tmp_path)
        cluster.wait_until(number, lambda job: (tmp_path / "escaped").exists())
        folder, started = cluster.folder, descendants(os.getpid()) - before
        assert len(started) > 6
    assert not folder.exists()
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def test_nothing_is_left_when_the_tests_are_killed(packages: None) -> None:
    program = (
        "import os, time; from tests.slurm.local_cluster import Cluster\n"
        "with Cluster(nodes=1) as cluster:\n"
        "    print(cluster.folder, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as tests:
        assert tests.stdout is not None
        folder = Path(tests.stdout.readline().strip())
        started = descendants(tests.pid)
        assert folder.is_dir()
        assert len(started) >= 4
        tests.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    left = [f"/proc/{pid}" for pid in started] + [str(folder)]
    while any(map(os.path.exists, left)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [path for path in left if os.path.exists(path)]


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(
    packages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.slurm.local_cluster.START_PATIENCE", 1)
    monkeypatch.setattr("tests.slurm.slurm_conf.CORES", "many")
    cluster = Cluster(nodes=1)
    with pytest.raises(RuntimeError, match=r"slurmctld does not start:[\s\S]*many"), cluster:
        pass
    assert not cluster.folder.exists()
