"""Separation by batches of chunks, in several precisions, against the public demucs 4.1.0 with the
same weights on the same device.

    python3 benchmarks/bench_separation_gpu.py [--device cuda] [--batch 1 2 4 8]
                                               [--precision fp32 tf32 bf16] [--seconds 240]
                                               [--peer PYTHON | --no-peer] [--json FILE]

Each side is a process that has the model loaded. They take turns, a whole `apply_model` each from a
song in memory to stems in memory (no shifts, overlap 0.25), after one that does not count. The
public one works on one chunk at a time, so it has one row a precision. Printed: the median of the
rounds, the real-time factor (seconds of audio a second), the public fp32 time over it, the SNR
against the public fp32 stems, the peak of memory, and the share of the attainable rate (MFU):
multiplications and additions of the network's layers over those of a product of large matrices in
the same precision. A batch that does not fit the memory has no row.

Here tf32 rounds convolutions and products alike on both sides, fp32 neither: PyTorch's own default,
which is what the public command runs in, lets only convolutions round.

It runs on a CPU too (`--device cpu --channels 8 --seconds 20 --segment 4`), without tf32; that
shows that it works, not how fast a GPU is.
"""

import argparse
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import record
import torch
from bench_separation import SOURCES, environment, peer_python, snr
from separation_flops import flops
from side import Side

from demucs.nn import HDemucs, ModelSpec
from demucs.nn.inference import has_bf16
from demucs.release import ReleaseInfo, save_release

SCRIPT = Path(__file__).with_name("separation_gpu_sides.py")
COUNTED = 10.0  # seconds of audio whose operations are counted; they grow with the length


@dataclass
class Row:
    """One side in one precision with one batch, and what it measured."""

    side: str
    precision: str
    batch: int
    seconds: list[float] = field(default_factory=list)
    memory_mib: float = 0.0
    snr_db: float | None = None

    @property
    def label(self) -> str:
        batch = f", batch {self.batch}" if self.side == "ours" else ""
        return f"{self.side}, {self.precision}{batch}"


def measure(sides: dict[str, Side], rows: list[Row], rounds: int, work: Path) -> list[Row]:
    """Runs all in turns; the rows that fitted the memory."""
    fitted, reference = [], None
    for row in rows:  # the first run of each is slower and is compared
        answer = sides[row.side].ask(f"run {row.precision} {row.batch} {work / 'stems.pt'}")
        stems = torch.load(work / "stems.pt", weights_only=True)
        if not answer["fitted"]:
            print(f"{row.label}: does not fit the memory", flush=True)
            continue
        if reference is None:
            reference = stems
        else:
            row.snr_db = snr(reference, stems)
        row.memory_mib = answer["memory_mib"]
        fitted.append(row)
    for _ in range(rounds):
        for row in fitted:
            answer = sides[row.side].ask(f"run {row.precision} {row.batch}")
            row.seconds.append(answer["seconds"])
    return fitted


def operations(model: HDemucs, seconds: float, overlap: float = 0.25) -> float:
    """Of all chunks of the song."""
    heard, stride = 0.0, (1 - overlap) * model.segment
    for index in range(int(-(-seconds // stride))):
        heard += min(model.segment, seconds - index * stride)
    counted = min(COUNTED, seconds)
    return flops(model, round(counted * model.samplerate)) * heard / counted


def report(
    rows: list[Row], peaks: dict[str, float], work_done: float, args: argparse.Namespace
) -> dict[str, Any]:
    """Prints the rows; the table for `record`."""
    name = torch.cuda.get_device_name(args.device) if args.device != "cpu" else record.processor()
    print(f"{args.seconds:g} s of stereo on {name}, {work_done / 1e9:.0f} GFLOP")
    rates = ", ".join(f"{key} {peak / 1e12:.3g}" for key, peak in peaks.items())
    print(f"attainable by a matrix product, TFLOP/s: {rates}")
    print(
        f"{'':24} {'median s':>9} {'x real time':>11} {'ratio':>6} {'SNR dB':>7} {'MiB':>7} "
        f"{'MFU':>5}"
    )
    more, first = {}, statistics.median(rows[0].seconds)
    for row in rows:
        median = statistics.median(row.seconds)
        share = work_done / median / peaks[row.precision]
        more[row.label] = {
            "precision": row.precision, "batch": row.batch, "memory_mib": row.memory_mib,
            "real_time_factor": args.seconds / median, "snr_db": row.snr_db, "mfu": share,
            "attainable_flops": peaks[row.precision],
        }  # fmt: skip
        snr_text = "-" if row.snr_db is None else f"{row.snr_db:.1f}"
        print(
            f"{row.label:24} {median:9.3f} {args.seconds / median:11.1f} {first / median:6.2f} "
            f"{snr_text:>7} {row.memory_mib:7.0f} {share:5.1%}"
        )
    title = f"{args.seconds:g} s of stereo, {args.channels} channels, on {name}"
    return record.table(title, "s", {r.label: r.seconds for r in rows}, rows[0].label, more)


def available(args: argparse.Namespace) -> list[str]:
    """The precisions that the device has."""
    if args.device == "cpu":
        return [
            precision
            for precision in args.precision
            if precision == "fp32" or (precision == "bf16" and has_bf16())
        ]
    return list(args.precision)


def start(args: argparse.Namespace, work: Path, model: HDemucs) -> dict[str, Side]:
    """The processes, each with the weights and the song in its own format."""
    kwargs = {"sources": SOURCES, "channels": args.channels, "segment": args.segment}
    torch.save((kwargs, model.state_dict()), work / "weights.pt")
    info = ReleaseInfo(
        signature="bench", spec=ModelSpec(name="hdemucs", kwargs=kwargs), config={}, provenance={}
    )
    save_release(work / "bench.safetensors", model.state_dict(), info)
    torch.save(torch.randn(1, 2, round(args.seconds * 44100)) * 0.1, work / "mixture.pt")
    pythons = {"ours": (sys.executable, "bench.safetensors", "ours")}
    if not args.no_peer:
        peer = args.peer or peer_python(args.env.absolute() / "demucs", "demucs")
        pythons = {"demucs": (peer, "weights.pt", "peer"), **pythons}
    return {
        side: Side(
            [python, str(SCRIPT), side, args.device, str(work / weights), str(work / "mixture.pt")],
            SCRIPT.parent,
            environment(kind),
        )
        for side, (python, weights, kind) in pythons.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cuda", help="cuda, cuda:1, ... or cpu (default: %(default)s)")
    add("--batch", type=int, nargs="+", default=[1, 2, 4, 8], help="chunks at once, of ours")
    add("--precision", nargs="+", choices=["fp32", "tf32", "bf16"],
        default=["fp32", "tf32", "bf16"])  # fmt: skip
    add("--seconds", type=float, default=240, help="of the song (default: %(default)s)")
    add("--segment", type=float, default=40, help="of a chunk, in seconds (default: %(default)s)")
    add("--channels", type=int, default=48, help="of the network (default: %(default)s)")
    add("--rounds", type=int, default=5)
    add("--peer", metavar="PYTHON", help="of an environment with demucs 4.1.0")
    add("--no-peer", action="store_true", help="only ours; the first row is what others are over")
    add("--env", type=Path, default=Path("outputs/peers"), help="where to make one otherwise")
    add("--json", type=Path, help="also write the numbers here")
    args = parser.parse_args()
    if args.device != "cpu" and not torch.cuda.is_available():
        sys.exit(f"--device {args.device}: this PyTorch sees no GPU; try --device cpu")
    precisions = available(args)
    if not precisions:
        sys.exit(f"--precision {' '.join(args.precision)}: {args.device} has none of them")
    torch.manual_seed(0)
    model = HDemucs(SOURCES, channels=args.channels, segment=args.segment).eval()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sides = start(args, work, model)
        rows = [Row("demucs", precision, 1) for precision in precisions if "demucs" in sides]
        rows += [Row("ours", precision, batch) for precision in precisions for batch in args.batch]
        peaks = {precision: sides["ours"].ask(f"peak {precision}") for precision in precisions}
        rows = measure(sides, rows, args.rounds, work)
        for side in sides.values():
            side.end()
    if not rows:
        sys.exit("no batch fitted the memory: try a smaller --batch")
    table = report(rows, peaks, operations(model, args.seconds), args)
    record.write(args.json, "bench_separation_gpu", [table])
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
