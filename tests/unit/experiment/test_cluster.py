"""Which of how many processes this is, as environments tell it; recorded from SLURM 22.05."""

import os
from pathlib import Path

import pytest

from demucs.errors import ConfigError
from demucs.experiment.cluster import (
    FIRST_PORT,
    PORTS,
    World,
    asked_world_size,
    check_gpus,
    find_world,
    first_host,
    rendezvous_address,
    requeue,
)

BATCH = {  # of the batch script of `sbatch -n8 -N2`
    "SLURM_JOB_ID": "71", "SLURM_JOB_NODELIST": "gpu[07-08]", "SLURM_NTASKS": "8",
    "SLURM_NNODES": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
}  # fmt: skip
STEP = {  # of the sixth task of `srun` in it
    **BATCH, "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "gpu[07-08]",
}  # fmt: skip
LAUNCHED = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"}


def test_a_task_of_srun() -> None:
    world = World(rank=5, local_rank=1, world_size=8, nodes=2, source="slurm")
    assert find_world(STEP) == world
    assert world.per_node == 4
    assert world.variables() == {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}
    assert find_world({**STEP, **world.variables(), "DEMUCS_WORLD_SIZE": "8"}) == world
    assert find_world({**STEP, "RANK": "5", "SUBMITIT_EXECUTOR": "slurm"}) == world


def test_a_launcher_on_one_machine() -> None:
    world = World(rank=1, local_rank=1, world_size=2, source="environment")
    assert find_world(LAUNCHED) == world
    assert find_world({**BATCH, **LAUNCHED}) == world
    assert find_world({**LAUNCHED, "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}).nodes == 2


def test_alone() -> None:
    assert find_world({}) == World()
    assert find_world({"WORLD_SIZE": "1", "RANK": "0"}).world_size == 1
    one = {**STEP, "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}
    assert find_world(one) == World()
    assert find_world({"SLURM_JOB_ID": "3", "SLURM_NTASKS": "1"}) == World()


@pytest.mark.parametrize(
    "environ",
    [
        BATCH,
        {**BATCH, "WORLD_SIZE": "1", "RANK": "0"},  # dora run
        {**STEP, "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"},  # a shell of salloc
        {"SLURM_JOB_ID": "71", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "4"},
    ],
)
def test_a_process_that_srun_did_not_start_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"job 71 has 8 tasks.*without srun.*srun python3 -m"):
        find_world(environ)


def test_dora_inside_srun_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"8 tasks.*WORLD_SIZE=1.*8 runs.*srun python3 -m"):
        find_world({**STEP, "WORLD_SIZE": "1", "RANK": "0"})


@pytest.mark.parametrize("environ", [{}, {**LAUNCHED}, {**STEP, "SLURM_STEP_NUM_TASKS": "4"}])
def test_another_world_than_asked_for_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"DEMUCS_WORLD_SIZE=8 .*there are [124]:"):
        find_world({**environ, "DEMUCS_WORLD_SIZE": "8"})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"WORLD_SIZE": "2"}, r"RANK=\(nothing\)"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "WORLD_SIZE=two"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK=2 is not below WORLD_SIZE=2"),
        ({"DEMUCS_WORLD_SIZE": "all"}, "DEMUCS_WORLD_SIZE=all"),
    ],
)
def test_half_an_environment_is_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_world(environ)


def test_the_size_asked_for() -> None:
    assert asked_world_size({}) == 1
    assert asked_world_size({"DEMUCS_WORLD_SIZE": ""}) == 1
    assert asked_world_size({"DEMUCS_WORLD_SIZE": "8"}) == 8
    with pytest.raises(ConfigError, match="DEMUCS_WORLD_SIZE=x"):
        asked_world_size({"DEMUCS_WORLD_SIZE": "x"})


def test_each_process_needs_a_gpu_it_sees() -> None:
    world = World(world_size=8, nodes=2, source="slurm")
    for visible in (0, 4, 8):
        check_gpus(world, visible)
    with pytest.raises(ConfigError, match=r"4 processes.*sees 1 GPU.*--gres=gpu:4.*gpus-per-task"):
        check_gpus(world, 1)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("login1", "login1"),
        ("gpu07,gpu08", "gpu07"),
        ("gpu[07-09,12]", "gpu07"),
        ("gpu[07-09,12]-ib,login1", "gpu07-ib"),
        ("rack[1-2]n[03,05-06]", "rack1n03"),
        ("127.0.0.[1-2]", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_first_host_of_a_list(hosts: str, first: str) -> None:
    assert first_host(hosts) == first


def test_they_meet_where_no_other_job_does() -> None:
    world = find_world(STEP)
    host, port = rendezvous_address(world, STEP, "abc")
    assert host == "gpu07"
    assert rendezvous_address(world, STEP, "other") == (host, port)
    others = {
        rendezvous_address(
            world, {**STEP, "SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)}, "abc"
        )
        for job in range(72, 172)
        for step in range(3)
    }
    assert len(others) == 300
    assert (host, port) not in others
    assert all(FIRST_PORT <= other < FIRST_PORT + PORTS for _, other in others)


def test_they_meet_at_home_under_a_launcher_or_where_it_says() -> None:
    world = find_world(LAUNCHED)
    host, port = rendezvous_address(world, LAUNCHED, "abc")
    assert host == "127.0.0.1"
    assert rendezvous_address(world, LAUNCHED, "abc") == (host, port)
    assert rendezvous_address(world, LAUNCHED, "abd") != (host, port)
    said = {**LAUNCHED, "MASTER_ADDR": "node1", "MASTER_PORT": "4711"}
    assert rendezvous_address(world, said, "abc") == ("node1", 4711)


@pytest.mark.parametrize(
    ("state", "exit_code", "asked"),
    [("RUNNING", 0, True), ("COMPLETING", 0, False), ("", 0, False), ("RUNNING", 1, False)],
)
def test_a_job_is_requeued_only_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, exit_code: int, asked: bool
) -> None:
    """COMPLETING is what a job of `scancel` is."""
    log = tmp_path / "log"
    for name, script in {
        "squeue": f'[ "$2" = --jobs=71 ] && echo "{state}"',
        "scontrol": f'echo "$@" >> "{log}"; exit {exit_code}',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert requeue({"SLURM_JOB_ID": "71"}) is asked
    assert log.exists() == (state == "RUNNING")
    if asked:
        assert log.read_text() == "requeue 71\n"


def test_without_slurm_nothing_is_requeued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not requeue({"SLURM_JOB_ID": "71"})
    assert "job 71 could not be requeued" in caplog.text
