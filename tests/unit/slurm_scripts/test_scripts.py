"""The scripts of `slurm_scripts/`: form, arguments, where they run, site file, environment."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_desk import ROOT, SCRIPTS, Desk

JOBS = sorted(SCRIPTS.glob("*_slurm.sh")) + sorted(SCRIPTS.glob("slurm_*.sh"))
RUN = ["epochs=390", "test.every=100", "batch_size=32", "model=hdemucs"]  # how it begins


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_shellcheck_finds_nothing() -> None:
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("shellcheck is not installed")
    names = [f"slurm_scripts/{path.name}" for path in SCRIPTS.glob("*.sh")]
    done = subprocess.run([program, *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_all_scripts_find_the_repository_with_the_same_lines() -> None:
    found = {
        re.search(r"^# SLURM runs a copy.*?common\.sh\"$", path.read_text(), re.M | re.S)
        for path in [*JOBS, SCRIPTS / "submit.sh"]
    }
    assert None not in found
    assert len({match[0] for match in found if match}) == 1


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_scripts_name_their_log_and_jobs_may_be_requeued(path: Path) -> None:
    """SLURM itself would fail a job whose log is in a folder that is not where one submits."""
    heads = re.findall(r"^#SBATCH (\S+)$", path.read_text(), re.M)
    assert {"--output=/dev/null", "--requeue"} <= set(heads)
    assert re.search(r"^log=demucs_\w+\.out ", path.read_text(), re.M)


@pytest.mark.parametrize("name", ["train_slurm.sh", "continue_run_slurm.sh"])
def test_training_asks_for_eight_tasks_and_a_signal(name: str) -> None:
    text = (SCRIPTS / name).read_text()
    for option in ("ntasks=8", "gres=gpu:8", "signal=USR1@120"):
        assert f"\n#SBATCH --{option}\n" in text
    assert "\nlog=demucs_train.out " in text


def test_a_fresh_clone_has_the_folder_of_the_logs() -> None:
    kept = ROOT / "slurm_out" / ".gitignore"
    assert kept.is_file()
    assert "!.gitignore" in kept.read_text().splitlines()
    assert "/slurm_out/" not in (ROOT / ".gitignore").read_text().splitlines()
    assert "/slurm_scripts/site.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_example_of_a_site_file_changes_nothing_until_edited() -> None:
    example = SCRIPTS / "site.env.example"
    kept = example.read_text().splitlines()
    assert all(re.match(r"\s*(#|$)", line) for line in kept)
    lines = [line[1:] for line in kept if line.startswith("#export")]
    edited = subprocess.run(
        ["bash", "-c", "\n".join([*lines, "export -p"])], capture_output=True, text=True, check=True
    ).stdout
    for name in ("SBATCH_PARTITION", "SBATCH_MEM_PER_NODE", "DEMUCS_GPU_TYPE", "DEMUCS_MUSDB"):
        assert f" {name}=" in edited


@pytest.mark.parametrize(
    ("script", "arguments", "reason"),
    [
        ("train_slurm.sh", ["ten"], "EPOCHS is 'ten'"),
        ("train_slurm.sh", ["0"], "EPOCHS is '0'"),
        ("train_slurm.sh", ["-h"], "EPOCHS is '-h'"),
        ("train_slurm.sh", ["2", "batch_size"], "'batch_size' is not KEY=VALUE"),
        ("continue_run_slurm.sh", [], "SIGNATURE is missing"),
        ("continue_run_slurm.sh", ["../x"], "'../x' is not a signature"),
        ("continue_run_slurm.sh", ["abcd1234", "5"], "'5' is not KEY=VALUE"),
        ("slurm_release.sh", ["a/b"], "'a/b' is not a signature"),
        ("plots_slurm.sh", ["a b"], "'a b' is not a signature"),
        ("evaluate_slurm.sh", ["../x"], "'../x' is not the name of a release"),
        ("slurm_separate.sh", ["song.wav"], "give what to separate"),
        ("slurm_separate.sh", ["song.wav", "--mp3"], "'--mp3' is not the name of a release"),
        ("slurm_separate.sh", ["song.wav", "abcd1234", "--mp5"], "unrecognized arguments: --mp5"),
        ("distil_slurm.sh", ["music", "out"], "give a folder of MUSIC"),
        ("distil_slurm.sh", ["music", "out", "a/b"], "'a/b' is not the name of a release"),
        (
            "distil_slurm.sh",
            ["music", "out", "abcd1234", "--by", "members"],
            "--select score needs --threshold DB or --budget",
        ),
        ("pipeline_slurm.sh", ["ten"], "EPOCHS is 'ten'"),
        ("submit.sh", ["--time=1"], "SCRIPT is missing"),
        ("submit.sh", ["other.sh"], "other.sh is none of the scripts"),
        ("submit.sh", ["common.sh"], "common.sh is none of the scripts"),
        ("submit.sh", ["train_slurm.sh", "ten"], "EPOCHS is 'ten'"),
    ],
)
def test_wrong_arguments_are_told_in_one_usage_line(
    desk: Desk, script: str, arguments: list[str], reason: str
) -> None:
    desk.touch("song.wav")
    done = desk.bash(script, *arguments)
    assert done.code == 2
    assert re.fullmatch(r"usage: \S.*\n", done.err)
    assert reason in done.err
    assert not done.of("sbatch")


def test_training_takes_the_groups_run(desk: Desk) -> None:
    run = desk.bash("train_slurm.sh").trained
    assert run[:6] == ["-m", "demucs.train", *RUN]
    assert run[-1] == "optim.lr=0.0003"
    assert "ema.batch=[0.9995,0.9999]" in run


@pytest.mark.parametrize(
    ("typed", "epochs", "last"),
    [(["2"], 2, "optim.lr=0.0003"), (["7", "a=b c"], 7, "a=b c"), (["a=1"], 390, "a=1")],
)
def test_epochs_and_overrides_may_be_given(
    desk: Desk, typed: list[str], epochs: int, last: str
) -> None:
    run = desk.bash("train_slurm.sh", *typed).trained
    assert run[2] == f"epochs={epochs}"
    assert run[-1] == last
    assert len(run) == 2 + 18 + sum("=" in word for word in typed)


@pytest.mark.parametrize(
    ("script", "arguments", "command"),
    [
        ("continue_run_slurm.sh", ["abcd1234", "a=1"], "-m demucs.train -f abcd1234 a=1"),
        ("slurm_release.sh", [], "-m tools.export 53288a8c"),
        ("slurm_release.sh", ["--half"], "-m tools.export 53288a8c --half"),
        ("slurm_release.sh", ["abcd1234", "--half"], "-m tools.export abcd1234 --half"),
        (
            "evaluate_slurm.sh",
            ["test.shifts=2"],
            "-m tools.test_pretrained --repo ./release_models -n 53288a8c test.workers=2 "
            "test.shifts=2",
        ),
        (
            "evaluate_slurm.sh",
            ["abcd1234", "--no-sdr"],
            "-m tools.test_pretrained --repo ./release_models -n abcd1234 test.workers=2 --no-sdr",
        ),
        (
            "plots_slurm.sh",
            ["abcd1234"],
            "graphing_scripts/training_curves.py outputs/xps/abcd1234/history.json",
        ),
    ],
)
def test_other_scripts_start_their_tool(
    desk: Desk, script: str, arguments: list[str], command: str
) -> None:
    done = desk.bash(script, *arguments)
    call = done.of("python3")[-1]
    assert (done.code, " ".join(call.arguments), call.folder) == (0, command, str(desk.root))


def test_distillation_names_folders_as_seen_from_where_it_is_typed(desk: Desk) -> None:
    (desk.elsewhere / "my music").mkdir()
    flags = ["--by", "members", "--budget", "1h"]
    typed = ["my music", "/data/out", "abcd1234", *flags]
    command = [
        "-m", "tools.distil", f"{desk.elsewhere}/my music", "/data/out", "-n", "abcd1234",
        "--repo", "./release_models", *flags,
    ]  # fmt: skip
    call = desk.bash("distil_slurm.sh", *typed, cwd=desk.elsewhere).of("python3")[-1]
    assert (call.arguments, call.folder) == (command, str(desk.root))
    job = desk.job("distil_slurm.sh", *typed, cwd=desk.elsewhere)
    (step,) = job.of("srun")
    assert step.arguments == ["--kill-on-bad-exit=0", "python3", *command]
    typed[2] = "htdemucs"
    call = desk.bash("distil_slurm.sh", *typed, cwd=desk.elsewhere).of("python3")[-1]
    assert "--repo" not in call.arguments
    lost = desk.bash("distil_slurm.sh", "no music", *typed[1:], cwd=desk.elsewhere)
    assert lost.code == 1
    assert "there is no folder no music in" in lost.err


def test_a_task_of_an_array_that_was_stopped_is_requeued_alone(desk: Desk) -> None:
    (desk.elsewhere / "music").mkdir()
    done = desk.job(
        "distil_slurm.sh", "music", "out", "abcd1234", "--by", "self_cycle", "--budget", "1h",
        cwd=desk.elsewhere, CODE="85", SLURM_ARRAY_JOB_ID="10", SLURM_ARRAY_TASK_ID="3",
    )  # fmt: skip
    assert done.code == 85
    assert done.of("scontrol")[-1].arguments == ["requeue", "10_3"]
    assert "job 10_3 is queued again" in done.out


@pytest.mark.parametrize("script", ["slurm_release.sh", "evaluate_slurm.sh", "plots_slurm.sh"])
def test_the_tools_exit_code_is_the_scripts(desk: Desk, script: str) -> None:
    assert desk.bash(script, CODE="3").code == 3


def test_bash_finds_the_repository_from_anywhere(desk: Desk) -> None:
    below = desk.root / "outputs" / "xps" / "abcd1234"
    link = desk.elsewhere / "train.sh"
    link.symlink_to(desk.root / "slurm_scripts" / "train_slurm.sh")
    for folder, script in [
        (desk.elsewhere, "train_slurm.sh"),
        (desk.root / "slurm_scripts", "train_slurm.sh"),
        (below, "train_slurm.sh"),
        (below, link),
    ]:
        done = desk.bash(script, "2", cwd=folder)
        assert done.of("python3")[-1].folder == str(desk.root), done.err


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        (".", "(null)"),
        ("outputs/xps/abcd1234", "(null)"),
        ("slurm_scripts", "./train_slurm.sh 2"),
        ("outputs/xps", "../../slurm_scripts/train_slurm.sh 2 a=/slurm_scripts/b"),
        ("../elsewhere", "{root}/slurm_scripts/train_slurm.sh 2 a=/slurm_scripts/b"),
        ("../elsewhere", "{root}/slurm_scripts/train_slurm.sh 2\n\nJobId=13\n   Command=/no"),
    ],
)
def test_a_job_finds_the_repository(desk: Desk, folder: str, command: str) -> None:
    desk.show(command.format(root=desk.root))
    done = desk.job("train_slurm.sh", "2", cwd=(desk.root / folder).resolve())
    assert done.of("srun")[0].folder == str(desk.root), done.err


def test_without_a_repository_it_says_so(desk: Desk) -> None:
    desk.show("(null)")
    done = desk.job("train_slurm.sh", "2", cwd=desk.elsewhere)
    assert done.code == 1
    assert done.err == (
        f"error: no repository at or above {desk.elsewhere}: submit from its folder\n"
    )


def test_the_site_file_reaches_sbatch_and_jobs(desk: Desk) -> None:
    desk.site("export SBATCH_PARTITION=low\nSBATCH_ACCOUNT=lab\nexport DEMUCS_MUSDB=/data/songs\n")
    (call,) = desk.bash("submit.sh", "train_slurm.sh").of("sbatch")
    assert call.environment["SBATCH_PARTITION"] == "low"
    assert call.environment["SBATCH_ACCOUNT"] == "lab"
    (task,) = desk.job("train_slurm.sh").of("srun")
    assert task.environment["DEMUCS_MUSDB"] == "/data/songs"


@pytest.mark.parametrize(
    ("wanted", "known", "warned"),
    [("low", "", True), ("low,gpu", "", False), ("gpu", "", False), ("low", "low", False)],
)
def test_a_job_elsewhere_than_the_site_says_warns(
    desk: Desk, wanted: str, known: str, warned: bool
) -> None:
    desk.site(f"export SBATCH_PARTITION={wanted}\n")
    known_before = {"SBATCH_PARTITION": known} if known else {}
    done = desk.job("slurm_release.sh", **known_before)
    assert done.code == 0
    warning = (
        f"warning: this job has the partition 'gpu', and site.env says '{wanted}': submit with "
        "slurm_scripts/submit.sh, or type '. slurm_scripts/site.env' before sbatch\n"
    )
    assert done.err == (warning if warned else "")


def test_another_site_file_can_be_named(desk: Desk) -> None:
    desk.site("export DEMUCS_MUSDB=/one\n")
    other = desk.elsewhere / "site"
    other.write_text("export DEMUCS_MUSDB=/two\n")
    call = desk.bash("slurm_release.sh", DEMUCS_SITE=str(other)).of("python3")[-1]
    assert call.environment["DEMUCS_MUSDB"] == "/two"
    missing = desk.bash("slurm_release.sh", DEMUCS_SITE="/no/such")
    assert missing.code == 1
    assert "error: DEMUCS_SITE=/no/such does not exist: copy" in missing.err


def make_venv(folder: Path, mark: str) -> None:
    (folder / "bin").mkdir(parents=True)
    # Like the real ones, it reads a variable that may not be set.
    (folder / "bin" / "activate").write_text(f'export MARK="{mark}$NOT_SET_AT_ALL"\n')


def test_the_environment_is_the_sites_or_the_active_one_or_the_one_beside(desk: Desk) -> None:
    def mark(**environment: str) -> str:
        done = desk.bash("slurm_release.sh", **environment)
        assert done.code == 0, done.err
        return done.of("python3")[-1].environment.get("MARK", "")

    assert mark() == ""
    make_venv(desk.root / ".venv", "beside")
    make_venv(desk.elsewhere / "an env", "named")
    assert mark() == "beside"
    assert mark(CONDA_DEFAULT_ENV="base") == "beside"
    assert mark(CONDA_DEFAULT_ENV="demucs") == ""
    assert mark(VIRTUAL_ENV="/x") == ""
    assert mark(VIRTUAL_ENV="/x", DEMUCS_ENVIRONMENT=str(desk.elsewhere / "an env")) == "named"
    desk.has("conda")
    assert mark(DEMUCS_ENVIRONMENT="demucs") == "conda demucs"


def test_an_environment_that_is_not_there_is_told(desk: Desk) -> None:
    absent = desk.bash("slurm_release.sh", DEMUCS_ENVIRONMENT="/no/env")
    assert absent.code == 1
    assert "error: DEMUCS_ENVIRONMENT=/no/env has no bin/activate, and conda is not" in absent.err
    desk.has("conda")
    unknown = desk.bash("slurm_release.sh", DEMUCS_ENVIRONMENT="other")
    assert unknown.code == 1
    assert "error: DEMUCS_ENVIRONMENT=other is not an environment of conda" in unknown.err
    bare = desk.bash("slurm_release.sh", NO_TORCH="1")
    assert bare.code == 1
    assert f"error: {desk.bin}/python3 has no torch: install as README.md says" in bare.err


def test_soundstretch_beside_the_code_or_of_the_site_comes_first(desk: Desk) -> None:
    def first(**environment: str) -> str:
        call = desk.bash("slurm_release.sh", **environment).of("python3")[-1]
        return call.environment["PATH"].split(":")[0]

    assert first() == f"{desk.root}/soundtouch/build"
    assert first(DEMUCS_SOUNDTOUCH="/opt/st") == "/opt/st"
