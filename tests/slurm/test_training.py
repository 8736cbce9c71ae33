"""Eight processes train through `train_slurm.sh`, and nothing that happens to them changes it."""

import json
import signal
import sys
import time

import pytest
import torch

from demucs.evaluation import Results, evaluate
from demucs.nn import ModelSpec, build_model
from demucs.training import ProcessGroup, find_songs, read_config
from demucs.training.stages.validation import validate
from tests.slurm.baseline import Trained
from tests.slurm.desk import ROOT, Desk
from tests.slurm.experiment import differences
from tests.slurm.tasks import awaits, held, task_processes
from tests.slurm.tiny_songs import EPOCHS, TINY, TWO

sys.path[:0] = [str(ROOT / "tests" / "golden")]
from public_run_files import unpack  # noqa: E402

STOPPED = "stopped in epoch"  # what a run says that was asked to stop and has saved


def test_eight_tasks_train_together(trained: Trained) -> None:
    assert trained.job.restarts == 0
    log = trained.desk.log
    assert "8 process(es)" in log
    assert log.count(f"epoch {EPOCHS}/{EPOCHS} |") == 1, "several runs wrote into the log"
    assert "error" not in log.lower()
    record = trained.experiment.record
    assert (record["schema"], record["state"]) == ("demucs-run-1", "finished")
    assert (record["processes"], record["epoch"], record["epochs"]) == (8, EPOCHS, EPOCHS)
    assert (record["job_id"], record["restarts"]) == (trained.job.number, 0)


def test_shares_of_validation_and_test_add_up_to_what_one_process_finds(trained: Trained) -> None:
    """Bit for bit, on fewer songs than there were processes."""
    content = trained.experiment.checkpoint
    metrics = trained.experiment.history[-1]
    config = content["config"]
    config["dset"]["metadata"] = str(trained.desk.folder / "metadata")
    run = read_config(config)
    songs = find_songs(run)
    model = build_model(ModelSpec.from_dict(content["spec"]))
    torch.set_num_threads(1)

    model.load_state_dict(content["model"])
    assert validate(model, songs.valid, run.options, ProcessGroup()) == metrics["valid"]["main"]

    model.load_state_dict(content["best"]["state"])
    results = evaluate(
        model, songs.test, metrics=("nsdr",), shifts=1, overlap=0.25, split=True, workers=1
    )
    assert results.summary() == metrics["test"]
    saved = Results.load(trained.experiment.folder / "test" / f"epoch_{EPOCHS}.json")
    for track in results.tracks.values():
        track.windows = {}  # which the JSON leaves out
    assert saved.tracks == results.tracks
    assert list(saved.tracks) == [track.name for track in songs.test]


def test_status_while_it_ran_and_afterwards(trained: Trained) -> None:
    assert trained.status.returncode == 0, trained.status.stderr
    (while_running,) = json.loads(trained.status.stdout)
    assert while_running["signature"] == trained.experiment.signature
    assert while_running["job"] == trained.job.number
    after = trained.desk.type("python3", "-m", "tools.status", "--json")
    assert after.returncode == 0, after.stderr
    (finished,) = json.loads(after.stdout)
    assert finished["epoch"] == finished["epochs"] == EPOCHS


@pytest.mark.long
def test_two_nodes_and_a_requeue(desk: Desk, trained_by_two: Trained) -> None:
    """A task on each of two nodes, and an administrator who queues the job again."""
    options = ("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--gres=gpu:1")
    number = desk.train(EPOCHS, *TINY, options=options)
    desk.wait_for_epoch(number)
    assert desk.cluster.job(number).fields["NodeList"] == "127.0.0.[1-2]"
    desk.cluster.ask("scontrol", "requeue", number)
    assert_same_end(desk, number, trained_by_two, restarts=1)
    assert desk.log.count("2 process(es)") == 2


def test_a_signal_queues_the_job_again(desk: Desk, trained_by_two: Trained) -> None:
    number = desk.train(EPOCHS, *TINY, options=TWO)
    desk.wait_for_epoch(number)
    desk.cluster.ask("scancel", "--signal=USR1", number)
    assert_same_end(desk, number, trained_by_two, restarts=1)


@pytest.mark.long
def test_signals_to_the_batch_script_are_handed_on(desk: Desk, trained_by_two: Trained) -> None:
    """It is submitted from another folder besides; the log is in the repository all the same."""
    elsewhere = desk.folder / "docs"
    number = desk.submit(*TWO, "../slurm_scripts/train_slurm.sh", str(EPOCHS), *TINY, cwd=elsewhere)
    desk.wait_for_epoch(number)
    desk.cluster.ask("scancel", "--signal=USR1", "--batch", number)
    assert_same_end(desk, number, trained_by_two, restarts=1)
    assert not list(elsewhere.glob("slurm*"))


@pytest.mark.long
def test_a_reader_of_audio_survives_what_ends_the_job(desk: Desk, trained_by_two: Trained) -> None:
    """One task on two cores has a reader; SLURM sends SIGTERM to each process of a step."""
    options = ("--ntasks=1", "--gres=gpu:8", "--cpus-per-task=2")
    number = desk.train(50, *TINY, "misc.num_workers=1", options=options)
    desk.wait_for_epoch(number)
    desk.cluster.ask("scancel", "--signal=TERM", number)
    desk.wait_for(number, lambda: desk.cluster.job(number).restarts == 1)
    desk.cluster.ask("scancel", number)
    desk.wait(number)
    assert "1 reader(s)" in desk.log
    assert STOPPED in desk.log
    assert "Traceback" not in desk.log


@pytest.mark.long
def test_the_time_limit_queues_the_job_again(desk: Desk, trained_by_two: Trained) -> None:
    """The limit is lowered once the run is within an epoch, and raised when SLURM has warned of it,
    which looks every 30 s: so nothing depends on how fast this machine is. One task is held
    meanwhile, and the job has twenty minutes to save, of which it needs seconds.
    """
    number = desk.train(EPOCHS, *TINY, options=(*TWO, "--time=60", "--signal=USR1@1200"))
    desk.wait_for_epoch(number)
    slow = task_processes(number)[1]

    def is_warned() -> bool:  # SLURM may let go on what it signals, and then the job ends at once
        return awaits(slow, signal.SIGUSR1) or desk.cluster.job(number).restarts == 1

    with held(slow):
        desk.cluster.ask("scontrol", "update", f"JobId={number}", "TimeLimit=20")
        desk.wait_for(number, is_warned)
    desk.cluster.ask("scontrol", "update", f"JobId={number}", "TimeLimit=60")
    assert_same_end(desk, number, trained_by_two, restarts=1)


@pytest.mark.long
def test_scancel_ends_a_job_that_continue_goes_on_with(desk: Desk, trained_by_two: Trained) -> None:
    number = desk.train(EPOCHS, *TINY, options=TWO)
    desk.wait_for_epoch(number)
    desk.cluster.ask("scancel", number)
    job = desk.wait(number)
    assert (job.state, job.restarts) == ("CANCELLED", 0)
    assert desk.experiment.epochs_done < EPOCHS

    signature = trained_by_two.experiment.signature
    again = desk.submit(*TWO, "slurm_scripts/continue_run_slurm.sh", signature)
    assert_same_end(desk, again, trained_by_two, restarts=0)
    assert desk.cluster.job(number).state == "CANCELLED", "it was queued again after all"


@pytest.mark.long
def test_a_task_that_dies_ends_the_job_with_an_error(desk: Desk) -> None:
    number = desk.train(EPOCHS, *TINY, options=TWO)
    desk.wait_for_epoch(number)
    desk.type("kill", "-KILL", str(task_processes(number)[1]))
    job = desk.wait(number)
    assert (job.state, job.restarts) == ("FAILED", 0)
    errors = {line.partition("error: ")[2] for line in desk.log.splitlines() if "error: " in line}
    assert any("another process" in error for error in errors), desk.log
    assert "Traceback" not in desk.log
    assert not task_processes(number)


def test_an_error_in_one_task_ends_the_job_and_its_readers(desk: Desk) -> None:
    faulty = ("model=faulty", "svd.penalty=0", "misc.num_workers=3")
    number = desk.submit(
        *TWO, "slurm_scripts/train_slurm.sh", str(EPOCHS), *TINY, *faulty,
        PYTHONPATH=str(ROOT / "tests" / "integration"), DEMUCS_PLUGINS="faults",
        DEMUCS_FAULT="forward", DEMUCS_FAULT_RANK="1",
    )  # fmt: skip
    job = desk.wait(number)
    deadline = time.monotonic() + 10
    while task_processes(number) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not task_processes(number), "tasks or readers are left"
    assert (job.state, job.exit_code, job.restarts) == ("FAILED", 1, 0)
    assert "error: RuntimeError: fault in forward" in desk.log
    assert "another process ended" in desk.log
    assert "3 reader(s)" in desk.log


def test_tasks_that_srun_did_not_start_are_refused(desk: Desk) -> None:
    """One process, or eight independent ones, would train in place of eight together."""
    command = f"python3 -m demucs.train model=hdemucs {' '.join(TINY)}"
    number = desk.submit("--ntasks=8", "--output=alone.out", "--wrap", command)
    job = desk.wait(number)
    assert job.state == "FAILED"
    (line,) = (desk.folder / "alone.out").read_text().splitlines()
    assert line.startswith("error: ")
    assert "srun" in line
    assert not list(desk.folder.glob("outputs/**/checkpoint.th"))


def assert_same_end(desk: Desk, number: str, trained: Trained, *, restarts: int) -> None:
    """The job ends as the undisturbed one did, after it was stopped within an epoch."""
    job = desk.wait(number)
    assert (job.state, job.exit_code, job.restarts) == ("COMPLETED", 0, restarts), desk.log
    assert STOPPED in desk.log
    assert desk.experiment.signature == trained.experiment.signature
    assert differences(desk.experiment, trained.experiment) == []


def test_a_run_of_the_public_solver_is_continued_by_two_tasks(desk: Desk) -> None:
    folder = unpack("hdemucs", desk.folder / "outputs")
    original = (folder / "checkpoint.th").read_bytes()
    number = desk.submit(*TWO, "slurm_scripts/continue_run_slurm.sh", folder.name)
    job = desk.wait(number)
    assert job.state == "COMPLETED", desk.log
    record = desk.experiment.record
    assert (record["signature"], record["processes"]) == (folder.name, 2)
    assert (record["state"], desk.experiment.epochs_done) == ("finished", 3)
    assert f"{folder.name} was trained by the public Demucs" in desk.log
    assert (folder / "checkpoint.public.th").read_bytes() == original
