"""What killed processes leave beside their results: it goes when those are written again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import demucs.files
from demucs.files import atomic_path, atomic_paths

WRITE = """
import os, sys
from pathlib import Path
from demucs.files import atomic_paths
with atomic_paths([Path(name) for name in sys.argv[1:]]) as files:
    for one in files:
        one.write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(*paths: Path) -> "subprocess.Popen[bytes]":
    """A process in the middle of writing `paths`."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, *map(str, paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def hidden(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name[0] == ".")


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    paths = [tmp_path / "drums.wav", tmp_path / "caf\udce9 (1).wav", tmp_path / "plain"]
    kill(writer(*paths, tmp_path / "another.wav"))
    assert len(hidden(tmp_path)) == 4
    with atomic_paths(paths) as files:
        assert len(hidden(tmp_path)) == 3 + 1  # ours, and of what is not written again
        for one in files:
            one.write_text("new")
    (left,) = hidden(tmp_path)
    assert left.startswith(".another.")
    assert [path.read_text() for path in paths] == ["new"] * 3
    with atomic_path(tmp_path / "another.wav") as one:
        one.write_text("new")
    assert not hidden(tmp_path)


def test_the_files_of_a_live_process_are_left(tmp_path: Path) -> None:
    path = tmp_path / "drums.wav"
    process = writer(path)
    with atomic_path(path) as one, atomic_path(path) as another:  # and those of this one
        one.write_text("one")
        another.write_text("another")
        assert len(hidden(tmp_path)) == 3
    assert len(hidden(tmp_path)) == 1
    process.communicate(b"")
    assert process.returncode == 0
    assert path.read_text() == "half"  # all it had
    assert not hidden(tmp_path)


@pytest.mark.parametrize("where", ["gethostname", "readlink"])
def test_the_files_of_other_machines_and_containers_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "readlink" and not Path("/proc/self/ns/pid").exists():
        pytest.skip("no pid namespaces on this system")
    kill(writer(tmp_path / "drums.wav"))
    module = demucs.files.socket if where == "gethostname" else demucs.files.os
    monkeypatch.setattr(module, where, lambda *_: "elsewhere")
    demucs.files._place.cache_clear()
    try:
        with atomic_path(tmp_path / "drums.wav") as one:
            one.write_text("new")
        assert len(hidden(tmp_path)) == 1
    finally:
        demucs.files._place.cache_clear()


def test_the_files_of_others_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(writer(tmp_path / "drums.wav"))

    def refuse(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    with atomic_path(tmp_path / "drums.wav") as one:
        one.write_text("new")
    assert len(hidden(tmp_path)) == 1


def test_what_was_kept_aside_goes_once_there_is_something_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "drums.wav", tmp_path / "vocals.wav"]
    for path in paths:
        path.write_text("old")
    code = (
        "import os, sys\nreplace, count = os.replace, iter(range(9))\n"
        "def stop(a, b):\n    replace(a, b)\n    if next(count) == 2: os.kill(os.getpid(), 9)\n"
        "os.replace = stop\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + WRITE, *map(str, paths)],
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert [path.exists() for path in paths] == [True, False]

    def kept() -> list[str]:
        return [(tmp_path / name).read_text() for name in hidden(tmp_path) if ".old-" in name]

    assert kept() == ["old", "old"]
    with pytest.raises(OSError, match="full"), atomic_paths(paths):
        raise OSError("full")
    assert kept() == ["old", "old"]  # nothing is lost before it is replaced
    with atomic_paths(paths) as files:
        for one in files:
            one.write_text("new")
    assert sorted(os.listdir(tmp_path)) == ["drums.wav", "vocals.wav"]
