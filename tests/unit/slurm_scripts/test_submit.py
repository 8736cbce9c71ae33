"""`submit.sh` and `pipeline_slurm.sh`: what they check, and what they hand to sbatch."""

from pathlib import Path

import pytest
from slurm_desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_submit_checks_then_submits_from_any_folder(desk: Desk) -> None:
    done = desk.bash("submit.sh", "--time=10", "-p", "gpu", "train_slurm.sh", "2", "a=b c",
                     cwd=desk.elsewhere, SLURM_CONF="x", SLURM_NTASKS="3")  # fmt: skip
    script = str(desk.root / "slurm_scripts" / "train_slurm.sh")
    assert done.out == "Submitted batch job 7\n"
    assert done.err == "experiment aa9b63ad\n"
    (call,) = done.of("sbatch")
    assert call.arguments == [
        f"--chdir={desk.root}", "--comment=demucs aa9b63ad", "--time=10", "-p", "gpu", script, "2",
        "a=b c",
    ]  # fmt: skip
    assert call.folder == str(desk.elsewhere)
    assert {k: v for k, v in call.environment.items() if k.startswith(("SLURM", "DEMUCS"))} == {
        "SLURM_CONF": "x"
    }
    (check,) = [call for call in done.of("python3") if "--check" in call.arguments]
    assert check.environment["DEMUCS_WORLD_SIZE"] == "8"
    assert (desk.root / "slurm_out").is_dir()


@pytest.mark.parametrize("options", [["--ntasks=4"], ["-n", "4"], ["-n4"], ["--ntasks", "4"]])
def test_submit_checks_with_the_tasks_that_are_asked_for(desk: Desk, options: list[str]) -> None:
    done = desk.bash("submit.sh", *options, "train_slurm.sh")
    (check,) = [call for call in done.of("python3") if "--check" in call.arguments]
    assert check.environment["DEMUCS_WORLD_SIZE"] == "4"


def test_submit_asks_for_the_sites_gpus(desk: Desk) -> None:
    desk.site("export DEMUCS_GPU_TYPE=a100\n")
    assert "--gres=gpu:a100:8" in desk.bash("submit.sh", "train_slurm.sh").submitted
    assert "--gres=gpu:a100:1" in desk.bash("submit.sh", "evaluate_slurm.sh").submitted
    assert "gres" not in " ".join(desk.bash("submit.sh", "slurm_release.sh").submitted)
    own = desk.bash("submit.sh", "--gres=gpu:4", "train_slurm.sh").submitted
    assert [word for word in own if "gpu" in word] == ["--gres=gpu:4"]


@pytest.mark.parametrize(
    ("script", "name", "reason"),
    [
        ("continue_run_slurm.sh", "nosuch", "there is no experiment nosuch in outputs/xps"),
        ("slurm_release.sh", "nosuch", "there is no experiment nosuch in outputs/xps"),
        ("plots_slurm.sh", "nosuch", "there is no experiment nosuch in outputs/xps"),
        ("evaluate_slurm.sh", "nosuch", "there is no release nosuch in "),
    ],
)
def test_submit_queues_nothing_for_what_is_not_there(
    desk: Desk, script: str, name: str, reason: str
) -> None:
    done = desk.bash("submit.sh", script, name)
    assert done.code == 1
    assert done.err.startswith(f"error: {reason}")
    assert not done.of("sbatch")
    assert desk.bash("submit.sh", "-d", "afterok:1", script, name).submitted[-1] == name


@pytest.mark.parametrize(
    ("script", "arguments", "reason"),
    [
        ("slurm_release.sh", ["abcd1234", "--bogus"], "unrecognized arguments: --bogus"),
        ("evaluate_slurm.sh", ["abcd1234", "--bogus"], "unrecognized arguments: --bogus"),
        ("evaluate_slurm.sh", ["abcd1234", "dset=demo"], "'dset=demo' is no setting"),
        ("plots_slurm.sh", ["abcd1234", "--bogus"], "unrecognized arguments: --bogus"),
        ("slurm_separate.sh", ["a.wav", "abcd1234", "-n", "other"], "the NAME is given twice"),
    ],
)
def test_submit_queues_nothing_for_wrong_flags(
    desk: Desk, script: str, arguments: list[str], reason: str
) -> None:
    desk.touch("a.wav")
    done = desk.bash("submit.sh", script, *arguments)
    assert done.code == 2
    assert done.err.startswith("usage: sbatch slurm_scripts/")
    assert reason in done.err
    assert not done.of("sbatch")


@pytest.mark.parametrize(
    ("script", "file"),
    [("slurm_release.sh", "checkpoint.th"), ("plots_slurm.sh", "history.json")],
)
def test_submit_queues_nothing_for_an_experiment_that_is_not_as_far(
    desk: Desk, script: str, file: str
) -> None:
    (desk.root / "outputs/xps/abcd1234" / file).unlink()
    done = desk.bash("submit.sh", script, "abcd1234")
    assert (done.code, done.of("sbatch")) == (1, [])
    assert f"error: the experiment abcd1234 has no {file} yet" in done.err


def test_a_release_is_named_in_full(desk: Desk) -> None:
    assert desk.bash("submit.sh", "evaluate_slurm.sh", "abcd").code == 1


def test_tasks_that_see_their_own_gpu_only_are_refused(desk: Desk) -> None:
    done = desk.bash("submit.sh", "--gpus-per-task=1", "train_slurm.sh")
    assert (done.code, done.of("sbatch")) == (1, [])
    assert "give --gres=gpu:N" in done.err


def test_submit_queues_nothing_for_a_wrong_override(desk: Desk) -> None:
    done = desk.bash("submit.sh", "train_slurm.sh", "2", "a=b", CHECK="1")
    assert done.code == 1
    assert not done.of("sbatch")


def test_another_folder_of_releases_is_the_tools_business(desk: Desk) -> None:
    assert desk.bash("submit.sh", "evaluate_slurm.sh", "nosuch", "--repo", "x").submitted


def test_what_a_separation_waits_for_may_be_missing(desk: Desk) -> None:
    waiting = desk.bash(
        "submit.sh", "--dependency=afterok:1", "slurm_separate.sh", "later.wav", "m"
    )
    assert waiting.submitted[-2:] == ["later.wav", "m"]


def test_submit_without_slurm_names_the_other_way(desk: Desk) -> None:
    desk.lacks("sbatch")
    done = desk.bash("submit.sh", "train_slurm.sh")
    assert done.code == 1
    assert "error: there is no sbatch on PATH: to run it on this machine, type 'bash " in done.err


def test_the_pipeline_submits_each_job_after_the_one_before(desk: Desk) -> None:
    done = desk.bash("pipeline_slurm.sh", "2", "a=1", cwd=desk.elsewhere, SIGNATURE="feed0123")
    jobs = done.of("sbatch")
    script = [next(word for word in call.arguments if word.endswith(".sh")) for call in jobs]
    assert [Path(name).name for name in script] == [
        "train_slurm.sh", "slurm_release.sh", "evaluate_slurm.sh", "plots_slurm.sh",
    ]  # fmt: skip
    waits = [[word for word in call.arguments if "dependency" in word] for call in jobs]
    assert waits == [[], *([f"--dependency=afterok:{number}"] for number in (1, 2, 3))]
    assert all("--kill-on-invalid-dep=yes" in call.arguments for call in jobs)
    assert jobs[0].arguments[-2:] == ["2", "a=1"]
    assert [call.arguments[-2:] for call in jobs[1:]] == [
        ["feed0123", "--force"], [script[2], "feed0123"], [script[3], "feed0123"],
    ]  # fmt: skip
    assert done.err == "experiment feed0123\n"
    assert done.out.splitlines() == [
        "job 1: train_slurm.sh", "job 2: slurm_release.sh", "job 3: evaluate_slurm.sh",
        "job 4: plots_slurm.sh",
    ]  # fmt: skip


def test_the_pipeline_runs_here_when_told_or_without_slurm(desk: Desk) -> None:
    def steps(*arguments: str, **environment: str) -> list[str]:
        done = desk.bash("pipeline_slurm.sh", *arguments, **environment)
        assert not done.of("sbatch")
        ran = [call.arguments for call in done.of("python3") if call.arguments[0] != "-c"]
        return [
            words[1] if words[0] == "-m" else words[0]
            for words in ran
            if "--check" not in words and "tools.model_place" not in words
        ]

    all_four = [
        "demucs.train", "tools.export", "tools.test_pretrained",
        "graphing_scripts/training_curves.py",
    ]  # fmt: skip
    assert steps("--here", "2") == all_four
    assert steps("--here", "2", CODE="85") == all_four[:1]  # what comes after needs it
    desk.lacks("sbatch")
    assert steps("2") == all_four


def test_the_pipeline_submits_nothing_twice(desk: Desk) -> None:
    done = desk.job("pipeline_slurm.sh", "2", SLURM_RESTART_COUNT="1")
    assert done.code == 1
    assert "error: SLURM started this again, after it may have submitted jobs" in done.err
    assert not done.of("sbatch")
    assert len(desk.job("pipeline_slurm.sh", "2").of("sbatch")) == 4


def test_a_pipeline_can_be_submitted_too(desk: Desk) -> None:
    done = desk.bash("submit.sh", "pipeline_slurm.sh", "2")
    assert done.submitted[-2:] == [str(desk.root / "slurm_scripts" / "pipeline_slurm.sh"), "2"]
    assert done.err == "experiment aa9b63ad\n"
