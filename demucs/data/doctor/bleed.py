"""Bleed: is what a stem holds in its quiet moments a filtered copy of another stem?

A microphone that hears another instrument softly writes a fixed filter of it. So in the frames
where a stem is far below its mean level, its coherence with the other stem is near 1, while for
independent parts it is about 1 / frames. Frames are weighted by the stem's own level: each counts
the same. Parts that an arranger doubled look alike too: a suspicion, no proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demucs.audio.spectra import Spectra, bin_hertz
from demucs.data.doctor.file_levels import decibels
from demucs.data.doctor.limits import (
    BLEED_BAND_HZ,
    BLEED_BELOW_DB,
    BLEED_FLOOR_DBFS,
    BLEED_FRAMES,
)

REST = "the other stems"
_STEP_DB = 6.0  # width of the level classes in which frames are gathered
_CLASSES = int(-BLEED_FLOOR_DBFS // _STEP_DB) + 1


@dataclass(frozen=True, slots=True)
class BleedFacts:
    """The likeliest source of a stem's quiet moments.

    Attributes:
        other: that stem, or `REST` for all of them together.
        share: of the energy of the quiet moments that it explains, 0 to 1.
        level_db: what it explains, against the other stem.
    """

    other: str
    share: float
    level_db: float


class Bleed:
    """Gathers cross spectra of stems by the level of the one that may hold the others.

    Args:
        names: of the stems.
        samplerate: Hz.
        hop: of the spectra, in samples.
    """

    def __init__(self, names: Sequence[str], samplerate: int, hop: int) -> None:
        self._names = list(names)
        hertz = bin_hertz(samplerate, hop)
        low, high = np.searchsorted(hertz, BLEED_BAND_HZ)
        self._band = slice(int(low), int(high))
        stems, bins = len(names), int(high - low)
        self._counts = np.zeros((stems, _CLASSES), np.int64)
        self._levels = np.zeros((stems, _CLASSES))  # summed frame powers
        self._own = np.zeros((stems, _CLASSES, bins), np.float32)
        self._other = np.zeros((stems, _CLASSES, stems, bins), np.float32)
        self._cross = np.zeros((stems, _CLASSES, stems, bins), np.complex64)

    def add(self, spectra: Spectra) -> None:
        """Takes in the stems' spectra `[S, K, F]`; every second frame, as these do not overlap."""
        if len(self._names) < 2:
            return
        band = spectra[:, ::2, self._band]
        rest = band.sum(0)
        powers = np.square(np.abs(band)).sum(2)
        with np.errstate(divide="ignore"):
            classes = np.floor((10 * np.log10(powers) - BLEED_FLOOR_DBFS) / _STEP_DB)
        for stem, (row, power) in enumerate(zip(classes, powers, strict=True)):
            for level in np.unique(row[row >= 0]).astype(int):
                frames = np.flatnonzero(row == level)
                self._gather(stem, min(level, _CLASSES - 1), band, rest, frames, power[frames])

    def _gather(
        self,
        stem: int,
        level: int,
        band: Spectra,
        rest: Spectra,
        frames: NDArray[np.int64],
        power: NDArray[np.float32],
    ) -> None:
        weight = (1 / np.sqrt(power))[:, None]
        own = band[stem, frames] * weight
        others = band[:, frames] * weight
        others[stem] = (rest[frames] - band[stem, frames]) * weight  # its own place holds the rest
        self._counts[stem, level] += len(frames)
        self._levels[stem, level] += float(power.sum())
        self._own[stem, level] += np.square(np.abs(own)).sum(0)
        self._other[stem, level] += np.square(np.abs(others)).sum(1)
        self._cross[stem, level] += np.einsum("kf,skf->sf", own.conj(), others)

    def facts(self) -> dict[str, BleedFacts]:
        """For each stem with enough quiet frames: the best explanation of these."""
        correlations = {}
        for stem, name in enumerate(self._names):
            total = int(self._counts[stem].sum())
            if not total:
                continue
            mean = decibels(float(self._levels[stem].sum()) / total)
            top = int((mean - BLEED_BELOW_DB - BLEED_FLOOR_DBFS) // _STEP_DB)
            cuts = [self._explained(stem, cut) for cut in range(1, min(top, _CLASSES) + 1)]
            best = max((cut for cut in cuts if cut), key=lambda cut: cut.share, default=None)
            if best is not None:
                correlations[name] = best
        return correlations

    def _explained(self, stem: int, classes: int) -> BleedFacts | None:
        """By the frames of the lowest level classes."""
        count = int(self._counts[stem, :classes].sum())
        if count < BLEED_FRAMES:
            return None
        own = self._own[stem, :classes].sum(0, dtype=np.float64)
        other = self._other[stem, :classes].sum(0, dtype=np.float64)
        cross = np.square(np.abs(self._cross[stem, :classes].sum(0, dtype=np.complex128)))
        coherence = cross / np.maximum(own * other, 1e-30)
        coherence = np.maximum((coherence - 1 / count) / (1 - 1 / count), 0.0)  # what chance gives
        explained = (coherence * own).sum(1)
        best = int(explained.argmax())
        # With two stems, the rest is the other one: give its name.
        if best == stem and len(self._names) == 2:
            best = 1 - stem
        return BleedFacts(
            other=REST if best == stem else self._names[best],
            share=float(explained[best] / own.sum()),
            level_db=decibels(float(explained[best] / max(other[best].sum(), 1e-30))),
        )
