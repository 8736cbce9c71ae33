"""Jobs after training, `submit.sh` with a site file, and what is refused before anything queues."""

import json
import shutil
import sys

import numpy as np
import pytest
import soundfile

from demucs.data import tracks_in
from demucs.evaluation import Results
from tests.slurm.baseline import Trained
from tests.slurm.desk import Desk
from tests.slurm.slurm_conf import GPU_TYPE
from tests.slurm.tiny_songs import EPOCHS, RATE, SOURCES


@pytest.fixture
def released(desk: Desk, trained: Trained) -> Desk:
    """A desk with the release of the training."""
    releases = desk.folder / "release_models"
    signature = trained.experiment.signature
    path = trained.desk.folder / "release_models" / f"{signature}.safetensors"
    if not path.exists():
        number = trained.desk.submit("slurm_scripts/slurm_release.sh", signature)
        job = trained.desk.wait(number)
        log = (trained.desk.folder / "slurm_out" / "demucs_release.out").read_text()
        assert job.state == "COMPLETED", log
        assert path.exists(), log
    releases.mkdir(exist_ok=True)
    shutil.copy(path, releases)
    return desk


def test_a_folder_becomes_an_array_of_which_one_fails(released: Desk, trained: Trained) -> None:
    """Three songs and a file that is none; the folder is named from where the user is."""
    signature = trained.experiment.signature
    music = released.folder.parent / "My music"
    music.mkdir()
    noise = np.random.default_rng(0)
    for name in ("One", "Two, too", "Drei ß"):
        soundfile.write(music / f"{name}.wav", noise.uniform(-0.5, 0.5, (RATE, 2)), RATE)
    (music / "zero.wav").write_bytes(b"no wav")
    known = {job.number for job in released.cluster.jobs()}
    script = str(released.folder / "slurm_scripts" / "submit.sh")
    done = released.type(
        "bash", script, "slurm_separate.sh", "My music", signature, cwd=music.parent
    )
    assert done.returncode == 0, done.stderr
    (array,) = {
        job.fields["ArrayJobId"]
        for job in released.cluster.jobs()
        if job.number not in known and "ArrayJobId" in job.fields
    }
    assert array in done.stdout
    tasks = released.cluster.wait_array(array)
    assert sorted(task.state for task in tasks) == ["COMPLETED"] * 3 + ["FAILED"]
    separated = {path.parent.name for path in released.folder.glob("separated/*/*/vocals.wav")}
    assert separated == {"One", "Two, too", "Drei ß"}


def test_the_site_file_says_where_jobs_go(desk: Desk, trained: Trained) -> None:
    """`submit.sh` from another folder and without an environment; all is in the site file."""
    elsewhere = desk.folder.parent / "elsewhere"
    elsewhere.mkdir()
    site = [
        "export SBATCH_PARTITION=high",
        "export SBATCH_CONSTRAINT=thisplace",
        f"export DEMUCS_GPU_TYPE={GPU_TYPE}",
        f"export DEMUCS_OUTPUTS={trained.desk.folder / 'outputs'}",
    ]
    inactive = {}
    if sys.prefix != sys.base_prefix:
        site.append(f"export DEMUCS_ENVIRONMENT={sys.prefix}")
        inactive = {"PATH": desk.cluster.environment["PATH"], "VIRTUAL_ENV": ""}
    (desk.folder / "slurm_scripts" / "site.env").write_text("\n".join(site) + "\n")
    signature = trained.experiment.signature
    script = str(desk.folder / "slurm_scripts" / "submit.sh")

    def submit(*arguments: str) -> str:
        done = desk.type("bash", script, *arguments, cwd=elsewhere, **inactive)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    job = desk.wait(submit("slurm_release.sh", signature))
    log = desk.folder / "slurm_out" / "demucs_release.out"
    assert job.state == "COMPLETED", log.read_text()
    assert (job.fields["Partition"], job.fields["Features"]) == ("high", "thisplace")
    assert (desk.folder / "release_models" / f"{signature}.safetensors").exists()
    assert not list(elsewhere.iterdir())

    job = desk.wait(submit("--partition=low", "evaluate_slurm.sh", signature, "test.sdr=false"))
    assert job.state == "COMPLETED"
    assert job.fields["Partition"] == "low", "an option must count more than the site file"
    assert f"gpu:{GPU_TYPE}:1" in job.fields["TresPerNode"]


@pytest.mark.parametrize("options", [["--ntasks=3", "--gres=gpu:3"], ["--array=0-1"]])
def test_tasks_divide_the_test_songs(released: Desk, trained: Trained, options: list[str]) -> None:
    """Whichever task ends last puts the results together; they are those of the training's test."""
    signature = trained.experiment.signature
    number = released.submit(
        *options, "slurm_scripts/evaluate_slurm.sh", signature, "--no-sdr", "test.shifts=1"
    )
    if "--array=0-1" in options:
        states = [task.state for task in released.cluster.wait_array(number)]
    else:
        states = [released.wait(number).state]
    log = (released.folder / "slurm_out" / "demucs_evaluate.out").read_text()
    assert set(states) == {"COMPLETED"}, log
    count = 3 if "--ntasks=3" in options else 2
    # A task that starts when the others are done has nothing to do.
    assert any(f"share {rank + 1} of {count}" in log for rank in range(count))
    results = Results.load(released.folder / "release_models" / f"evaluation_{signature}.json")
    tested = Results.load(trained.experiment.folder / "test" / f"epoch_{EPOCHS}.json")
    assert results.tracks.keys() == tested.tracks.keys()
    for name, track in results.tracks.items():
        values = tested.tracks[name].values["nsdr"]
        assert track.values["nsdr"] == pytest.approx(values, abs=0.01)


def test_an_array_distils_a_folder_and_its_last_task_writes(
    released: Desk, trained: Trained
) -> None:
    """Three files and one that is none, shared by two tasks; the result is a dataset."""
    signature = trained.experiment.signature
    music = released.folder.parent / "music"
    music.mkdir()
    noise = np.random.default_rng(0)
    for name in ("One", "Two, too", "Drei ß"):
        soundfile.write(music / f"{name}.wav", noise.uniform(-0.5, 0.5, (4 * RATE, 2)), RATE)
    (music / "zero.wav").write_bytes(b"no wav")
    number = released.submit(
        "--array=0-1", str(released.folder / "slurm_scripts" / "distil_slurm.sh"),
        "music", "made", signature, "--by", "polarity", "--budget", "2", "--licence", "mine",
        cwd=music.parent,
    )  # fmt: skip
    states = {task.state for task in released.cluster.wait_array(number)}
    log = (released.folder / "slurm_out" / "demucs_distil.out").read_text()
    assert states == {"COMPLETED"}, log
    assert "share 1 of 2" in log
    assert "share 2 of 2" in log
    out = music.parent / "made"
    manifest = json.loads((out / "manifest.json").read_text())
    states = {one["file"]: one["status"] for one in manifest["files"]}
    assert states.pop("zero.wav") == "skipped"
    assert sorted(states.values()) == ["kept", "kept", "not selected"]
    songs = tracks_in(out / "train", sources=SOURCES, samplerate=RATE)
    assert [one.name for one in songs] == sorted(
        name.removesuffix(".wav") for name, state in states.items() if state == "kept"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["distil_slurm.sh", "music", "out", "known", "--by", "polarity"], ["--budget"]),
        (["train_slurm.sh", "many"], ["usage", "EPOCHS"]),
        (["train_slurm.sh", "3", "epoch=3"], ["epoch"]),
        (["continue_run_slurm.sh", "12345678"], ["12345678"]),
        (["slurm_release.sh", "12345678"], ["12345678"]),
        (["evaluate_slurm.sh", "12345678"], ["12345678"]),
        (["slurm_separate.sh", "nothing.wav", "known"], ["nothing.wav"]),
    ],
)
def test_what_cannot_work_is_not_queued(desk: Desk, arguments: list[str], words: list[str]) -> None:
    (desk.folder / "release_models").mkdir()
    (desk.folder / "release_models" / "known.safetensors").touch()
    before = len(desk.cluster.jobs())
    done = desk.type("bash", "slurm_scripts/submit.sh", *arguments)
    assert done.returncode != 0
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert len(desk.cluster.jobs()) == before
