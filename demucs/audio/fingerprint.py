"""An audio fingerprint that survives mp3 coding, gain changes, noise and cuts.

It consists of pairs of spectral peaks, as in Wang's "An Industrial-Strength Audio Search Algorithm"
(ISMIR 2003), and does not survive another pitch or tempo.

Times and frequencies are in units that do not depend on the sample rate, so that a song at 48 kHz
has the landmarks that it has at 44.1 kHz.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from torch import Tensor

from demucs.audio.spectra import BLOCK_HOPS, HOP_SECONDS, Spectrograph, hop_frames

SECTION = 60.0  # seconds: a test song inside a long file is then a large part of a section
UNIT_HZ = 1 / (2 * HOP_SECONDS)
_BAND_HZ = (200.0, 5000.0)  # below, peaks are broad; above, codecs leave little
_AROUND = (11, 31)  # hops and bins in which a peak is the highest: some 25 peaks a second
_RANGE = 10**-5.0  # peaks more than 50 dB below the block's loudest may be noise or codec
_FLOOR = 1e-11  # power of a peak; digital silence has none
_FAN = 3  # later peaks that a peak is paired with
_NEXT = (2, 40)  # hops between the two, 0.1 to 1.9 s
_APART = 120  # bins between the two at most, 1.3 kHz
_REPEATS = 12  # times that a song may hold one landmark: loops would count as many songs do
_COMMON = 300  # occurrences of a landmark in others: one that is so frequent says nothing


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Fingerprint: landmarks `[N]`, and their times `[N]` in units of `HOP_SECONDS`."""

    marks: NDArray[np.uint32]
    times: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Match:
    """Two fingerprints with landmarks in common.

    Attributes:
        first: number of the one.
        second: number of the other, larger than `first`.
        count: landmarks that they share at the best offset.
        share: the same as a part of the shorter one's.
        offset: seconds by which the second has them later.
    """

    first: int
    second: int
    count: int
    share: float
    offset: float


class Peaks:
    """Collects the spectral peaks of one wave.

    Args:
        samplerate: Hz.
        hop: of the spectra, in samples.
    """

    def __init__(self, samplerate: int, hop: int) -> None:
        self._time = hop / samplerate / HOP_SECONDS
        self._bin = samplerate / (2 * hop) / UNIT_HZ
        self._low, high = (int(hz / (UNIT_HZ * self._bin)) for hz in _BAND_HZ)
        self._band = slice(self._low, high)
        self._hops = 0
        self._peaks: list[NDArray[np.int64]] = []

    def add(self, powers: NDArray[np.float32]) -> None:
        """Takes in squared magnitudes `[K, F]` of the next hops."""
        band = powers[:, self._band]
        least = max(_FLOOR, float(band.max(initial=0.0)) * _RANGE)
        tops = (band == maximum_filter(band, _AROUND, mode="nearest")) & (band > least)
        self._peaks.append(np.argwhere(tops) + np.array([self._hops, self._low]))
        self._hops += len(powers)

    def landmarks(self) -> Landmarks:
        """Pairs of peaks as numbers: frequency, difference in frequency, difference in time."""
        if not self._peaks:
            return Landmarks(np.zeros(0, np.uint32), np.zeros(0, np.int32))
        peaks = np.concatenate(self._peaks) * np.array([self._time, self._bin])
        times, bins = np.rint(peaks).astype(np.int64).T
        marks, when = [], []
        paired = np.zeros(len(times), np.int64)
        for step in range(1, 40):
            later, rise = times[step:] - times[:-step], bins[step:] - bins[:-step]
            good = (later >= _NEXT[0]) & (later <= _NEXT[1]) & (np.abs(rise) <= _APART)
            good &= paired[:-step] < _FAN
            paired[:-step] += good
            code = (bins[:-step] << 15) | ((rise + 128) << 7) | later
            marks.append(code[good])
            when.append(times[:-step][good])
        return _without_loops(np.concatenate(marks), np.concatenate(when))


def _without_loops(marks: NDArray[np.int64], times: NDArray[np.int64]) -> Landmarks:
    """The first few of each landmark."""
    order = np.lexsort((times, marks))
    marks, times = marks[order], times[order]
    again = np.zeros(len(marks), bool)
    again[_REPEATS:] = marks[_REPEATS:] == marks[:-_REPEATS]
    return Landmarks(marks[~again].astype(np.uint32), times[~again].astype(np.int32))


class SectionLandmarks:
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


def section_landmarks(blocks: Iterable[Tensor], samplerate: int, seconds: float) -> list[Landmarks]:
    """The landmarks of each section of a signal in blocks `[C, n]`."""
    sections = SectionLandmarks(samplerate, seconds)
    for block in blocks:
        sections.add(block)
    return sections.finish()


def matches(
    prints: Sequence[Landmarks],
    wanted: Callable[[int, int], bool] = lambda i, j: True,
    firsts: int | None = None,
) -> list[Match]:
    """Pairs of fingerprints that share landmarks at one offset, whatever their share.

    Args:
        prints: the fingerprints.
        wanted: whether a pair of numbers is of interest.
        firsts: only pairs with one of the first so many, which is quicker; None is all.
    """
    count = len(prints)
    sizes = np.array([len(landmarks.marks) for landmarks in prints])
    if not sizes.sum():
        return []
    marks = np.concatenate([landmarks.marks for landmarks in prints]).astype(np.int64)
    times = np.concatenate([landmarks.times for landmarks in prints]).astype(np.int64)
    keys = marks * count + np.repeat(np.arange(count), sizes)  # by landmark, then by owner
    order = np.argsort(keys)
    keys, times = keys[order], times[order]
    pairs = []
    # Not all together: their pairs are too many.
    for number, landmarks in enumerate(prints[:-1][:firsts]):
        key = landmarks.marks.astype(np.int64) * count
        begin, end = np.searchsorted(keys, key + number + 1), np.searchsorted(keys, key + count)
        twins = np.where(end - begin > _COMMON, 0, end - begin)
        which = np.repeat(begin - np.cumsum(twins) + twins, twins) + np.arange(twins.sum())
        later = times[which] - np.repeat(landmarks.times, twins)
        for second, offset, votes in _best_offsets(keys[which] % count, later):
            if wanted(number, second):
                share = votes / max(1, int(min(sizes[number], sizes[second])))
                pairs.append(Match(number, second, votes, share, offset * HOP_SECONDS))
    return pairs


def _best_offsets(
    owners: NDArray[np.int64], offsets: NDArray[np.int64]
) -> Iterator[tuple[int, int, int]]:
    """For each owner its most frequent offset, and how often; those beside it count too."""
    if not len(owners):
        return
    low = int(offsets.min())
    span = int(offsets.max()) - low + 2  # one more than there are, so that owners do not touch
    keys, votes = np.unique(owners * span + offsets - low, return_counts=True)
    total = votes.copy()
    beside = np.diff(keys) == 1
    total[1:][beside] += votes[:-1][beside]
    total[:-1][beside] += votes[1:][beside]
    order = np.lexsort((total, keys // span))
    last = order[np.flatnonzero(np.diff(keys[order] // span, append=-1))]
    for key, count in zip(keys[last], total[last], strict=True):
        yield int(key) // span, int(key) % span + low, int(count)
