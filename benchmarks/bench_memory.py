"""Peak memory of the `demucs` command, for files of several lengths.

    python3 benchmarks/bench_memory.py [--minutes 1 10 60] [--real-minutes 3] [--peer PYTHON]
                                      [--json FILE]

The peak is that of resident memory of the whole process, torch and all (`getrusage`), of a child
for each separation; input is stereo wav of 44.1 kHz, output four 16-bit stems.

Long files are separated by a stand-in network: chunks and stems are as long and as large as those
of an HDemucs with its default segment of 40 s, but it does next to no work and has no memory of
its own. So those rows show what grows with the file. Real networks with random weights, small and
of 48 channels, separate `--real-minutes` minutes: those rows have the network's own memory. What
one hour by the real network needs is its row plus what the stand-in's rows grow from there on.

`--peer` is the Python of an environment with demucs 4.1.0, which is measured likewise, up to
`--peer-minutes`: it needs more than 20 GB for an hour.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import record
import soundfile
from side import environment

SIDES = Path(__file__).with_name("memory_sides.py")
RATE = 44100


def make_song(path: Path, minutes: float) -> None:
    """Noise with a beat, written in blocks; some of it above what four stems would keep."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        for _ in range(round(minutes * 60)):
            second = rng.standard_normal((RATE, 2)) * np.linspace(0.3, 0.05, RATE)[:, None]
            file.write(second.astype(np.float32))


def measure(python: str, ours: bool, model: str, song: Path) -> tuple[str, float | None]:
    """A row: the seconds and the gigabytes of one separation; and these as a number."""
    with tempfile.TemporaryDirectory(dir=song.parent) as out:
        done = subprocess.run(
            [python, str(SIDES), model, str(song), out],
            capture_output=True, text=True, env=environment(ours), check=False,
        )  # fmt: skip
    last = (done.stdout.splitlines() or [""])[-1].split()
    if done.returncode or last[:1] != ["measured"]:
        why = (done.stderr.splitlines() or ["killed?"])[-1]
        return f"failed ({done.returncode}): {why}", None
    return f"{float(last[1]):.0f} s | {last[2]} GB", float(last[2])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, nargs="*", default=[1, 10, 60])
    parser.add_argument("--real-minutes", type=float, default=3)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--peer-minutes", type=float, default=10)
    parser.add_argument("--folder", type=Path, help="for some GB of temporary files")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    peaks: dict[str, list[float]] = {}
    print(f"load average {os.getloadavg()[0]:.2f}")
    print("model | minutes | side | time | peak memory")
    jobs = [("stand-in", minutes) for minutes in options.minutes]
    jobs += [(model, options.real_minutes) for model in ("hdemucs-8", "hdemucs-48")]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for model, minutes in jobs:
            song = Path(folder) / "song.wav"
            make_song(song, minutes)
            sides = [("ours", sys.executable)]
            if options.peer and minutes <= options.peer_minutes:
                sides.append(("4.1.0", options.peer))
            for side, python in sides:
                row, peak = measure(python, side == "ours", model, song)
                print(model, f"{minutes:g}", side, row, sep=" | ", flush=True)
                if peak is not None:
                    peaks[f"{side}, {model}, {minutes:g} min"] = [peak]
    title = "peak memory of the demucs command"
    record.write(options.json, "bench_memory", [record.table(title, "GB", peaks)])


if __name__ == "__main__":
    main()
