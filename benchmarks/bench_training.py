"""Training steps against those of the public solver, on this machine.

    python3 -m venv reference
    reference/bin/pip install torch==2.13.0 demucs==4.1.0 dora-search hydra-core hydra-colorlog \\
        musdb museval
    python3 benchmarks/bench_training.py --public reference/bin/python [--rounds 7] [--json FILE] \\
        [KEY=VALUE ...]

Each side trains in a process of its own and they take turns, a step each, so that a change of the
machine's speed meets all of them. A step is everything between two batches: forward and backward
pass, penalty, update, and the moving averages over batches. Prints the median seconds a step,
examples a second, and the public median divided by each. Prints the
load average too: other jobs spoil the numbers.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import record

SIDES = Path(__file__).with_name("training_sides.py")
SIZE = ("model=hdemucs", "batch_size=2", "dset.segment=5", "dset.shift=1")
GROUP = (
    "hdemucs.norm_starts=100", "hdemucs.cac=False", "hdemucs.hybrid_old=True",
    "hdemucs.dconv_lstm=4", "ema.epoch=[0.9,0.95]", "ema.batch=[0.9995,0.9999]", "svd=base",
    "svd.penalty=1e-05", "svd.dim=80", "svd.convtr=True", "optim.lr=0.0003",
)  # fmt: skip
WAYS = {
    "ours": (),
    "ours, precision=bf16": ("precision=bf16",),
}


class Side:
    """A process that does a step when it is told to."""

    def __init__(self, python: str, *arguments: str) -> None:
        paths = [str(SIDES.parents[1])] if arguments[0] == "ours" else []
        self.process = subprocess.Popen(
            [python, str(SIDES), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        if self._line() != "ready":
            sys.exit(f"this side did not start: {python} {SIDES} {' '.join(arguments)}")

    def step(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--public", required=True, help="python of the public package")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("overrides", nargs="*", help="of the configuration, for all sides")
    args = parser.parse_args()
    overrides = [*SIZE, *GROUP, *args.overrides]
    sides = {"public": Side(args.public, "public", *overrides)}
    sides |= {name: Side(sys.executable, "ours", *overrides, *more) for name, more in WAYS.items()}
    for side in sides.values():
        side.step()  # the first is slower
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, side in sides.items():
            seconds[name].append(side.step())
    for side in sides.values():
        side.process.kill()
    batch = int([one for one in overrides if one.startswith("batch_size=")][-1].split("=")[1])
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    print(f"{'':24} {'s/step':>8} {'examples/s':>11} {'public / this':>14}")
    for name, median in medians.items():
        ratio = medians["public"] / median
        print(f"{name:24} {median:8.2f} {batch / median:11.3f} {ratio:14.2f}")
    title = f"training step of {batch} examples"
    record.write(args.json, "bench_training", [record.table(title, "s", seconds, "public")])
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
