"""How runs with faults end: their message, their exit code, and what is left of them.

`python -m tests.integration.ends FOLDER [FAULT ...]` tries each fault with each number of readers,
alone and under tools.launch, and prints a table; the tests beside try some of it.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.integration import warm

REPOSITORY = Path(__file__).resolve().parents[2]
RATE = 22050
PATIENCE = 240.0  # seconds for a run, on a machine with other work
MARK = "reached"  # a file in the folder of a run that has reached its fault
LEFT = 10.0  # seconds until nothing may be left of a run
TINY = (
    "model=faulty", f"dset.samplerate={RATE}", f"dset.musdb_samplerate={RATE}", "dset.segment=0.4",
    "dset.shift=0.1", "augment.repitch.proba=0", "augment.remix.group_size=2", "batch_size=2",
    "model_segment=0.5", "epochs=2", "test.sdr=false", "test.every=1",
)  # fmt: skip
# By fault: the exit code, and what standard error says.
FAULTS = {
    "nan": (1, "error: {songs}/train/train0/bass.wav holds samples that are NaN or infinite"),
    "forward": (1, "error: RuntimeError: fault in forward"),
    "backward": (1, "error: RuntimeError: fault in backward"),
    "valid": (1, "error: RuntimeError: fault in validation"),
    "test": (1, "RuntimeError: fault in the test"),
    "checkpoint": (1, "make room or allow writing there"),
    "diverged": (1, "error: training diverged"),
    "memory": (1, "error: out of memory: give a smaller batch_size or micro_batch"),
    "interrupt": (130, "interrupted; the same command continues from the last saved state"),
    "reader": (1, "error: a process that reads audio ended ("),
}
FIRST = {"checkpoint", "valid", "test"}  # which the first process alone does, of so few songs
TRACED = {"forward", "backward", "valid"}  # unforeseen, so their traceback is told


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code, its output, and how many processes it left."""

    code: int
    output: str
    left: int
    seconds: float


def write_songs(root: Path, *, broken: bool = False) -> Path:
    """Four songs to train on, one to validate and one to test, of a second.

    Args:
        root: the folder.
        broken: a stem of the first is not a number; its mixture, which is measured before, is.
    """
    noise = np.random.default_rng(0)
    for split, count in {"train": 4, "valid": 1, "test": 1}.items():
        for song in range(count):
            for source in ("drums", "bass", "other", "vocals"):
                wav = 0.1 * noise.standard_normal((RATE, 2)).astype(np.float32)
                path = root / split / f"{split}{song}" / f"{source}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                if broken and (split, song, source) == ("train", 0, "bass"):
                    soundfile.write(path.with_name("mixture.wav"), wav, RATE, subtype="FLOAT")
                    wav[:] = np.nan
                soundfile.write(path, wav, RATE, subtype="FLOAT")
    return root


def command(module: str, folder: Path, songs: Path, *arguments: str) -> list[str]:
    """The command that trains the tiny network on `songs`, in `folder`."""
    places = (f"dset.musdb={songs}", f"dset.metadata={folder / 'metadata'}")
    return [sys.executable, "-m", module, *arguments, *places]


def environment(folder: Path, fault: str = "", rank: int | None = None) -> dict[str, str]:
    """That of a command with a fault; its folder is where its processes are."""
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": path,
        "DEMUCS_PLUGINS": "tests.integration.faults",
        "DEMUCS_OUTPUTS": str(folder / "outputs"),
        "DEMUCS_FAULT": fault,
        "DEMUCS_FAULT_MARK": str(folder / MARK),
        **({} if rank is None else {"DEMUCS_FAULT_RANK": str(rank)}),
    }


def processes_in(folder: Path) -> list[int]:
    """The processes whose folder this is, of whatever group and parent."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def left_in(folder: Path, patience: float = LEFT) -> list[int]:
    """Processes that are still there after some seconds."""
    deadline = time.monotonic() + patience
    while (left := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def ended(args: list[str], folder: Path, fault: str, rank: int | None = None) -> Ended:
    """Runs a command in `folder` to its end.

    Raises:
        subprocess.TimeoutExpired: it did not end.
    """
    began = time.monotonic()
    done = warm.run(args, cwd=folder, env=environment(folder, fault, rank), timeout=PATIENCE)
    seconds = time.monotonic() - began
    left = left_in(folder)
    for number in left:
        os.kill(number, signal.SIGKILL)
    return Ended(done.returncode, done.stderr, len(left), seconds)


def problems(fault: str, done: Ended, songs: Path, expected: int | None = None) -> list[str]:
    """What is not as it should be in how a fault ended; empty if all is well."""
    code, words = FAULTS[fault]
    traced = "Traceback" in done.output
    found = []
    if done.code != (code if expected is None else expected):
        found.append(f"exit code {done.code}")
    if words.format(songs=songs) not in done.output:
        found.append(f"no message: {done.output[-300:]!r}")
    if traced != (fault in TRACED):
        found.append("a traceback" if traced else "no traceback")
    if done.left:
        found.append(f"{done.left} processes are left")
    return found


def matrix(root: Path, faults: Sequence[str]) -> None:
    """Faults with 0, 1 and 4 readers, alone and in one of two processes."""
    good, bad = write_songs(root / "songs"), write_songs(root / "broken", broken=True)
    for launched in (False, True):
        for fault in faults:
            for readers in (0, 1, 4):
                if fault == "reader" and not readers:
                    continue
                folder = Path(tempfile.mkdtemp(dir=root)).resolve()
                songs = bad if fault == "nan" else good
                module, count = ("tools.launch", ["2"]) if launched else ("demucs.train", [])
                args = command(module, folder, songs, *count, *TINY, f"misc.num_workers={readers}")
                try:
                    rank = int(fault not in FIRST) if launched else None
                    done = ended(args, folder, fault, rank)
                except subprocess.TimeoutExpired:
                    print(f"| {module} | {fault} | {readers} | it did not end |", flush=True)
                    continue
                wrong = problems(fault, done, songs)
                cells = (module, fault, readers, done.code, f"{done.seconds:.1f} s", done.left)
                found = "; ".join(wrong) or "as it should"
                print(f"| {' | '.join(map(str, cells))} | {found} |", flush=True)


if __name__ == "__main__":
    matrix(Path(sys.argv[1]).resolve(), sys.argv[2:] or list(FAULTS))
