"""`python3 -m tools.status`: what each experiment is doing, with and without SLURM."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from demucs.console import duration, table, without_common
from demucs.experiment import queue as _queue
from demucs.experiment import run_state as _states
from demucs.experiment.record import RunRecord
from demucs.experiment.run_state import is_alive, parse_time
from tools import status

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIG = (
    "dset:\n  metric: no\nepochs: 40\ntest:\n  every: 20\n  metric: nsdr\noptim:\n  epochs: 9\n"
)
LOG = (
    "[2026-01-02 03:04:05,678][demucs.training.solver][INFO] - epoch 1/40 | going well\n"
    "\x1b[36m[2026-01-02 03:05:06,789]\x1b[0m[demucs.training.solver][INFO] - train 2/40 | 7/9\n\n"
)


def ago(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() - seconds, timezone.utc).isoformat(timespec="seconds")


def epoch(best: float, seconds: float = 100.0) -> dict[str, Any]:
    return {
        "train": {"loss": 0.5},
        "valid": {"loss": 0.2, "best": best, "bname": "main"},
        "seconds": {"train": seconds, "valid": 10.0},
    }


class Desk:
    """An outputs folder, and a SLURM that says what it is told."""

    def __init__(self, folder: Path) -> None:
        self.outputs = folder / "outputs"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)

    def experiment(
        self,
        signature: str,
        *bests: float,
        history: str | None = None,
        argv: tuple[str, ...] = ("epochs=40", "model=hdemucs"),
        **record: Any,
    ) -> Path:
        folder = self.outputs / "xps" / signature
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".argv.json").write_text(json.dumps(argv))
        (folder / ".hydra" / "config.yaml").write_text(CONFIG)
        (folder / "train.log").write_text(LOG)
        text = json.dumps([epoch(best) for best in bests]) if history is None else history
        (folder / "history.json").write_text(text)
        if record:
            usual = dict(name="model=hdemucs", epochs=40, epoch=len(bests), started=ago(1000))
            made = RunRecord(signature=signature, **{**usual, "updated": ago(0), **record})
            (folder / "run.json").write_text(json.dumps(asdict(made)))
        return folder

    def slurm(self, *jobs: str, also: str = "") -> None:
        """`jobs` are this user's lines of squeue; `also` is what it says of jobs by number."""
        lines = "\n".join(jobs)
        script = self.bin / "squeue"
        script.write_text(
            f"#!/bin/sh\ncase \"$*\" in *--jobs*) echo '{also}' ;; *) echo '{lines}' ;; esac\n"
        )
        script.chmod(0o755)

    def rows(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
        assert status.main(["--json", *arguments]) == 0
        return {row["signature"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path)
    monkeypatch.setenv("DEMUCS_OUTPUTS", str(made.outputs))
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.delenv("COLUMNS", raising=False)
    return made


def test_a_row_has_everything(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.experiment(
        "aaaa0001", 3.0, 5.0, 5.0, job_id="12", seconds_per_epoch=3600.0, updated=ago(600)
    )
    desk.slurm("12|12|RUNNING|None||demucs_train")
    assert status.main([]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "SIG"
    cells = [cell for cell in row.split("  ") if cell]
    assert [cell.strip() for cell in cells] == [
        "aaaa0001", "model=hdemucs", "3/40", "nsdr 5.00 dB @2", "1 d 13 h", "12", "running",
        "03:05:06 train 2/40 | 7/9",
    ]  # fmt: skip


def test_what_slurm_says_of_jobs(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.slurm(
        "7_3|9|RUNNING|None||demucs_array",
        "7_4|7|PENDING|Resources||demucs_array",
        "20|20|PENDING|BeginTime||demucs_train",
        "21|21|TIMEOUT|TimeLimit||demucs_train",
        "22|22|SUSPENDED|None||demucs_train",
        "23|23|RUNNING|None||demucs_train",
        also="30|30|RUNNING|None||of_another_user",
    )
    array = dict(array_job_id="7", array_task_id="3", job_id="9")
    desk.experiment("a_array_", 1.0, **array)
    desk.experiment("b_queued", 1.0, job_id="20")  # queued again: what it wrote is of before
    desk.experiment("c_killed", 1.0, job_id="21")
    desk.experiment("d_paused", 1.0, job_id="22")
    desk.experiment("e_failed", 1.0, job_id="23", state="failed", message="no\n more disk")
    desk.experiment("f_others", 1.0, job_id="30")
    desk.experiment("g_gone__", 1.0, job_id="99")
    desk.experiment("h_told__", 1.0, job_id="98", state="stopped")
    desk.experiment("i_done__", 1.0, job_id="97", state="finished")
    folder = desk.experiment("j_submit")
    (folder / "job.json").write_text(json.dumps({"job_id": "7_4"}))
    for name, record in {"k_again_": dict(job_id="21", state="stopped"), "l_old___": {}}.items():
        folder = desk.experiment(name, 1.0, **record)
        (folder / "job.json").write_text(json.dumps({"job_id": "23"}))
    rows = desk.rows(capsys)
    assert {name: (row["state"], row["detail"], row["job"]) for name, row in rows.items()} == {
        "a_array_": ("running", None, "7_3"),
        "b_queued": ("pending", "BeginTime", "20"),
        "c_killed": ("dead", "job timeout", "21"),
        "d_paused": ("suspended", None, "22"),
        "e_failed": ("failed", None, "23"),
        "f_others": ("running", None, "30"),
        "g_gone__": ("dead", "its job is gone", "99"),
        "h_told__": ("stopped", None, "98"),
        "i_done__": ("finished", None, "97"),
        "j_submit": ("pending", "Resources", "7_4"),
        "k_again_": ("starting", None, "23"),
        "l_old___": ("running", None, "23"),
    }
    assert rows["e_failed"]["last_line"] == "no more disk"
    words = [row["state"] for row in rows.values()]
    active = ["running", "running", "running", "starting", "pending", "pending", "suspended"]
    assert words[: len(active)] == active
    assert list(desk.rows(capsys, "--running")) == list(rows)[: len(active)]


def test_jobs_that_are_no_experiments_yet(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.slurm(
        "12|12|RUNNING|None||demucs_train",
        "13|13|PENDING|Dependency||demucs_release",
        "14|14|COMPLETED|None||demucs_evaluate",
        "15|15|RUNNING|None||something_else",
    )
    desk.experiment("aaaa0001", job_id="12")
    assert status.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "",
        "Other jobs in the queue:",
        "  13  demucs_release  pending (Dependency)",
    ]


def test_without_slurm_the_process_tells(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    here = socket.gethostname()
    desk.experiment("aaaa0001", 1.0, host=here, pid=os.getpid(), started=ago(0))
    desk.experiment("aaaa0002", 1.0, host=here, pid=2**22 + 1)
    desk.experiment("aaaa0003", 1.0, host="elsewhere", pid=1)
    desk.experiment("aaaa0004", 1.0, host=here, pid=os.getpid(), started=ago(1e8))
    desk.experiment("aaaa0005", 1.0, job_id="12", host="elsewhere", pid=1)
    rows = desk.rows(capsys)
    assert {name: (row["state"], row["detail"]) for name, row in rows.items()} == {
        "aaaa0001": ("running", None),
        "aaaa0002": ("dead", "its process is gone"),
        "aaaa0003": ("running", "on elsewhere, as its record says"),
        "aaaa0004": ("dead", "its process is gone"),  # the number is another process's by now
        "aaaa0005": ("running", "on elsewhere, as its record says"),
    }


def test_a_process_that_ended_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = ago(0)
        assert is_alive(process.pid, started)
        assert not is_alive(process.pid, ago(3600))
        assert is_alive(process.pid, "no time")
        process.communicate(b"\n")
    assert not is_alive(process.pid, started)
    assert not is_alive(0, started)


def test_another_users_process_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_alive(os.getpid(), ago(0))
    monkeypatch.setattr(_states, "_process_start", lambda pid: None)  # a system without /proc
    assert is_alive(os.getpid(), ago(1e8))


def test_experiments_of_before_run_json(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.experiment("aaaa0001", 2.0, 1.0)
    desk.experiment("aaaa0002", *range(40))
    empty = desk.experiment("aaaa0003")
    for name in (".hydra/config.yaml", "train.log", "history.json"):
        (empty / name).unlink()
    (desk.outputs / "xps" / "aaaa0004").mkdir()
    rows = desk.rows(capsys)
    assert {name: (row["state"], row["epoch"], row["epochs"]) for name, row in rows.items()} == {
        "aaaa0001": ("unfinished", 2, 40),
        "aaaa0002": ("finished", 40, 40),
        "aaaa0003": ("new", 0, 40),
        "aaaa0004": ("new", 0, None),
    }
    first = rows["aaaa0001"]
    assert (first["metric"], first["best"], first["best_epoch"]) == ("nsdr", 1.0, 2)
    assert (first["name"], first["seconds_per_epoch"]) == ("epochs=40 model=hdemucs", 110.0)
    assert first["seconds_left"] == 38 * 110.0
    assert status.main(["aaaa0004"]) == 0
    assert "0/?" in capsys.readouterr().out


def test_a_job_of_a_grid_that_ended_before_it_trained(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = desk.experiment("aaaa0001")
    (folder / "train.log").unlink()
    (folder / "job.json").write_text(json.dumps({"job_id": "7_0"}))
    (folder / "latest").mkdir()
    (folder / "latest" / "7_0_0_log.out").write_text("starting\r  50%\rsrun: error: no GPU\n")
    desk.slurm("7_0|7|FAILED|NonZeroExitCode||demucs_array")
    (row,) = desk.rows(capsys).values()
    assert (row["state"], row["detail"], row["job"]) == ("dead", "job failed", "7_0")
    assert row["last_line"] == "srun: error: no GPU"


@pytest.mark.parametrize(
    ("history", "word"),
    [
        ("", "history.json cannot be read: Expecting value"),
        ('[{"train": {', "history.json cannot be read: Expecting"),
        ('{"train": 1}', "history.json cannot be read: it holds no list"),
        ('[1, {"valid": 2}]', None),
        ('[{"valid": {"best": NaN}}]', None),
    ],
)
def test_a_broken_history_is_said_in_its_row(
    desk: Desk, capsys: pytest.CaptureFixture[str], history: str, word: str | None
) -> None:
    desk.experiment("aaaa0001", history=history, state="stopped", epoch=5)
    desk.experiment("aaaa0002", 1.0, state="stopped")
    rows = desk.rows(capsys)
    problem = rows["aaaa0001"]["problem"]
    assert problem is None if word is None else problem.startswith(word)
    assert (rows["aaaa0001"]["epoch"], rows["aaaa0001"]["best"]) == (5, None)
    assert status.main([]) == 0
    shown = capsys.readouterr().out
    assert (word or "train 2/40") in shown
    assert "nsdr 1.00 dB @1" in shown


def test_a_broken_record_is_said_in_its_row(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    (desk.experiment("aaaa0001", 1.0) / "run.json").write_text('{"schema": "of tomorrow"}')
    unreadable = desk.experiment("aaaa0002", 1.0) / "history.json"
    unreadable.unlink()
    unreadable.mkdir()
    rows = desk.rows(capsys)
    assert rows["aaaa0001"]["problem"].startswith("run.json cannot be read")
    assert rows["aaaa0001"]["state"] == "unfinished"
    assert rows["aaaa0002"]["problem"].startswith("history.json cannot be read")


def test_signatures_by_their_beginning(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    for signature in ("aaaa0001", "aaaa0002", "bbbb0001", "cccc0001"):
        desk.experiment(signature)
    assert sorted(desk.rows(capsys, "aaaa", "bbbb0001")) == ["aaaa0001", "aaaa0002", "bbbb0001"]
    assert status.main(["aaaa", "dddd"]) == 1
    error = capsys.readouterr().err
    assert "no experiment dddd" in error
    assert "bbbb0001" in error
    assert "--dora_dir" in error


def test_nothing_to_show(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main([]) == 0
    assert "python3 -m demucs.train" in capsys.readouterr().out
    assert desk.rows(capsys) == {}
    desk.experiment("aaaa0001", state="finished")
    assert status.main(["--running"]) == 0
    assert "No experiment runs or waits." in capsys.readouterr().out
    assert status.main(["--dora_dir", str(desk.outputs / "none")]) == 0
    assert str(desk.outputs / "none") in capsys.readouterr().out


def test_a_slurm_that_does_not_answer(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.experiment("aaaa0001", job_id="12", host="elsewhere")
    desk.slurm()
    (desk.bin / "squeue").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    monkeypatch.setattr(_queue, "PATIENCE", 0.2)
    assert status.main(["--json"]) == 0
    shown = capsys.readouterr()
    assert "squeue did not answer within 0.2 s" in shown.err
    assert json.loads(shown.out)[0]["state"] == "running"
    (desk.bin / "squeue").write_text("#!/bin/sh\nexit 1\n")  # installed, and not set up
    assert desk.rows(capsys)["aaaa0001"]["state"] == "running"


def test_looking_again_and_again(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.experiment("aaaa0001")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    assert status.main(["--watch", "30"]) == 130
    assert slept == [30, 30]
    assert capsys.readouterr().out.count("aaaa0001") == 2
    assert status.main(["--watch", "0"]) == 1
    assert "--watch 0" in capsys.readouterr().err


def test_a_narrow_terminal_cuts_the_log_before_the_name(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.experiment("aaaa0001", name="model=hdemucs hdemucs.channels=32", state="stopped")
    desk.experiment("aaaa0002", name="model=hdemucs hdemucs.channels=64", state="stopped")
    (first / "train.log").write_text("x" * 500)
    monkeypatch.setenv("COLUMNS", "110")
    assert status.main([]) == 0
    common, *lines = capsys.readouterr().out.splitlines()
    assert common == "All with: model=hdemucs"
    assert max(map(len, lines)) <= 110
    assert "hdemucs.channels=32" in "".join(lines)
    assert any(line.endswith("x…") for line in lines)


def test_names_without_what_they_share() -> None:
    names = ["a=1 b=[1, 2] c", "b=[1, 2] a=1 d=x", "a=1 e b=[1, 2]"]
    assert without_common(names) == (["c", "d=x", "e"], "a=1 b=[1, 2]")
    assert without_common(["a=1"]) == (["a=1"], "")
    assert without_common([]) == ([], "")


def test_columns_give_way_down_to_a_minimum() -> None:
    text = table(("A", "B"), [("a" * 30, "b" * 30)], 40, (1, 0))
    assert [len(cell) for cell in text.splitlines()[1].split("  ")] == [22, 16]
    assert table(("A", "B"), [("a" * 30, "b")], None, ()).splitlines()[1] == "a" * 30 + "  b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3599, "1 h 0 min"),
        (7260, "2 h 1 min"), (86399, "1 d 0 h"), (86400, "1 d 0 h"), (200000, "2 d 8 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_times_are_utc() -> None:
    assert parse_time("1970-01-01T00:01:00") == 60
    assert parse_time("1970-01-01T00:01:00Z") == 60
    assert parse_time("1970-01-01T01:01:00+01:00") == 60
    assert parse_time("yesterday") is None


def test_a_reader_that_has_seen_enough(desk: Desk) -> None:
    for number in range(400):
        desk.experiment(f"{number:08d}")
    command = [sys.executable, "-m", "tools.status", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_no_torch_and_no_hydra_is_loaded() -> None:
    code = (
        "import sys, tools.status\n"
        "heavy = {'torch', 'hydra', 'omegaconf', 'dora', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_job_that_waits_belongs_to_the_experiment_it_was_submitted_for(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.experiment("aaaaaaaa", 0.3, state="stopped", job_id="11")
    desk.slurm(
        "40|40|PENDING|Priority|demucs aaaaaaaa|demucs_continue",
        "41|41|PENDING|Priority|demucs bbbbbbbb|demucs_train",
    )
    assert status.main(["--dora_dir", str(desk.outputs)]) == 0
    text = capsys.readouterr().out
    (row,) = [line for line in text.splitlines() if line.startswith("aaaaaaaa")]
    assert "40" in row
    assert "pending (Priority)" in row
    assert "  41  demucs_train of bbbbbbbb  pending (Priority)" in text
    assert "  40  " not in text.split("Other jobs")[1]
