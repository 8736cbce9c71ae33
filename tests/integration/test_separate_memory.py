"""The memory of the command does not grow with the file."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # where the benchmark finds what is beside it
spec = importlib.util.spec_from_file_location("bench_memory", BENCHMARKS / "bench_memory.py")
assert spec is not None
assert spec.loader is not None
bench_memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bench_memory)


def peak(folder: Path, minutes: float) -> float:
    """GB of resident memory, at most, with a network that needs none of its own."""
    bench_memory.make_song(folder / "song.wav", minutes)
    command = [sys.executable, str(BENCHMARKS / "memory_sides.py"), "stand-in"]
    done = subprocess.run(
        [*command, str(folder / "song.wav"), str(folder / "out")],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)},
    )  # fmt: skip
    return float(done.stdout.split()[-1])


@pytest.mark.long
def test_a_longer_file_needs_no_more_memory(tmp_path: Path) -> None:
    short, long = peak(tmp_path, 3), peak(tmp_path, 9)
    assert long < short + 0.1  # four stems of six minutes more are 0.5 GB
    assert long < 1.0
