"""Changing the tempo of a stem so that its beats fall on given ones, and its pitch.

Between two songs of steady tempo that is one stretch. Where a beat would then be off by more than
`TOLERANCE`, the stem is cut just before that beat and goes on with another stretch.
"""

import math

import numpy as np
from numpy.typing import NDArray

from demucs.data.augment import Stretch
from demucs.data.automix.onsets import Array
from demucs.data.repitch import HEADROOM, Engine

TOLERANCE = 0.010  # seconds
LEAD = 0.030  # seconds before its first beat that a piece begins, for the attack to be whole
FADE = 0.010  # seconds from one piece to the next
MARGIN = 0.1  # seconds read beyond the need, so that no end of the file is heard
UNCHANGED = 1e-3  # percent

Samples = NDArray[np.float32]


def follow(
    wav: Samples,
    samplerate: int,
    source: Array,
    target: Array,
    *,
    semitones: int,
    engine: Engine,
    speech: bool,
) -> Samples:
    """Brings the moments `source` of a signal to the moments `target`.

    Args:
        wav: `[T, C]`.
        samplerate: Hz.
        source: seconds, at least two, rising.
        target: seconds, as many.
        semitones: change of pitch.
        engine: what stretches.
        speech: tell it that this is a voice.

    Returns:
        `[T', C]` from `LEAD` seconds before the first of `target` to as much before the last,
        faded in and out.

    Raises:
        AudioError: the engine failed.
    """
    edges = np.rint((target - target[0]) * samplerate).astype(int)
    fade = round(FADE * samplerate)
    out = np.zeros((edges[-1] + fade, wav.shape[1]), dtype=np.float32)
    rise = np.linspace(0, 1, fade, dtype=np.float32)[:, None]
    for first, last in pieces(source, target):
        speed = float((source[last] - source[first]) / (target[last] - target[first]))
        begin, frames = int(edges[first]), int(edges[last] - edges[first]) + fade
        start = round((float(source[first]) - LEAD * speed) * samplerate)
        stretch = Stretch((speed - 1) * 100, semitones)
        piece = _stretched(wav, samplerate, start, frames, stretch, engine, speech)
        piece[:fade] *= rise
        piece[-fade:] *= rise[::-1]
        out[begin : begin + frames] += piece
    return out[: edges[-1]] if len(edges) > 1 else out


def pieces(source: Array, target: Array) -> list[tuple[int, int]]:
    """Ranges of moments, each as long as one stretch keeps all of it within `TOLERANCE`."""
    found, first = [], 0
    while first < len(source) - 1:
        last = first + 1
        while last + 1 < len(source) and _off(source, target, first, last + 1) <= TOLERANCE:
            last += 1
        found.append((first, last))
        first = last
    return found


def _off(source: Array, target: Array, first: int, last: int) -> float:
    """Seconds by which a moment is off if those from `first` to `last` share a stretch."""
    ends = [first, last]
    inside = slice(first, last + 1)
    return float(
        np.abs(np.interp(source[inside], source[ends], target[ends]) - target[inside]).max()
    )


def _stretched(
    wav: Samples,
    samplerate: int,
    start: int,
    frames: int,
    stretch: Stretch,
    engine: Engine,
    speech: bool,
) -> Samples:
    """`[frames, C]` of `wav` `[T, C]` from frame `start`, with zeros where there is nothing."""
    unchanged = abs(stretch.tempo) < UNCHANGED and stretch.pitch == 0
    need = frames
    if not unchanged:
        need = math.ceil(frames * (1 + stretch.tempo / 100) + MARGIN * samplerate)
    read = wav[max(start, 0) : max(start + need, 0)]
    before = max(-start, 0)
    read = np.pad(read, ((before, max(0, need - before - len(read))), (0, 0)))
    if unchanged:
        return read
    peak = float(np.abs(read).max(initial=0))
    if peak == 0:
        return np.zeros((frames, wav.shape[1]), dtype=np.float32)
    gain = np.float32(HEADROOM / peak)
    got = engine.stretch(
        np.ascontiguousarray(read * gain), samplerate, stretch, frames, speech=speech
    )
    return np.asarray(np.pad(got / gain, ((0, frames - len(got)), (0, 0))))
