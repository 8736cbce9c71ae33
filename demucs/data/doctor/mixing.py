"""Comparison of the files of a track: the sum of the stems, and stems that are the same."""

from dataclasses import dataclass

import numpy as np

from demucs.data.doctor.decode import Samples
from demucs.data.doctor.file_levels import decibels, frame_powers

_LEAST = 1e-12  # -120 dB: less is no more than rounding, and -inf is no JSON


@dataclass(frozen=True, slots=True)
class SumFacts:
    """Levels of a mixture against the sum of its stems.

    Attributes:
        residual_db: mixture minus sum, against the mixture.
        peak: largest sample of mixture minus sum.
        crest_db: that against the level of mixture minus sum.
        gain: by which the sum fits the mixture best.
        fitted_db: mixture minus that times the sum, against the mixture.
    """

    residual_db: float
    peak: float
    crest_db: float
    gain: float
    fitted_db: float


class Mixing:
    """Gathers products of the waves of a track.

    Args:
        names: of the waves.
        mixture: which of them is the mixture; None: there is none.
        frame: samples that are summed in single precision.
    """

    def __init__(self, names: list[str], mixture: str | None, frame: int) -> None:
        self._names = names
        self._compared = 0
        self._mixture = names.index(mixture) if mixture is not None else None
        self._frame = frame
        self._products = np.zeros((len(names), len(names)))
        self._residual = self._mixed = self._cross = self._summed = self._peak = 0.0

    def add(self, block: Samples, common: int) -> None:
        """Takes in `[W, C, T]`; the files differ in length behind the first `common` samples."""
        waves, channels, length = block.shape
        framed = block.reshape(waves, channels, length // self._frame, self._frame)
        rows = framed.transpose(2, 0, 1, 3).reshape(-1, waves, channels * self._frame)
        self._products += np.matmul(rows, rows.transpose(0, 2, 1)).sum(0, dtype=np.float64)
        if self._mixture is None or waves < 2 or not common:
            return
        mixture = block[self._mixture, :, :common]
        summed = np.delete(block[:, :, :common], self._mixture, axis=0).sum(0)
        residual = mixture - summed
        self._compared += residual.size
        self._residual += self._energy(residual)
        self._peak = max(self._peak, float(np.abs(residual).max()))
        self._mixed += self._energy(mixture)
        self._summed += self._energy(summed)
        self._cross += (self._energy(mixture + summed) - self._energy(residual)) / 4

    def sum_facts(self) -> SumFacts | None:
        """None without a mixture, without stems, or where either is silent."""
        if self._mixed <= 0 or self._summed <= 0:
            return None
        gain = self._cross / self._summed
        fitted = max(self._mixed - gain * self._cross, _LEAST * self._mixed)
        return SumFacts(
            residual_db=decibels(self._residual / self._mixed),
            peak=self._peak,
            crest_db=decibels(self._peak**2 * self._compared / max(self._residual, 1e-30)),
            gain=gain,
            fitted_db=decibels(fitted / self._mixed),
        )

    def left_over(self) -> dict[tuple[str, str], tuple[float, float]]:
        """For each pair of stems that sound: what a gain times the other leaves (dB), the gain."""
        pairs = {}
        products = self._products
        stems = [i for i in range(len(self._names)) if i != self._mixture and products[i, i] > 0]
        for i in stems:
            for j in stems:
                if i < j:
                    gain = products[i, j] / products[i, i]
                    left = max(1 - gain * products[i, j] / products[j, j], _LEAST)
                    pairs[self._names[i], self._names[j]] = (decibels(left), float(gain))
        return pairs

    def _energy(self, wave: Samples) -> float:
        return float(frame_powers(wave, self._frame).sum()) * self._frame * len(wave)
