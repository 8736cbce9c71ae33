"""Tempo and pitch changes of the stems of an example, by the best means that this machine has.

The augmentation of Cohen-Hadria et al. (2019), as Demucs uses it: time stretching by overlap and
add of similar waveforms, tuned for speech on the voice. Three engines do the same work:

- SoundTouch's library (`demucs.data.repitch.library`), the quickest;
- its program soundstretch (`demucs.data.repitch.program`), with the very same samples;
- code of our own (`demucs.data.repitch.builtin`), which needs neither.

Each stem is stretched on its own, since stems of a remixed example come from different songs and
have different tempos, and since the public recipe does so. Nothing is random here: the result
depends on the samples, the stretch and the engine.
"""

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from demucs.data.augment import Stretch
from demucs.data.repitch.builtin import BuiltIn
from demucs.data.repitch.library import SoundTouchLibrary
from demucs.data.repitch.program import SoundStretch
from demucs.errors import AudioError

logger = logging.getLogger(__name__)

VOICES = frozenset({"vocals"})  # sources for which the engine is told that it hears speech
HEADROOM = 0.5  # peak of what is sent: the program clips at 1, and stretching can raise peaks
MARGIN = 1024  # frames read beyond the need, so that the end is music and not the flushed tail
FULL_SCALE = 2.0**31  # samples are sent as 32-bit integers would hold them
SILENCE = 1e-30  # a peak below which the gain would not be a float

Samples: TypeAlias = NDArray[np.float32]


class Engine(Protocol):
    """Something that stretches."""

    def at_once(self, threads: int) -> int:
        """How many stems to do next to each other, where torch may use `threads`."""

    def describe(self) -> str:
        """What it is, for the log."""

    def stretch(
        self, wav: Samples, samplerate: int, stretch: Stretch, frames: int, *, speech: bool
    ) -> Samples:
        """Stretches `[T, C]` within ±`HEADROOM` to at most `[frames, C]`.

        Raises:
            AudioError: it failed.
        """


@dataclass(frozen=True)
class Job:
    """One stem to stretch: `wav` `[C, T]` to `frames` frames."""

    wav: Tensor
    stretch: Stretch
    frames: int
    speech: bool = False


@dataclass(frozen=True)
class Repitcher:
    """Stretches all stems of an example in one call.

    Where that is quicker, stems are done next to each other: the library's on as many threads as
    torch may use, which is one in a loader's process; the program's in processes of their own.
    """

    engine: Engine

    @staticmethod
    def frames_needed(frames: int, stretch: Stretch) -> int:
        """Frames of input that give `frames` of output."""
        return math.ceil(frames * (1 + stretch.tempo / 100)) + MARGIN

    def __call__(self, jobs: Sequence[Job], samplerate: int) -> list[Tensor]:
        """Stretches each job and cuts or pads it with zeros to `[C, frames]`.

        Raises:
            AudioError: the engine failed.
        """
        threads = min(len(jobs), self.engine.at_once(torch.get_num_threads()))
        if threads <= 1:
            return [self._one(job, samplerate) for job in jobs]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda job: self._one(job, samplerate), jobs))

    def _one(self, job: Job, samplerate: int) -> Tensor:
        shape = (job.wav.shape[0], job.frames)
        peak = float(job.wav.abs().max()) if job.wav.numel() else 0.0
        if peak < SILENCE:
            return torch.zeros(shape)
        if not math.isfinite(peak):  # left to the training step, which knows what to do
            return torch.full(shape, peak)
        gain = HEADROOM / peak
        sent = _interleaved(job.wav.numpy(), gain)
        got = self.engine.stretch(sent, samplerate, job.stretch, job.frames, speech=job.speech)
        wav = torch.from_numpy(np.ascontiguousarray(got.T)) / gain
        return F.pad(wav, (0, job.frames - wav.shape[1]))


def _interleaved(wav: Samples, gain: float) -> Samples:
    """`[C, T]` to `[T, C]`, with a gain, rounded to what 32-bit integers hold."""
    scaled = np.rint(wav * np.float32(gain) * np.float32(FULL_SCALE)) / np.float32(FULL_SCALE)
    out = np.empty(scaled.shape[::-1], dtype=np.float32)
    for channel, samples in enumerate(scaled):  # four times as quick as a transposed copy
        out[:, channel] = samples
    return out


def find_repitcher() -> Repitcher:
    """Takes the library, else the program, else our own code, and says in the log which.

    An engine that is installed and fails a short trial is passed over, with its message.
    """
    finders: tuple[Callable[[], Engine | None], ...] = (SoundTouchLibrary.find, SoundStretch.find)
    for find in finders:
        engine = find()
        if engine is None:
            continue
        try:
            _try_out(engine)
        except AudioError as error:
            logger.warning("repitch does without %s: %s", engine.describe(), error)
            continue
        logger.info("repitch by %s, called where songs are read", engine.describe())
        return Repitcher(engine)
    engine = BuiltIn()
    logger.warning(
        "repitch by %s, since SoundTouch is not usable here: a similar stretch, but other samples "
        "than with it (apt install soundstretch)",
        engine.describe(),
    )
    return Repitcher(engine)


def _try_out(engine: Engine) -> None:
    """Stretches a tenth of a second.

    Raises:
        AudioError: it fails, or what comes is too short, too quiet or too loud.
    """
    tone = torch.sin(torch.arange(8820) * 0.05).repeat(2, 1)
    stretch = Stretch(tempo=5.0, pitch=1)
    got = Repitcher(engine)([Job(tone, stretch, 8000)], 44100)[0]
    level = float(got[:, 4000:].square().mean().sqrt())
    if not 0.5 < level < 1:
        raise AudioError(f"a tone of level 0.71 came out at {level:.3g}: install it anew")
