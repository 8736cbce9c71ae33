"""Folders of experiments: who holds them, and what is written of a run."""

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from demucs.errors import ConfigError, DemucsError
from demucs.experiment.environment import describe
from demucs.experiment.record import (
    LOCK,
    RUN,
    RunRecord,
    locked,
    outputs_folder,
    recorded,
    with_checkpoint,
)
from demucs.process.signals import Interrupted

FIELDS = {
    "schema", "signature", "name", "epochs", "epoch", "state", "message", "job_id", "array_job_id",
    "array_task_id", "restarts", "host", "pid", "processes", "started", "updated",
    "seconds_per_epoch", "log", "environment",
}  # fmt: skip
HOLD = """
import sys
from pathlib import Path
from demucs.errors import DemucsError
from demucs.experiment.record import locked
try:
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except DemucsError as error:
    print(error)
"""


def record(**environ: str) -> RunRecord:
    return RunRecord.begin(signature="abc", name="epochs=9", epochs=9, processes=8, environ=environ)


def holder(folder: Path) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(folder)]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_run_is_recorded_as_agreed(tmp_path: Path) -> None:
    began = record(
        SLURM_JOB_ID="71", SLURM_ARRAY_JOB_ID="70", SLURM_ARRAY_TASK_ID="1", SLURM_RESTART_COUNT="2"
    )
    began.advance(tmp_path, [{"seconds": {"train": float(k), "valid": 1.0}} for k in range(7)])
    content = json.loads((tmp_path / RUN).read_text())
    assert content.keys() == FIELDS
    expected = {
        "schema": "demucs-run-1", "epoch": 7, "epochs": 9, "state": "running", "message": None,
        "job_id": "71", "array_job_id": "70", "array_task_id": "1", "restarts": 2,
        "pid": os.getpid(), "processes": 8, "seconds_per_epoch": 5.0, "log": "train.log",
    }  # fmt: skip
    assert expected.items() <= content.items()
    assert content["started"] <= content["updated"]
    assert RunRecord.read(tmp_path) == began


def test_an_environment_names_machine_versions_and_devices() -> None:
    found = describe(["card 0"])
    assert found["devices"] == ["card 0"]
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["torch"] == metadata.version("torch")
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert found["commit"] is None or len(found["commit"].removesuffix("+changes")) == 40
    json.dumps(found)


def test_without_slurm_and_epochs(tmp_path: Path) -> None:
    began = record()
    began.advance(tmp_path, [])
    assert (began.job_id, began.restarts, began.seconds_per_epoch) == (None, 0, None)


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"schema": "other"}'])
def test_what_cannot_be_read_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / RUN).write_text(text)
    assert RunRecord.read(tmp_path) is None


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (None, "finished", None),
        (Interrupted("stopped in epoch 2"), "stopped", "stopped in epoch 2"),
        (ConfigError("epochs=0"), "failed", "epochs=0"),
        (MemoryError("much"), "failed", "MemoryError: much"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt: "),
    ],
)
def test_the_end_of_a_run_is_recorded(
    tmp_path: Path, error: BaseException | None, state: str, message: str | None
) -> None:
    def run() -> None:
        with recorded(tmp_path, record(), (Interrupted, KeyboardInterrupt)):
            while_running = RunRecord.read(tmp_path)
            assert while_running is not None
            assert while_running.state == "running"
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)):
            run()
    found = RunRecord.read(tmp_path)
    assert found is not None
    assert (found.state, found.message) == (state, message)


def test_a_record_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / RUN).mkdir()
    record().save(tmp_path)
    assert "could not be written" in caplog.text


def test_a_second_run_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        assert first_line(first) == "held\n"
        record(SLURM_JOB_ID="71").save(tmp_path)
        before = (tmp_path / RUN).read_text()
        words = rf"is being trained already, by job 71, process {os.getpid()} on .*scancel 71"
        with pytest.raises(DemucsError, match=words), recorded(tmp_path, record(), ()):
            pass
        assert (tmp_path / RUN).read_text() == before, "the holder's record was overwritten"
        first.kill()
    with locked(tmp_path):
        assert first_line(holder(tmp_path)).startswith(f"the experiment {tmp_path.name} is being")
    with holder(tmp_path) as again:
        assert first_line(again) == "held\n"
        again.kill()


def test_a_holder_without_a_record_is_another_process(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        assert first_line(first) == "held\n"
        with pytest.raises(DemucsError, match="by another process: wait"), locked(tmp_path):
            pass
        first.kill()


def test_child_processes_have_no_part_in_the_lock(tmp_path: Path) -> None:
    """Readers of audio outlive a killed run by seconds, and must not keep the next one out."""
    code = f"""
import os, time
from pathlib import Path
from demucs.experiment.record import locked
with locked(Path({str(tmp_path)!r})):
    child = os.fork()
    if child == 0:
        os.close(1)
        time.sleep(600)
    else:
        print(child, flush=True)
        os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    child = int(done.stdout)
    try:
        with locked(tmp_path):
            assert (tmp_path / LOCK).exists()
    finally:
        os.kill(child, signal.SIGKILL)  # it was there until now


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with locked(tmp_path):
        assert "no file locks" in caplog.text


def test_a_lock_that_fails_otherwise_is_taken_as_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "lockf", fail)
    with pytest.raises(DemucsError, match="is being trained already"), locked(tmp_path):
        pass


def test_a_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with locked(tmp_path):
        assert "no file locks" in caplog.text


def test_where_experiments_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_OUTPUTS", str(tmp_path))
    assert outputs_folder() == tmp_path
    monkeypatch.delenv("DEMUCS_OUTPUTS")
    assert outputs_folder() == Path("outputs")
    for name in ("b", "a", "empty"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        (tmp_path / name / "checkpoint.th").touch()
    assert with_checkpoint(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("module", ["experiment.cluster", "experiment.record", "process.signals"])
def test_they_are_light(module: str) -> None:
    code = f"import sys, demucs.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
