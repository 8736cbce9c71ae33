"""How the scripts start training, in a job and without SLURM, and queue a job again."""

from pathlib import Path

import pytest
from slurm_desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_job_starts_its_tasks_and_says_how_many(desk: Desk) -> None:
    done = desk.job("train_slurm.sh", "2", SLURM_CPUS_PER_TASK="6")
    (task,) = done.of("srun")
    assert done.code == 0
    assert task.arguments[:7] == [
        "--kill-on-bad-exit=0", "--wait=8",
        "python3", "-m", "demucs.train", "epochs=2", "test.every=100",
    ]  # fmt: skip
    assert task.environment["DEMUCS_WORLD_SIZE"] == "8"
    assert task.environment["SRUN_CPUS_PER_TASK"] == "6"
    assert "start 1, arguments: 2\n" in done.out
    assert not any("requeue" in call.arguments for call in done.calls)


@pytest.mark.parametrize("script", ["train_slurm.sh", "continue_run_slurm.sh"])
def test_a_job_that_saved_is_queued_again(desk: Desk, script: str) -> None:
    argument = {"train_slurm.sh": "2", "continue_run_slurm.sh": "abcd1234"}[script]
    done = desk.job(script, argument, CODE="85", SLURM_RESTART_COUNT="1")
    assert done.of("scontrol")[-1].arguments == ["requeue", "12"]
    assert done.code == 85
    assert "start 2, " in done.out
    assert "stopped and saved; job 12 is queued again" in done.out


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PENDING", "PREEMPTED"])
def test_a_cancelled_or_preempted_job_is_not_queued_again_from_here(desk: Desk, state: str) -> None:
    desk.show(f"{desk.root}/slurm_scripts/train_slurm.sh", state=state)
    done = desk.job("train_slurm.sh", CODE="85")
    assert not any("requeue" in call.arguments for call in done.calls)
    assert done.code == 85
    assert f"stopped and saved; job 12 is {state}, so it is not requeued here" in done.out


@pytest.mark.parametrize("code", ["1", "2", "137", "143"])
def test_a_job_that_fails_is_not_queued_again(desk: Desk, code: str) -> None:
    done = desk.job("train_slurm.sh", CODE=code)
    assert not any("requeue" in call.arguments for call in done.calls)
    assert done.code == int(code)


def test_a_job_that_may_not_be_queued_again_says_how_to_go_on(desk: Desk) -> None:
    done = desk.job("train_slurm.sh", CODE="85", REQUEUE="1")
    assert done.code == 85
    assert (
        "error: stopped and saved, but job 12 cannot be queued again: submit the same" in done.err
    )


def test_without_slurm_one_process_trains(desk: Desk) -> None:
    done = desk.bash("train_slurm.sh", "2", CODE="85")
    assert done.trained[:2] == ["-m", "demucs.train"]
    assert done.code == 85
    assert not done.of("srun")


def test_inside_a_step_of_srun_no_other_step_is_started(desk: Desk) -> None:
    done = desk.bash("train_slurm.sh", "2", SLURM_JOB_ID="12", SLURM_STEP_ID="0")
    assert done.trained[:2] == ["-m", "demucs.train"]
    assert not done.of("srun")


@pytest.mark.parametrize("environment", [{"GPUS": "4"}, {"GPUS": "1", "DEMUCS_WORKERS": "4"}])
def test_without_slurm_several_processes_are_launched(
    desk: Desk, environment: dict[str, str]
) -> None:
    done = desk.bash("train_slurm.sh", "2", **environment)
    assert done.trained[:4] == ["-m", "tools.launch", "4", "epochs=2"]
    assert done.of("python3")[-1].environment["DEMUCS_WORLD_SIZE"] == "4"
    again = desk.bash("continue_run_slurm.sh", "abcd1234", "a=1", **environment)
    assert again.trained[2:] == ["4", "-f", "abcd1234", "a=1"]


def test_the_log_lies_in_the_repository_wherever_one_submits(desk: Desk) -> None:
    script = f"{desk.root}/slurm_scripts/continue_run_slurm.sh"
    desk.show(script, "abcd1234", log="/dev/null")
    done = desk.job("continue_run_slurm.sh", "abcd1234", cwd=desk.elsewhere)
    assert (done.out, done.err) == ("", "")
    log = desk.root / "slurm_out" / "demucs_train.out"
    assert "start 1, arguments: abcd1234" in log.read_text()
    desk.job("continue_run_slurm.sh", "abcd1234", cwd=desk.elsewhere, SLURM_RESTART_COUNT="1")
    assert [line.split(", arg")[0][-7:] for line in log.read_text().splitlines()] == [
        "start 1", "start 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    ["[ -d /does/not/exist ] && export X=1", 'module() { [ -n "$NOT_SET" ]; }; module load cuda'],
)
def test_lines_of_a_site_file_may_fail(desk: Desk, line: str) -> None:
    desk.site(f"export DEMUCS_GPU_TYPE=a100\n{line}\n")
    done = desk.bash("train_slurm.sh", "2")
    assert done.code == 0
    assert done.trained


def test_several_processes_start_only_when_the_arguments_are_right(desk: Desk) -> None:
    done = desk.bash("train_slurm.sh", "2", DEMUCS_WORKERS="2", CHECK="1")
    assert done.code == 1
    assert not any("tools.launch" in call.arguments for call in done.calls)
    wrong = desk.bash("train_slurm.sh", "2", DEMUCS_WORKERS="two")
    assert (wrong.code, wrong.err) == (1, "error: DEMUCS_WORKERS=two: give a number, e.g. 2\n")
