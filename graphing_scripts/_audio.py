"""Audio files, their spectrograms with a logarithmic frequency axis, and nSDR."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

LOWEST = 40.0  # Hz
BANDS = 128
WINDOW = 0.093  # seconds: 4096 samples at 44.1 kHz
COLUMNS = 1200  # of a spectrogram, at most
LONGEST = 2**40  # frames; libsndfile has a larger number where a stream does not tell its length


@dataclass
class Clip:
    """Audio `[T, C]` and its rate in Hz."""

    audio: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.audio) / self.rate


def read_clip(path: Path, start: float, seconds: float | None) -> Clip:
    """A span of a file.

    Raises:
        ValueError: it cannot be read, or has nothing there.
    """
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames > LONGEST:
                raise ValueError(f"{path} does not tell its length: write it anew as wav or flac")
            begin = round(start * file.samplerate)
            if begin >= file.frames:
                length = file.frames / file.samplerate
                raise ValueError(
                    f"{path} ends after {length:.2f} s, before --start {start:g}: start earlier"
                )
            count = file.frames if seconds is None else max(1, round(seconds * file.samplerate))
            before = begin if file.format == "OGG" else 0  # in which libsndfile may seek amiss
            file.seek(begin - before)
            audio = file.read(before + count, dtype="float32", always_2d=True)[before:]
            rate = file.samplerate
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as audio ({error}): give wav or flac") from None
    if not len(audio):
        raise ValueError(f"{path} has no samples there")
    if not np.isfinite(audio).all():
        raise ValueError(f"{path} has samples that are not numbers (NaN or infinity)")
    return Clip(audio, rate)


def spectrogram(audio: NDArray[np.float32], rate: int) -> tuple[NDArray, NDArray]:
    """Power, mean over channels, in bands that are equal steps of log frequency.

    Args:
        audio: `[T, C]`.

    Returns:
        `[bands, frames]`, and the bands' `[bands + 1]` edges in Hz.
    """
    window = min(len(audio), 2 ** round(np.log2(WINDOW * rate)))
    hop = max(1, window // 4, len(audio) // COLUMNS)
    frequencies, _, power = signal.spectrogram(
        audio, rate, "hann", nperseg=window, noverlap=max(0, window - hop), axis=0,
        scaling="spectrum", detrend=False,
    )  # fmt: skip
    power = power.mean(1)
    edges = np.geomspace(LOWEST, rate / 2, BANDS + 1)
    places = np.searchsorted(frequencies, edges)
    bands = np.empty((BANDS, power.shape[1]))
    for band, (low, high) in enumerate(itertools.pairwise(places)):
        if high > low:
            bands[band] = power[low:high].mean(0)
        else:  # narrower than what the transform resolves: what lies between two of its bins
            centre = np.sqrt(edges[band] * edges[band + 1])
            after = min(max(int(np.searchsorted(frequencies, centre)), 1), len(frequencies) - 1)
            step = frequencies[after] - frequencies[after - 1]
            share = min(max((centre - frequencies[after - 1]) / step, 0.0), 1.0)
            bands[band] = (1 - share) * power[after - 1] + share * power[after]
    return bands, edges


def compared(first: Clip, others: Sequence[Clip]) -> tuple[NDArray[np.float32], int]:
    """The sum of `others` with the length and channels of `first`, and how much all have.

    Where channels differ, the mean of them stands for each.
    """
    total = np.zeros_like(first.audio)
    short = min([len(first.audio), *(len(clip.audio) for clip in others)])
    for clip in others:
        audio = clip.audio[: len(total)]
        if audio.shape[1] != total.shape[1]:
            audio = audio.mean(1, keepdims=True)
        total[: len(audio)] += audio
    return total, short


def nsdr(reference: NDArray, estimate: NDArray) -> float | None:
    """10·log10((Σ‖s‖² + 1e-7) / (Σ‖s−ŝ‖² + 1e-7)) in dB, as everywhere in this project.

    None where the reference is silent.
    """
    reference, estimate = reference.astype(np.float64), estimate.astype(np.float64)
    if not np.any(reference):
        return None
    ratio = (np.sum(reference**2) + 1e-7) / (np.sum((reference - estimate) ** 2) + 1e-7)
    return float(10 * np.log10(ratio))
