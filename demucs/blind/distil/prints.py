"""Fingerprints of the sound of a file, a section at a time (`demucs.audio.fingerprint`)."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from demucs.audio.fingerprint import Landmarks, Peaks
from demucs.audio.spectra import BLOCK_HOPS, Spectrograph, hop_frames

SECTION = 60.0  # seconds: a test song inside a long file is then a large part of a section


class SectionPrints:
    """Takes a signal in blocks `[C, n]` and gives the landmarks of each section.

    Args:
        samplerate: Hz.
        seconds: of a section, rounded to blocks of 6 s; the last one is what remains.
    """

    def __init__(self, samplerate: int, seconds: float = SECTION) -> None:
        self._rate, self._hop = samplerate, hop_frames(samplerate)
        self._step = BLOCK_HOPS * self._hop
        self._steps = max(1, round(seconds * samplerate / self._step))
        self._rest = torch.zeros(0)
        self._finished: list[Landmarks] = []
        self._begin()

    def _begin(self) -> None:
        self._peaks, self._count = Peaks(self._rate, self._hop), 0
        self._spectrograph = Spectrograph(1, self._hop)

    def add(self, block: Tensor) -> None:
        wave = torch.cat([self._rest, block.mean(0)])
        whole = len(wave) // self._step * self._step
        for part in torch.split(wave[:whole], self._step) if whole else ():
            if self._count == self._steps:
                self._finished.append(self._peaks.landmarks())
                self._begin()
            self._add(part)
        self._rest = wave[whole:].clone()

    def _add(self, part: Tensor) -> None:
        spectra = self._spectrograph.add(part.numpy()[None].astype(np.float32))[0]
        self._peaks.add(np.square(spectra.real) + np.square(spectra.imag))
        self._count += 1

    def finish(self) -> list[Landmarks]:
        """The landmarks of all sections; none of a signal without samples."""
        if len(self._rest):
            padding = -len(self._rest) % self._hop
            self._add(torch.nn.functional.pad(self._rest, (0, padding)))
            self._rest = torch.zeros(0)
        if self._count:
            self._finished.append(self._peaks.landmarks())
        return self._finished


def prints_of(blocks: Iterable[Tensor], samplerate: int, seconds: float) -> list[Landmarks]:
    """The landmarks of each section of a signal in blocks `[C, n]`."""
    prints = SectionPrints(samplerate, seconds)
    for block in blocks:
        prints.add(block)
    return prints.finish()


def observed(blocks: Iterable[Tensor], prints: SectionPrints) -> Iterator[Tensor]:
    """The same blocks; `prints` takes them in as they pass."""
    for block in blocks:
        prints.add(block)
        yield block
