"""Examples that one core reads, repitches and augments, against the public data pipeline.

    python3 -m venv reference
    reference/bin/pip install torch==2.8.0 torchaudio==2.8.0 soundfile demucs==4.1.0 \\
        dora-search hydra-core hydra-colorlog musdb
    python3 benchmarks/bench_data.py --public reference/bin/python [--rounds 5] [--batch 8]
                                     [--backend soundfile] [--json FILE] [KEY=VALUE ...]

Later releases of torchaudio have no `info`, without which the public package measures no songs.
Where torchaudio finds FFmpeg's libraries it reads by them, and decodes a song from its start for
each segment; `--backend soundfile`, the default here, is ten times as quick and to the public
side's advantage. `--backend=` leaves it to torchaudio.

Each side makes batches in a process of its own with one thread, and they take turns.
A batch is all that the CPU does for it: decoding, cropping, normalising, repitching, collating, and
shift, flips, scale and remix. The public package does the last four in the training step, where
they may run on a GPU; here both do them on the CPU. The songs are noise in the layout of
MUSDB18-HQ, just written, so in the system's memory: a disk is not measured.

Four cases: the default configuration; no repitching; repitching in each example; songs that are in
memory, so collating and augmentation alone. Prints for each the examples a second (medians), by the
clock and by the processor's seconds, and the public time divided by ours; of the default, where the
time of an example goes, and what eight processes would deliver to a GPU.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import record
import soundfile
from side import Side, environment

SIDES = Path(__file__).with_name("data_sides.py")
STEMS = ("drums", "bass", "other", "vocals")
RATE = 44100
BATCHES = {"default": 5, "no repitch": 2, "repitch in each": 1, "augmentation": 2}  # in a round
TITLES = {
    "default": "default configuration",
    "no repitch": "without repitching",
    "repitch in each": "repitching in each example",
    "augmentation": "collating and augmentation alone",
}
READERS = 8  # processes that deliver to a GPU

Rounds = dict[str, dict[str, list[dict[str, float]]]]  # by case and side


def start(python: str, name: str, *arguments: str) -> Side:
    """A process that makes batches when it is told to."""
    env = environment(name == "ours", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    return Side([os.path.abspath(python), str(SIDES), name, *arguments], SIDES.parent, env)


def write_songs(folder: Path, songs: int, seconds: float) -> None:
    """Noise of some loudness that comes and goes, 16 bits, with mixtures."""
    random, frames = np.random.default_rng(0), round(seconds * RATE)
    clock = np.arange(frames, dtype=np.float32)[:, None] / RATE
    for song in range(songs):
        mixture = np.zeros((frames, 2), dtype=np.float32)
        place = folder / "train" / f"song {song}"
        place.mkdir(parents=True)
        for number, stem in enumerate(STEMS):
            noise = random.standard_normal((frames, 2), dtype=np.float32)
            tone = np.sin(2 * np.pi * (110 * (number + 1) + song) * clock)
            wav = (0.05 * noise + 0.1 * tone) * np.sin((1 + number) * clock) ** 2
            soundfile.write(place / f"{stem}.wav", wav, RATE, subtype="PCM_16")
            mixture += wav
        soundfile.write(place / "mixture.wav", mixture, RATE, subtype="PCM_16")


def measure(sides: dict[str, Side], rounds: int) -> Rounds:
    """All rounds, after one that does not count."""
    rounds_by_case: Rounds = {case: {name: [] for name in sides} for case in BATCHES}
    for number in range(rounds + 1):
        for case, batches in BATCHES.items():
            for name, side in sides.items():
                answer = side.ask(json.dumps([case, batches]))
                if number:
                    rounds_by_case[case][name].append(answer)
    return rounds_by_case


def each(rounds: list[dict[str, float]], part: str) -> list[float]:
    """Milliseconds of an example, in each round."""
    return [1000 * measured[part] / measured["examples"] for measured in rounds]


def tables(rounds_by_case: Rounds) -> list[dict[str, Any]]:
    """What is printed, for `record`."""
    done = []
    for case, sides in rounds_by_case.items():
        walls = {name: each(rounds, "wall") for name, rounds in sides.items()}
        more = {
            name: {
                "processor_ms": each(rounds, "processor"),
                "seconds_of_an_example": rounds[0]["frames"] / RATE,
                **{f"{part}_ms": each(rounds, part) for part in ("read", "repitch", "rest")},
            }
            for name, rounds in sides.items()
        }
        done.append(record.table(f"an example, {TITLES[case]}", "ms", walls, "public", more))
    return done


def show(rounds_by_case: Rounds) -> None:
    print(
        f"{'':34} {'side':7} {'s each':>7} {'ex/s':>7} {'public/this':>12} "
        f"{'ex/s cpu':>9} {'public/this':>12}"
    )
    for case, sides in rounds_by_case.items():
        wall, used = (
            {name: statistics.median(each(rounds, part)) for name, rounds in sides.items()}
            for part in ("wall", "processor")
        )
        for name, rounds in sides.items():
            print(
                f"{TITLES[case]:34} {name:7} {rounds[0]['frames'] / RATE:7.2f} "
                f"{1000 / wall[name]:7.1f} {wall['public'] / wall[name]:12.2f} "
                f"{1000 / used[name]:9.1f} {used['public'] / used[name]:12.2f}"
            )
    print("\ndefault configuration, ms of an example (read; repitch; the rest of its batch)")
    for name, rounds in rounds_by_case["default"].items():
        parts = [statistics.median(each(rounds, part)) for part in ("read", "repitch", "rest")]
        rate = 1000 / statistics.median(each(rounds, "wall"))
        print(
            f"{name:7}" + "".join(f"{part:9.2f}" for part in parts) + f"    {READERS} processes on "
            f"{READERS} cores at this rate: {READERS * rate:.0f} examples/s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--public", required=True, help="python of the public package")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--batch", type=int, default=8, help="examples of a batch; default: 8")
    parser.add_argument("--songs", type=int, default=6, help="default: 6")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a song; default: 60")
    parser.add_argument("--backend", default="soundfile", help="of torchaudio, see above")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("overrides", nargs="*", help="of the configuration, for both sides")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_songs(Path(folder), args.songs, args.seconds)
        given = (folder, str(args.batch), *args.overrides)
        public = f"public-{args.backend}".rstrip("-")
        sides = {
            "public": start(args.public, public, *given),
            "ours": start(sys.executable, "ours", *given),
        }
        for name, side in sides.items():
            print(f"{name}: {side.ask(json.dumps('about'))}")
        rounds_by_case = measure(sides, args.rounds)
        for side in sides.values():
            side.end()
    print(f"one thread, batches of {args.batch}, {args.rounds} rounds, medians")
    show(rounds_by_case)
    record.write(args.json, "bench_data", tables(rounds_by_case))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
