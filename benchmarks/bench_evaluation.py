"""BSS Eval v4: ours, and SDR alone, against the museval package, on the same stems, in one process.

    python3 benchmarks/bench_evaluation.py [--seconds 60] [--rounds 3] [--stems DIR]
                                          [--json FILE]

They take turns. Prints the median seconds of each, wall and processor, the ratios, and the largest
difference of each metric over all windows; beside them nSDR, which SDR alone should cost. The stems
are coloured noise with leaks and noise, or with --stems the two folders DIR/reference and
DIR/estimate of wav files. Then songs are evaluated by a stand-in for a model on a GPU, which takes
as long as the metrics and no CPU, to show that neither waits for the other. Prints the load average
too: other jobs spoil the numbers.
"""

import argparse
import os
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import record
import soundfile
import torch
from numpy.typing import NDArray

from demucs.evaluation import evaluate
from demucs.evaluation.metrics.bss_eval import bss_windows
from demucs.evaluation.metrics.bss_scores import bss_scores
from demucs.evaluation.metrics.definitions import BSS_METRICS
from demucs.evaluation.metrics.ratios import energy_ratios

RATE = 44100
Array = NDArray[Any]


def synthetic(seconds: float) -> tuple[Array, Array]:
    """Four stereo stems `[S, C, T]`, and estimates of them."""
    rng = np.random.default_rng(0)
    white = rng.standard_normal((4, 2, round(seconds * RATE) + 9))
    truth = white[..., 9:] + 0.8 * white[..., 8:-1] + 0.5 * white[..., :-9]
    truth *= 0.1 * np.abs(np.sin(np.arange(truth.shape[-1]) / np.array([[[7e3]], [[9e3]], [[1.1e4]],
                                                                        [[1.3e4]]])))  # fmt: skip
    return truth, truth + 0.1 * truth[::-1] + 0.01 * rng.standard_normal(truth.shape)


def read(folder: Path) -> Array:
    files = sorted(folder.glob("*.wav")) or sys.exit(f"{folder} has no wav files")
    return np.stack([soundfile.read(file, always_2d=True)[0].T for file in files])


def by_museval(truth: Array, guess: Array) -> dict[str, Array]:
    import museval

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signals = [signal.astype(np.float64).swapaxes(1, 2) for signal in (truth, guess)]
        results = museval.evaluate(*signals, win=RATE, hop=RATE)
    return dict(zip(BSS_METRICS, map(np.asarray, results), strict=True))


class Song:
    """A song of 20 s."""

    def __init__(self, number: int) -> None:
        self.name = f"song {number}"

    def load(self) -> tuple[torch.Tensor, torch.Tensor]:
        stems = torch.from_numpy(synthetic(20)[0]).float()
        return stems.sum(0), stems


class Sleeper(torch.nn.Module):
    """Gives a quarter of the mixture as each stem, after some seconds."""

    sources, audio_channels, samplerate, segment = ["a", "b", "c", "d"], 2, RATE, 20.0

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return mixture[:, None].expand(-1, 4, -1, -1) / 4


def overlap(songs: int = 8) -> None:
    """Evaluates songs with a model as slow as the metrics, in one scoring process."""

    def evaluation(seconds: float, metrics: list[str]) -> float:
        began = time.perf_counter()
        tracks = [Song(k) for k in range(songs)]
        evaluate(Sleeper(seconds), tracks, metrics=metrics, shifts=0, overlap=0, workers=1,
                 progress=False)  # fmt: skip
        return time.perf_counter() - began

    scored = evaluation(0, ["nsdr", *BSS_METRICS])
    separated = evaluation(scored / songs, ["nsdr"])
    both = evaluation(scored / songs, ["nsdr", *BSS_METRICS])
    print(f"{songs} songs of 20 s: metrics alone {scored:.1f} s, model alone {separated:.1f} s, "
          f"together {both:.1f} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stems", type=Path)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    if options.stems:
        truth, guess = read(options.stems / "reference"), read(options.stems / "estimate")
    else:
        truth, guess = synthetic(options.seconds)
    truth, guess = truth.astype(np.float32), guess.astype(np.float32)  # as models give them
    cores = os.cpu_count() or 1
    ways = {
        "museval": by_museval,
        "ours": lambda one, other: bss_windows(one, other, RATE, threads=cores),
        "sdr alone": lambda one, other: {
            "sdr": bss_scores(one, other, RATE, wanted=["sdr"])["sdr"][1]
        },
        "nSDR": lambda one, other: {"nsdr": energy_ratios(one, other, RATE)["nsdr"][1]},
    }
    results, seconds = {}, {name: [] for name in ways}
    processor = {name: [] for name in ways}
    bss_windows(truth[..., : 2 * RATE], guess[..., : 2 * RATE], RATE)  # load and warm up
    for _ in range(options.rounds):
        for name, way in ways.items():
            began, spent = time.perf_counter(), time.process_time()
            results[name] = way(truth, guess)
            seconds[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - spent)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{truth.shape[0]} stems of {truth.shape[-1] / RATE:.0f} s, {truth.shape[1]} channels")
    for name, median in medians.items():
        spent, theirs = (statistics.median(processor[key]) for key in (name, "museval"))
        print(f"  {name:9} wall {median:7.3f} s, {medians['museval'] / median:6.1f} x   "
              f"processor {spent:7.3f} s, {theirs / spent:6.1f} x")  # fmt: skip
    for name, metric in [*(("ours", metric) for metric in BSS_METRICS), ("sdr alone", "sdr")]:
        finite = np.where(
            np.isfinite(results["museval"][metric]), results["museval"][metric], np.nan
        )
        same = np.array_equal(np.isnan(finite), np.isnan(results[name][metric]))
        worst = np.nanmax(np.abs(finite - results[name][metric]))
        gaps = "the same" if same else "OTHER"
        print(f"  {name}, {metric}: largest difference {worst:.1e} dB, {gaps} gaps")
    title = f"BSS Eval of {truth.shape[0]} stems of {truth.shape[-1] / RATE:.0f} s"
    record.write(options.json, "bench_evaluation", [record.table(title, "s", seconds, "museval")])
    overlap()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
