"""L1-frequency, bleedless and fullness: differences of spectrograms.

As the Music-Source-Separation-Training project defines them, whose leaderboards they come from; see
`demucs.evaluation.metrics.definitions.DEFINITIONS`. Spectrograms are made a few frames at a time,
so that a song takes the memory of its mel bands only.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal
import scipy.sparse
from numpy.typing import NDArray

from demucs.evaluation.metrics.definitions import Measured, window_count

Array = NDArray[Any]

BLOCK = 256  # frames at a time
BANDS = 512
SILENCE = 1e-10  # magnitudes below it count as this
RANGE = 80  # dB below the loudest bin; what is fainter counts as this


def l1_frequency(references: Array, estimates: Array, samplerate: int) -> Measured:
    """The metric `l1_freq` of stems `[S, C, T]`, for the track `[S]` and its windows `[S, N]`."""
    size, hop = 2048, 1024
    count = window_count(references.shape[-1], samplerate)
    whole, parts = [], []
    for truth, guess in zip(references, estimates, strict=True):
        blocks = (_frames(estimate, size, hop, "reflect") for estimate in (truth, guess))
        distances = np.concatenate(
            [
                np.abs(_magnitudes(estimate) - _magnitudes(reference)).mean(
                    (0, 2), dtype=np.float64
                )
                for estimate, reference in zip(*blocks, strict=True)
            ]
        )
        seconds = _seconds(len(distances), hop, samplerate, count)
        total = np.bincount(seconds, distances, count + 1)
        frames = np.bincount(seconds, minlength=count + 1)
        whole.append(100 / (1 + 10 * distances.mean()))
        parts.append(100 / (1 + 10 * _mean(total, frames)[:count]))
    return {"l1_freq": (np.array(whole), np.array(parts))}


def bleedless_and_fullness(references: Array, estimates: Array, samplerate: int) -> Measured:
    """The metrics of these names of stems `[S, C, T]`, for the track and its windows.

    NaN where the estimate holds NaN or infinity.
    """
    count = window_count(references.shape[-1], samplerate)
    values: dict[str, tuple[list[Any], list[Any]]] = {"bleedless": ([], []), "fullness": ([], [])}
    for truth, guess in zip(references, estimates, strict=True):
        excess = mel_decibels(guess, samplerate)
        excess -= mel_decibels(truth, samplerate)
        seconds = _seconds(excess.shape[1], 1024, samplerate, count)
        for name, sign in (("bleedless", 1), ("fullness", -1)):
            there = sign * excess > 0
            amounts = np.where(there, sign * excess, 0).sum((0, 2), dtype=np.float64)
            bins = there.sum((0, 2))
            if not np.isfinite(excess).all():
                amounts[:] = np.nan
            total = np.bincount(seconds, amounts, count + 1)
            number = np.bincount(seconds, bins, count + 1)
            values[name][0].append(float(100 / (1 + amounts.sum() / max(1, bins.sum()))))
            values[name][1].append(100 / (1 + total / np.maximum(1, number))[:count])
    return {name: (np.array(whole), np.array(windows)) for name, (whole, windows) in values.items()}


def mel_decibels(signal: Array, samplerate: int) -> Array:
    """A spectrogram of 512 mel bands in dB, `[C, frames, bands]`, of a signal `[C, T]`."""
    window = scipy.signal.get_window("hann", 4096).astype(np.float32)
    bank = _mel_bank(samplerate, 4096)
    blocks = []
    for frames in _frames(signal, 4096, 1024, "constant"):
        magnitudes = _magnitudes(frames * window)
        bands = (bank @ magnitudes.reshape(-1, magnitudes.shape[-1]).T).T
        blocks.append(bands.reshape(*magnitudes.shape[:2], BANDS))
    found = np.concatenate(blocks, 1)
    np.maximum(found, SILENCE, out=found)
    np.log10(found, out=found)
    found *= 20
    np.maximum(found, found.max() - RANGE, out=found)
    return found


def _frames(signal: Array, size: int, hop: int, padding: Any) -> Iterator[Array]:
    """Blocks `[C, n, size]` of frames; the k-th is centred on sample `k * hop` of `[C, T]`."""
    padded = np.pad(signal.astype(np.float32), ((0, 0), (size // 2, size // 2)), padding)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[:, ::hop]
    for first in range(0, frames.shape[1], BLOCK):
        yield frames[:, first : first + BLOCK]


def _magnitudes(frames: Array) -> Array:
    magnitudes: Array = np.abs(scipy.fft.rfft(frames))
    return magnitudes


def _seconds(frames: int, hop: int, samplerate: int, count: int) -> Array:
    """The window in which each frame has its centre; `count` for those after the last."""
    return np.minimum(np.arange(frames) * hop // samplerate, count)


def _mean(total: Array, number: Array) -> Array:
    """NaN where there is nothing: windows shorter than a hop."""
    with np.errstate(invalid="ignore"):
        mean: Array = total / number
    return mean


@cache
def _mel_bank(samplerate: int, size: int) -> Any:
    """`[BANDS, size // 2 + 1]`, sparse: triangles of equal area, evenly spaced on a mel scale.

    The scale is that of Slaney's Auditory Toolbox (1998): linear up to 1 kHz, logarithmic above.
    """
    linear, step = 200 / 3, np.log(6.4) / 27
    top = samplerate / 2
    last = 15 + np.log(top / 1000) / step if top >= 1000 else top / linear
    mels = np.linspace(0, last, BANDS + 2)
    edges = np.where(mels < 15, mels * linear, 1000 * np.exp(step * (mels - 15)))
    low, centre, high = (edges[k : k + BANDS, None] for k in range(3))
    bins = np.linspace(0, top, size // 2 + 1)
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    triangles = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    return scipy.sparse.csr_array(triangles.astype(np.float32))
