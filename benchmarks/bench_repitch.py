"""Repitching the stems of an example: a soundstretch for each through files, and the ways since.

    python3 benchmarks/bench_repitch.py [--rounds 15] [--stems 4] [--seconds 11] [--json FILE]

The ways take turns in one process, so that a change of the machine's speed meets all of them.
Prints for each the median of wall time, of processor time (with that of the processes it starts),
and the wall time of the first way divided by its own. All SoundTouch ways must give the same
samples. Says how busy other jobs kept the machine meanwhile.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import record
import soundfile
import torch
from torch import Tensor

from demucs.data.augment import Stretch
from demucs.data.repitch import HEADROOM, Engine, Job, Repitcher
from demucs.data.repitch.builtin import BuiltIn
from demucs.data.repitch.library import SoundTouchLibrary
from demucs.data.repitch.program import SoundStretch

RATE = 44100
STRETCHES = (Stretch(5.25, 1), Stretch(-7.5, -2), Stretch(11.0, 0), Stretch(-1.5, 2))
QUIET = 0.1  # cores that other jobs keep busy, above which they spoil the numbers

Way = Callable[[Sequence[Job]], list[Tensor]]


def through_files(jobs: Sequence[Job]) -> list[Tensor]:
    """The old way, and the plain one: a file, a process, a file, one stem after the other."""
    done = []
    for job in jobs:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.wav", Path(folder) / "out.wav"
            gain = HEADROOM / float(job.wav.abs().max())
            soundfile.write(source, (job.wav * gain).T.numpy(), RATE, subtype="PCM_32")
            command = ["soundstretch", str(source), str(target)]
            command += [f"-tempo={job.stretch.tempo:.6f}", f"-pitch={job.stretch.pitch}"]
            command += ["-speech"] if job.speech else []
            subprocess.run(command, check=True, capture_output=True)
            read, _ = soundfile.read(target, dtype="int32", always_2d=True)
        wav = torch.from_numpy(read.T.astype(np.float32) / 2**31)[:, : job.frames] / gain
        done.append(torch.nn.functional.pad(wav, (0, job.frames - wav.shape[1])))
    return done


def by(engine: Engine, *, together: bool) -> Way:
    """All jobs in one call, or one call for each."""
    repitch = Repitcher(engine)
    if together:
        return lambda jobs: repitch(jobs, RATE)
    return lambda jobs: [repitch([job], RATE)[0] for job in jobs]


def ways(threads: int) -> dict[str, Way]:
    """What this machine can compare, the old way first."""
    program, library = SoundStretch.find(), SoundTouchLibrary.find()
    if program is None:
        sys.exit("error: soundstretch is not on PATH, nothing to compare with: apt install it")
    ways: dict[str, Way] = {
        "program, files, one by one (old)": through_files,
        "program, pipes, one by one": by(program, together=False),
        "program, pipes, all at once": by(program, together=True),
    }
    if library is not None:
        ways["library, one by one"] = by(library, together=False)
        ways[f"library, one call, {threads} threads"] = by(library, together=True)
    ways["own code"] = by(BuiltIn(), together=True)
    return ways


def examples(stems: int, seconds: float) -> list[Job]:
    """Noise that comes and goes over gliding tones, a job for each stem, the last one speech."""
    random = torch.Generator().manual_seed(0)
    frames = round(seconds * RATE)
    jobs = []
    for stem in range(stems):
        stretch = STRETCHES[stem % len(STRETCHES)]
        needed = Repitcher.frames_needed(frames, stretch)
        clock = torch.arange(needed) / RATE
        glide = torch.sin(2 * torch.pi * (150 * (stem + 1) + 20 * torch.sin(clock)) * clock)
        noise = torch.randn(2, needed, generator=random) * (torch.sin(14 * clock) > 0)
        jobs.append(Job(0.3 * glide + 0.1 * noise, stretch, frames, speech=stem == stems - 1))
    return jobs


def processor_seconds() -> float:
    """Processor time of this process and of those it waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def busy_seconds() -> float:
    """Processor time of the whole machine, all cores; NaN where the system does not say."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0]
    except OSError:
        return float("nan")
    user, nice, system, _, _, interrupts, soft = (int(word) for word in first.split()[1:8])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def measure(
    compared: dict[str, Way], jobs: Sequence[Job], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Wall and processor milliseconds of each round, after one that does not count."""
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in compared}
    for number in range(rounds + 1):
        for name, way in compared.items():
            wall, used = time.perf_counter(), processor_seconds()
            way(jobs)
            if number:
                taken[name][0].append(1000 * (time.perf_counter() - wall))
                taken[name][1].append(1000 * (processor_seconds() - used))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="default: 15")
    parser.add_argument("--stems", type=int, default=4, help="default: 4")
    parser.add_argument("--seconds", type=float, default=11.0, help="of each stem; default: 11")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    compared, jobs = ways(options.threads), examples(options.stems, options.seconds)
    reference = through_files(jobs)
    for name, way in compared.items():
        if "own code" not in name and not all(map(torch.equal, way(jobs), reference)):
            sys.exit(f"error: {name} does not give the samples of the old way")
    began, processor, everything = time.perf_counter(), processor_seconds(), busy_seconds()
    taken = measure(compared, jobs, options.rounds)
    processor, everything = processor_seconds() - processor, busy_seconds() - everything
    others = (everything - processor) / (time.perf_counter() - began)

    print(f"{len(jobs)} stereo stems of {options.seconds:g} s, median of {options.rounds} rounds")
    print(f"{'':36} {'wall ms':>9} {'cpu ms':>9} {'old/this':>9}")
    old = statistics.median(next(iter(taken.values()))[0])
    for name, (walls, used) in taken.items():
        wall = statistics.median(walls)
        print(f"{name:36} {wall:9.1f} {statistics.median(used):9.1f} {old / wall:9.2f}")
    title = f"repitching {len(jobs)} stereo stems of {options.seconds:g} s"
    walls = {name: wall for name, (wall, _) in taken.items()}
    table = record.table(title, "ms", walls, next(iter(taken)))
    record.write(options.json, "bench_repitch", [table])
    print("the program's and the library's samples are equal, bit by bit")
    quiet = "quiet" if others < QUIET else "NOT QUIET, do not quote these numbers"
    print(f"{os.cpu_count()} cores, other jobs kept {others:.2f} of them busy: {quiet}")


if __name__ == "__main__":
    main()
