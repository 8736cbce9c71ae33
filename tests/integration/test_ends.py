"""An error or a signal ends a run: its message, its exit code, and nothing left of it."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demucs.training import load_checkpoint
from tests.integration import ends

# The modules that are commands, but for those that are shown with another one.
COMMANDS = sorted(
    ".".join(path.relative_to(ends.REPOSITORY).with_suffix("").parts)
    for folder in ("demucs", "tools")
    for path in (ends.REPOSITORY / folder).glob("*.py")
    if '\nif __name__ == "__main__":\n' in path.read_text(encoding="utf-8")
)
SAVES = {"demucs.train", "demucs.train_quality", "tools.distil"}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Songs, by whether one of them is broken."""
    root = tmp_path_factory.mktemp("songs")
    return {broken: ends.write_songs(root / str(broken), broken=broken) for broken in (False, True)}


def trained(songs: dict[bool, Path], folder: Path, fault: str, readers: int) -> ends.Ended:
    used = songs[fault == "nan"]
    args = ends.command("demucs.train", folder, used, *ends.TINY, f"misc.num_workers={readers}")
    return ends.ended(args, folder, fault)


@pytest.mark.parametrize(
    ("fault", "readers"),
    [
        ("nan", 1),
        ("forward", 4),
        ("backward", 1),
        ("valid", 1),
        ("test", 0),
        ("diverged", 1),
        ("memory", 4),
        ("interrupt", 1),
        ("reader", 4),
    ],
)
def test_a_fault_ends_the_run_and_its_readers(
    songs: dict[bool, Path], tmp_path: Path, fault: str, readers: int
) -> None:
    done = trained(songs, tmp_path, fault, readers)
    assert ends.problems(fault, done, songs[fault == "nan"]) == []


def test_a_full_disk_leaves_the_checkpoint_before(songs: dict[bool, Path], tmp_path: Path) -> None:
    done = trained(songs, tmp_path, "checkpoint", 1)
    assert ends.problems("checkpoint", done, songs[False]) == []
    assert "the checkpoint before it is intact" in done.output
    (path,) = tmp_path.glob("outputs/xps/*/checkpoint.th")
    assert load_checkpoint(path)["epoch"] == 0  # it was saved before the first test
    assert trained(songs, tmp_path, "", 1).code == 0
    assert load_checkpoint(path)["epoch"] == 2


@pytest.mark.long
def test_one_process_of_two_ends_the_other(songs: dict[bool, Path], tmp_path: Path) -> None:
    args = ends.command("tools.launch", tmp_path, songs[False], "2", *ends.TINY)
    done = ends.ended([*args, "misc.num_workers=1"], tmp_path, "forward", rank=1)
    assert ends.problems("forward", done, songs[False]) == []


def started(args: list[str], folder: Path) -> "subprocess.Popen[str]":
    """A command in a session of its own that hears SIGINT and SIGHUP, whoever started the tests."""
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        return subprocess.Popen(
            args, cwd=folder, env=ends.environment(folder), text=True, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def has_begun(process: "subprocess.Popen[str]") -> bool:
    """Whether its first line has run: it answers SIGHUP, too."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(mask & 1 << (signal.SIGHUP - 1))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_ends_each_command_from_its_first_line_on(name: str, tmp_path: Path) -> None:
    place = COMMANDS.index(name)
    number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[place % 3]
    process = started([sys.executable, "-m", name, "--help"], tmp_path)
    while not has_begun(process):
        assert process.poll() is None, "it answers no signal"
        time.sleep(0.001)
    time.sleep(place % 7 * 0.005)
    process.send_signal(number)
    _, err = process.communicate(timeout=ends.LEFT)
    stopped = 85 if name in SAVES and number != signal.SIGINT else 128 + number
    if process.returncode == 0:  # it had told its help already
        assert err == ""
        return
    assert process.returncode == stopped
    (line,) = err.splitlines()
    assert line.startswith("interrupted" if number == signal.SIGINT else "asked to end (")
    assert ends.left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "numbers", "code", "words"),
    [
        ("hang", [signal.SIGINT], 130, "interrupted; the same command continues"),
        ("deaf", [signal.SIGTERM, signal.SIGTERM], 143, "and no step ended since"),
    ],
)
def test_a_run_that_is_stuck_ends(
    songs: dict[bool, Path],
    tmp_path: Path,
    fault: str,
    numbers: list[signal.Signals],
    code: int,
    words: str,
) -> None:
    """SIGTERM is noted at first; another one ends a run that comes to no end of its step."""
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(trained, songs, tmp_path, fault, 2)
        while not (tmp_path / ends.MARK).exists():
            assert not run.done()
            time.sleep(0.02)
        for number in numbers:
            time.sleep(1.2)
            for process in ends.processes_in(tmp_path):  # as a scheduler does
                os.kill(process, number)
        done = run.result()
    assert (done.code, done.left) == (code, 0)
    assert words in done.output
    assert "Traceback" not in done.output
