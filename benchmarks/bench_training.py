"""Training steps against those of the public solver, on this machine.

    python3 -m venv reference
    reference/bin/pip install torch==2.13.0 demucs==4.1.0 dora-search hydra-core hydra-colorlog \\
        musdb museval
    python3 benchmarks/bench_training.py --public reference/bin/python [--config group default]
        [--batch 2 ...] [--device cuda] [--compiled] [--rounds 5] [--losses 200] [--json FILE]
        [KEY=VALUE ...]

For each configuration (`group`: the group's run; `default`: the network's defaults, without
penalty and averages) and batch size, every side trains in a process of its own, and they take
turns, a step each, so that a change of the machine's speed meets all of them. A step is everything
between two batches: forward and backward pass, penalty, update, and the moving averages over
batches; batches are made before. On a GPU the sides are fp32 and TF32 of both, and our bf16; on a
CPU fp32, and our bf16 where the processor multiplies it. `--compiled` adds compiled ones, which
take minutes to start.

Prints medians of seconds a step, examples a second, the public (fp32) time divided by each, the
share of a matrix product's rate that the network's multiplications reach in the whole step (MFU)
and its convolutions in their own time, and peak memory; then the parts of a step that waits for
each; and with `--losses N`, from fresh processes with the same weights and batches, the mean error
of the last tenth of N steps, and how far it is from the public one. Prints the load average too:
other jobs spoil the numbers.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import record
import torch
from separation_flops import flops
from side import Side, environment
from training_clock import PHASES

from demucs.nn import HDemucs
from demucs.nn.inference import has_bf16

SIDES = Path(__file__).with_name("training_sides.py")
SIZE = ("model=hdemucs", "dset.segment=6", "dset.shift=1")
CONFIGS = {
    "group": (
        "hdemucs.norm_starts=100", "hdemucs.cac=False", "hdemucs.hybrid_old=True",
        "hdemucs.dconv_lstm=4", "ema.epoch=[0.9,0.95]", "ema.batch=[0.9995,0.9999]", "svd=base",
        "svd.penalty=1e-05", "svd.dim=80", "svd.convtr=True", "optim.lr=0.0003",
    ),
    "default": (),
}  # fmt: skip
REFERENCE = "public, fp32"


def ways(device: str, compiled: bool) -> dict[str, tuple[str, str]]:
    """Name → side and overrides."""
    sides = {REFERENCE: ("public", "precision=fp32"), "ours, fp32": ("ours", "precision=fp32")}
    if device != "cpu":
        sides["public, tf32"] = ("public", "precision=tf32")
        sides["ours, tf32"] = ("ours", "precision=tf32")
    if device != "cpu" or has_bf16():
        sides["ours, bf16"] = ("ours", "precision=bf16")
    ours = [(name, way) for name, way in sides.items() if way[0] == "ours"]
    if compiled:
        sides |= {f"{name}, compiled": (side, f"{way} compile=true") for name, (side, way) in ours}
    return sides


class Case:
    """One configuration and batch size.

    Args:
        args: of the command.
        name: of the configuration.
        batch: examples in a step.
        folder: for the weights that all sides start from.
    """

    def __init__(self, args: argparse.Namespace, name: str, batch: int, folder: Path) -> None:
        self.args, self.name, self.batch = args, name, batch
        self.overrides = [*SIZE, *CONFIGS[name], f"batch_size={batch}", *args.overrides]
        self.ways = ways(args.device, args.compiled)
        model, samples = initial_model(self.overrides)
        self.weights = folder / f"{name}.pt"
        torch.save(model.state_dict(), self.weights)
        # forward, and backward to the input and to the weights
        self.work = 3 * batch * flops(model, samples)
        self.convolutions = 3 * batch * flops(model, samples, convolutions_only=True)

    def start(self, way: str) -> Side:
        kind, more = self.ways[way]
        python = self.args.public if kind == "public" else sys.executable
        command = [python, str(SIDES), kind, self.args.device, str(self.weights)]
        command += [*self.overrides, *more.split()]
        return Side(command, self.weights.parent, environment(kind == "ours"))

    def speeds(self) -> dict[str, Any]:
        sides = {way: self.start(way) for way in self.ways}
        for side in sides.values():
            for _ in range(2):
                side.ask("step")  # the first are slower
        seconds: dict[str, list[float]] = {way: [] for way in sides}
        for _ in range(self.args.rounds):
            for way, side in sides.items():
                seconds[way].append(side.ask("step"))
        measured = {way: {name: side.ask(name) for name in ("split", "profile", "penalty", "peak")}
                 for way, side in sides.items()}  # fmt: skip
        for way, side in sides.items():
            measured[way]["memory_mib"] = side.ask("memory")
            side.end()
        self._print(seconds, measured)
        title = f"training step, {self.name} configuration, {self.batch} examples"
        return record.table(title, "s", seconds, REFERENCE, measured)

    def _print(self, seconds: dict[str, list[float]], measured: dict[str, Any]) -> None:
        print(f"\n{self.name} configuration, {self.batch} examples: {self.work / 1e9:.0f} GFLOP")
        print(f"{'':22} {'s/step':>8} {'ex./s':>8} {'ratio':>6} {'MFU':>5} {'conv':>5} {'MiB':>7}")
        medians = {way: statistics.median(times) for way, times in seconds.items()}
        for way, median in medians.items():
            values = measured[way]
            share = self.work / median / values["peak"]
            values["mfu"], values["conv_mfu"] = (
                share,
                self.convolutions / values["profile"] / values["peak"],
            )
            print(
                f"{way:22} {median:8.3f} {self.batch / median:8.3f} "
                f"{medians[REFERENCE] / median:6.2f} {share:5.0%} {values['conv_mfu']:5.0%} "
                f"{values['memory_mib']:7.0f}"
            )
        print(f"{'one step that waits':22}" + "".join(f" {name:>9}" for name in (*PHASES, "rest")))
        for way, values in measured.items():
            split = values["split"]
            print(f"{way:22}" + "".join(f" {split[name]:9.3f}" for name in (*PHASES, "rest")))
        for way, values in measured.items():
            if values["penalty"] is not None:
                share = values["penalty"] / medians[way]
                penalty = f"{values['penalty']:.3f} s, {share:.1%}"
                print(f"{way:22} the penalty with its gradient: {penalty}")

    def losses(self, steps: int) -> dict[str, Any]:
        """From the start again, one side after the other."""
        last: dict[str, list[float]] = {}
        for way in self.ways:
            side = self.start(way)
            errors = side.ask(f"losses {steps}")
            last[way] = errors[-max(1, steps // 10) :]
            side.end()
        means = {way: statistics.fmean(errors) for way, errors in last.items()}
        print(f"\n{self.name} configuration, batch of {self.batch}: error after {steps} steps")
        for way, mean in means.items():
            print(f"{way:22} {mean:.6f}  {mean / means[REFERENCE] - 1:+.3%} of the public one")
        title = f"error after {steps} steps, {self.name} configuration, {self.batch} examples"
        return record.table(title, "L1", last, REFERENCE)


def initial_model(overrides: list[str]) -> tuple[HDemucs, int]:
    """The weights that all sides start from, and the samples of an example."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf
    from training_sides import CONF, arguments

    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain: Any = OmegaConf.to_container(compose("config", overrides), resolve=True)
    torch.manual_seed(0)
    dset = plain["dset"]
    samples = round((dset["segment"] - dset["shift"]) * dset["samplerate"])
    return HDemucs(**arguments(plain)), samples


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--public", required=True, help="python of the public package")
    add("--config", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    add("--batch", nargs="+", type=int, default=[2], help="examples in a step")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--compiled", action="store_true", help="also compiled models")
    add("--rounds", type=int, default=5)
    add("--losses", type=int, default=0, metavar="N", help="also the error after N steps")
    add("--json", type=Path, help="also write the numbers here")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="of the configuration, for all sides")
    args = parser.parse_intermixed_args()
    args.public = os.path.abspath(args.public)
    if args.device != "cpu" and not torch.cuda.is_available():
        sys.exit(f"--device {args.device}: PyTorch sees no GPU here; use --device cpu.")
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.config:
            for batch in args.batch:
                case = Case(args, name, batch, Path(folder))
                tables.append(case.speeds())
                if args.losses:
                    tables.append(case.losses(args.losses))
    record.write(args.json, "bench_training", tables)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
