"""Spectrograms as PNG files, with the colours and the few chunks of the format that they need."""

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW = 2048  # samples
ROWS, COLUMNS = 160, 900  # pixels
LOWEST = 40.0  # Hz
FLOOR = -120.0  # dB; what is not louder is silence
RANGE = 80.0  # dB below the loudest
MARKS = (100, 300, 1000, 3000, 10000)  # Hz, labelled in the page
# From black over purple and orange to pale yellow, in equal steps of lightness.
COLOURS = (
    (0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122),
    (229, 80, 100), (251, 135, 97), (254, 194, 135), (252, 253, 191),
)  # fmt: skip


def levels(wav: Tensor, samplerate: int) -> NDArray[np.float64]:
    """`[C, T]` to power in dB, `[ROWS, columns]`: low frequencies last, on a logarithmic axis.

    A pixel is the loudest bin and frame that falls into it, so that a short click is seen.
    """
    mono = wav.mean(0)
    size = min(WINDOW, max(16, mono.shape[-1] // 2 * 2))
    hop = max(1, min(size // 2, mono.shape[-1] // COLUMNS))
    spectrum = torch.stft(
        mono, size, hop, window=torch.hann_window(size), return_complex=True, pad_mode="constant"
    )
    power = spectrum.abs().square().double().numpy() / size
    edges = np.geomspace(LOWEST, samplerate / 2, ROWS + 1) * size / samplerate
    rows = [_pooled(power, low, high) for low, high in pairwise(edges)]
    image = np.stack(rows[::-1])
    count = min(COLUMNS, image.shape[1])
    starts = np.linspace(0, image.shape[1], count, endpoint=False).astype(int)
    pooled: NDArray[np.float64] = np.maximum.reduceat(image, starts, axis=1)
    return 10 * np.log10(pooled + 10 ** (FLOOR / 10))


def _pooled(power: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """The loudest bin from `low` to `high`; between two bins, a blend of these."""
    first, last = int(np.ceil(low)), int(np.floor(high))
    if first <= last:
        row: NDArray[np.float64] = power[first : last + 1].max(0)
        return row
    middle = (low + high) / 2
    below = min(int(middle), len(power) - 2)
    blend: NDArray[np.float64] = power[below] + (middle - below) * (power[below + 1] - power[below])
    return blend


def marks(samplerate: int) -> list[tuple[str, float]]:
    """Labels of the frequency axis: a text, and how far it is from the top, 0 to 1."""
    top = samplerate / 2
    width = np.log(top / LOWEST)
    return [
        (f"{mark // 1000} kHz" if mark >= 1000 else f"{mark} Hz", float(np.log(top / mark) / width))
        for mark in MARKS
        if mark < top * 0.8
    ]


def is_silent(decibels: NDArray[np.float64]) -> bool:
    """Whether a picture is silent: below the last of 16 bits."""
    return bool(decibels.max() < FLOOR + 1)


def write_picture(path: Path, decibels: NDArray[np.float64], loudest: float) -> None:
    """Writes levels in dB as a PNG of 256 colours, `loudest` and `RANGE` below it at the ends.

    Silence is black, however soft the loudest is.
    """
    scaled = np.clip((decibels - loudest) / RANGE + 1, 0, 1)
    scaled[decibels < FLOOR + 1] = 0
    path.write_bytes(png((scaled * 255).round().astype(np.uint8), _palette()))


def _palette() -> list[tuple[int, int, int]]:
    places = np.linspace(0, 255, len(COLOURS))
    channels = [np.interp(np.arange(256), places, [c[k] for c in COLOURS]) for k in range(3)]
    return [(round(r), round(g), round(b)) for r, g, b in zip(*channels, strict=True)]


def png(pixels: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> bytes:
    """`[rows, columns]` of numbers of colours as a PNG file (ISO/IEC 15948)."""
    rows, columns = pixels.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels], axis=1)  # 0: no filter
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(value for colour in palette for value in colour)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    ]
    png = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        check = zlib.crc32(kind + content)
        png += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
    return png
