"""Separation against others that run the same weights, on this machine's CPU: the public demucs
4.1.0, and demucs-infer 4.4.0, which is it without training.

    python3 benchmarks/bench_separation.py [--peer demucs=PYTHON] [--peer demucs_infer=PYTHON]
                                           [--rounds 7] [--seconds 10] [--file 60 [--mp3]]
                                           [--json FILE]

Each peer runs in an environment of its own: `--peer` names the python of one by package, otherwise
one is made in `--env` (pip, some minutes). Each side is a process that has the model loaded, and
they take turns, a forward pass each, so that a change of the machine's speed meets all. Prints the
median and the smallest time by the clock, the processor's seconds (the smallest), demucs' fp32
over each for the median and for the processor's, the SNR against demucs' stems,
the peak memory, and the share of the roofline: multiplications and additions of the network's
layers over what a product of large matrices reaches here in the same run.

Allocators: "ours" does what the `demucs` command does first, `return_large_blocks()` (glibc gives
blocks of 2 MiB and more back, and torch asks for huge pages); "ours, library" and the
peers leave that.

Other jobs spoil clock times: the load average is printed. On a machine that is never quiet set
OMP_WAIT_POLICY=PASSIVE, so that waiting threads use no processor, and compare processor seconds.

`--file` also times whole commands on one file of so many seconds, from process start to the last
stem written.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record
import torch
from separation_flops import flops
from side import Side
from side import environment as environment_of

from demucs.nn import HDemucs, ModelSpec
from demucs.nn.inference import has_bf16
from demucs.release import ReleaseInfo, save_release

SIDES = Path(__file__).with_name("separation_sides.py")
SOURCES = ["drums", "bass", "other", "vocals"]
PEERS = {
    "demucs": ["demucs==4.1.0", "torch==2.13.0", "torchaudio==2.11.0", "dora-search", "hydra-core",
               "soundfile", "lameenc"],
    "demucs_infer": ["demucs-infer==4.4.0", "torch==2.13.0", "lameenc"],
}  # fmt: skip
REFERENCE = "demucs, fp32"


def serving(python: str, side: str, precision: str, files: list[str]) -> Side:
    """A process that does a forward pass when it is told to."""
    command = [python, str(SIDES), "serve", side, precision, *files]
    return Side(command, SIDES.parent, environment(side))


def environment(side: str) -> dict[str, str]:
    """The caller's, but each side finds its own `demucs`."""
    huge = {"THP_MEM_ALLOC_ENABLE": "1"} if side.endswith("command") else {}
    return environment_of(not side.startswith("peer"), **huge)


def peer_python(folder: Path, package: str) -> str:
    """An environment with the peer, made if it is not there."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making an environment for {package} in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        index = ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", *index, *PEERS[package]], check=True
        )
        (folder / "complete").touch()
    return str(python)


def snr(reference: torch.Tensor, other: torch.Tensor) -> float:
    error = (reference.double() - other.double()).square().sum()
    return float(10 * torch.log10(reference.double().square().sum() / error))


def bench_forward(
    peers: dict[str, str], args: argparse.Namespace, work: Path, model: HDemucs
) -> dict[str, Any]:
    """Forward passes of all sides; the table for `record`."""
    mixture = str(work / "mixture.pt")
    torch.save(torch.randn(1, 2, round(args.seconds * 44100)) * 0.1, mixture)
    theirs = [str(work / "weights.pt"), mixture]
    ours = [str(work / "repo" / "bench.safetensors"), mixture]
    here = sys.executable
    sides = {
        f"{name}, fp32": serving(python, f"peer:{name}", "fp32", theirs)
        for name, python in peers.items()
    }
    sides |= {
        "ours, plain fp32": serving(here, "ours-plain-command", "fp32", ours),
        "ours, library, fp32": serving(here, "ours-fp32-library", "fp32", ours),
        "ours, fp32": serving(here, "ours-fp32-command", "fp32", ours),
    }
    if has_bf16():
        sides["demucs, bf16 autocast"] = serving(peers["demucs"], "peer:demucs", "bf16", theirs)
        sides["ours, library, bf16"] = serving(here, "ours-bf16-library", "bf16", ours)
        sides["ours, bf16"] = serving(here, "ours-bf16-command", "bf16", ours)
    stems = {}
    for index, side in enumerate(sides.values()):
        side.ask(f"save {work}/{index}.pt")  # the first pass is slower
        stems[index] = torch.load(f"{work}/{index}.pt", weights_only=True)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    used: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, side in sides.items():
            clock, processor = side.ask("forward")
            seconds[name].append(clock)
            used[name].append(processor)
    precision = {name: "bf16" if "bf16" in name else "fp32" for name in sides}
    peaks = {precision[name]: side.ask("peak") for name, side in sides.items()}
    memory = {name: side.ask("memory") for name, side in sides.items()}
    for side in sides.values():
        side.end()
    work_done = flops(model, round(args.seconds * 44100))
    print(f"forward pass of {args.seconds} s stereo, {work_done / 1e9:.0f} GFLOP; peak of a matrix")
    print(
        "product: " + ", ".join(f"{name} {peak / 1e9:.0f}" for name, peak in peaks.items()), end=""
    )
    print(f" GFLOP/s; {args.rounds} rounds")
    print(
        f"{'':22} {'median s':>9} {'least s':>8} {'ratio':>6} {'cpu s':>7} {'ratio':>6} "
        f"{'SNR dB':>7} {'MiB':>6} {'roof':>5}"
    )
    reference, least = statistics.median(seconds[REFERENCE]), min(used[REFERENCE])
    cores = torch.get_num_threads()
    for index, (name, times) in enumerate(seconds.items()):
        median, processor = statistics.median(times), min(used[name])
        share = work_done / (processor / cores) / peaks[precision[name]]
        print(
            f"{name:22} {median:9.3f} {min(times):8.3f} {reference / median:6.2f} {processor:7.3f} "
            f"{least / processor:6.2f} {snr(stems[0], stems[index]):7.1f} {memory[name]:6.0f} "
            f"{share:5.0%}"
        )
    more = {
        name: {"processor_seconds": used[name], "memory_mib": memory[name],
               "snr_db": snr(stems[0], stems[index]) if index else None}
        for index, name in enumerate(sides)
    }  # fmt: skip
    title = f"forward pass of {args.seconds:g} s of stereo"
    return record.table(title, "s", seconds, REFERENCE, more)


def bench_file(peers: dict[str, str], args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Whole commands of all sides; the table for `record`."""
    import soundfile

    track = work / "track.wav"
    time_axis = torch.arange(round(args.file * 44100)) / 44100
    tone = 0.2 * torch.sin(2 * torch.pi * 220 * time_axis) + 0.05 * torch.randn_like(time_axis)
    soundfile.write(track, torch.stack([tone, tone.flip(0)], 1).numpy(), 44100)
    ours = [sys.executable, "-m", "demucs", "--repo", str(work / "repo"), "-n", "bench",
            "-o", str(work / "out"), str(track)]  # fmt: skip
    ours += ["--mp3"] if args.mp3 else []
    theirs = [str(work / "weights.pt"), str(track), str(work), "mp3" if args.mp3 else "wav"]
    sides = {
        f"{name}, fp32": ("peer", [python, str(SIDES), "file", name, *theirs])
        for name, python in peers.items()
    }
    sides["ours, fp32"] = ("ours", ours)
    if has_bf16():
        sides["ours, bf16"] = ("ours", [*ours, "--precision", "bf16"])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    peak: dict[str, float] = {}
    used: dict[str, float] = dict.fromkeys(sides, float("inf"))
    for _ in range(max(1, args.rounds // 3)):
        for name, (side, command) in sides.items():
            begin = time.perf_counter()
            process = subprocess.Popen(
                command, env=environment(side), cwd=work, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"failed: {' '.join(command)}")
            seconds[name].append(time.perf_counter() - begin)
            peak[name] = usage.ru_maxrss / 1024
            used[name] = min(used[name], usage.ru_utime + usage.ru_stime)
    print(f"\nwhole command, {args.file} s of stereo to four {'mp3' if args.mp3 else 'wav'} files")
    print(
        f"{'':22} {'median s':>9} {'least s':>8} {'ratio':>6} {'cpu s':>7} {'ratio':>6} {'MiB':>6}"
    )
    reference = statistics.median(seconds[REFERENCE])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(
            f"{name:22} {median:9.2f} {min(times):8.2f} {reference / median:6.2f} "
            f"{used[name]:7.2f} {used[REFERENCE] / used[name]:6.2f} {peak[name]:6.0f}"
        )
    more = {name: {"processor_seconds": used[name], "memory_mib": peak[name]} for name in sides}
    title = f"{args.file:g} s of stereo to four {'mp3' if args.mp3 else 'wav'} files"
    return record.table(title, "s", seconds, REFERENCE, more)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--peer", action="append", default=[], metavar="PACKAGE=PYTHON",
        help=f"python of an environment with this peer: {', '.join(PEERS)}")  # fmt: skip
    add("--env", type=Path, default=Path("outputs/peers"), help="where to make environments")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--file", type=float, default=0, help="also whole commands on such a file")
    parser.add_argument("--mp3", action="store_true", help="which then write mp3")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    given = dict(pair.split("=", 1) for pair in args.peer)
    peers = {
        name: given.get(name) or peer_python(args.env.absolute() / name, name) for name in PEERS
    }
    torch.manual_seed(0)
    model = HDemucs(SOURCES).eval()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        torch.save(({"sources": SOURCES}, model.state_dict()), work / "weights.pt")
        spec = ModelSpec(name="hdemucs", kwargs={"sources": SOURCES})
        info = ReleaseInfo(signature="bench", spec=spec, config={}, provenance={})
        save_release(work / "repo" / "bench.safetensors", model.state_dict(), info)
        tables = []
        if args.seconds:
            tables.append(bench_forward(peers, args, work, model))
        if args.file:
            tables.append(bench_file(peers, args, work))
    record.write(args.json, "bench_separation", tables)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
