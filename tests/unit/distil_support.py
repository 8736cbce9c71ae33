"""A teacher whose stems are known, a judge who says what a test wants, and small songs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from demucs.blind.distil.guard import Guard
from demucs.blind.distil.scoring import Scoring
from demucs.blind.distil.sources import SourceFile, distinct, find_sources
from demucs.blind.distil.stages import Part, score_files
from demucs.blind.quality import Quality
from demucs.blind.records import Measures
from demucs.blind.teacher import Teacher

RATE = 8000
SOURCES = ("low", "high")
Wave = np.ndarray  # [T, C]


class Halves(nn.Module):
    """Both stems are half of the mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.sources, self.audio_channels, self.samplerate = list(SOURCES), 2, RATE
        self.segment = 4.0

    def forward(self, mix: Tensor) -> Tensor:
        return torch.stack([0.5 * mix, 0.5 * mix], 1)


def make_teacher() -> Teacher:
    return Teacher(name="half", model=Halves().eval(), sources=SOURCES, samplerate=RATE, channels=2)


class PeakJudge:
    """Ten times the mixture's peak is the quality of the first stem; the other has 20 dB more.

    Counts what it judged; `on_call` may do more.
    """

    settings: Mapping[str, Any] = {"by": "peak"}

    def __init__(self, on_call: Callable[[int], None] = lambda count: None) -> None:
        self.count, self.on_call = 0, on_call

    def __call__(self, teacher: Teacher, mixture: Tensor) -> tuple[Tensor, Quality, Any]:
        self.count += 1
        self.on_call(self.count)
        stems = teacher(mixture)
        value = 10 * round(float(mixture.abs().max()), 3)
        sdr = np.array([value, value + 20])
        windows = np.tile(sdr[:, None], int(mixture.shape[-1] // RATE))
        quality = Quality(
            sources=teacher.sources, window=1.0, sdr=sdr, low=sdr - 1, high=sdr + 1,
            active=np.ones(2), windows=windows, active_windows=np.ones_like(windows),
        )  # fmt: skip
        return stems, quality, {"peak": Measures(track=sdr, windows=windows)}


def noise(seconds: float, peak: float = 0.5, *, channels: int = 2, seed: int = 0) -> Wave:
    """`[T, C]` with exactly this peak."""
    wave = np.random.default_rng(seed).standard_normal((round(seconds * RATE), channels))
    return peak * wave / np.abs(wave).max()


def tune(seconds: float, seed: int, rate: int = 16000) -> Wave:
    """Notes with harmonics and rests, `[T, 2]`: something a fingerprint knows again."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(0.2 * rate)) / rate
    parts = []
    for _ in range(round(seconds / 0.2)):
        pitches = np.exp(rng.uniform(np.log(110), np.log(900), 3))
        tone = sum(np.sin(2 * np.pi * p * h * time) / h for p in pitches for h in (1, 2, 3))
        parts.append(rng.uniform(0.3, 1) * tone * np.exp(-time * 6))
    mono = 0.15 * np.concatenate(parts)
    return np.stack([mono, 0.7 * mono], axis=1)


def write(path: Path, wave: Wave, rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


def make_scoring(out: Path, judge: Any = None, **options: Any) -> Scoring:
    return Scoring(
        teacher=options.pop("teacher", None) or make_teacher(),
        judge=judge or PeakJudge(),
        guard=options.pop("guard", Guard()),
        out=out,
        run=options.pop("run", "run"),
        **options,
    )


def score(music: Path, scoring: Scoring, part: Part | None = None) -> list[SourceFile]:
    """Scores a folder; returns its files."""
    files, _ = distinct(find_sources(music))
    score_files(files, scoring, part or Part())
    return files
