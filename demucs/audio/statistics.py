"""Normalisation of a mixture: mean and standard deviation, of the whole or block by block."""

import math

import torch
from torch import Tensor

_AT_A_TIME = 2**20  # samples turned into float64
FLOOR = 1e-8  # added to the deviation, so that silence can be divided by it


class MonoStatistics:
    """Mean and standard deviation of the mono version of a signal, by which models want it scaled.

    Blocks are merged by the method of Chan, Golub and LeVeque (1979), in float64.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # sum of squared distances to the mean

    def update(self, block: Tensor) -> None:
        """Takes the next samples, `[C, n]`."""
        for part in torch.split(block, _AT_A_TIME, dim=-1):
            mono = part.mean(0).double()
            count = len(mono)
            if count == 0:
                continue
            mean = float(mono.mean())
            squares = float((mono - mean).square().sum())
            distance, total = mean - self.mean, self.count + count
            self._squares += squares + distance**2 * self.count * count / total
            self.mean += distance * count / total
            self.count = total

    @property
    def scale(self) -> float:
        """Standard deviation (of n − 1; 0 for a single sample), and a little more than that."""
        if self.count < 2:
            return FLOOR
        return math.sqrt(self._squares / (self.count - 1)) + FLOOR


def normalise(mixture: Tensor) -> tuple[Tensor, float, float]:
    """The mixture as models are trained to get it, with zero mean and unit standard deviation.

    Args:
        mixture: `[C, T]`.

    Returns:
        The normalised mixture `[C, T]`, and the mean and scale of the mono version: stems of it are
        multiplied by the scale, and the mean is added.
    """
    statistics = MonoStatistics()
    statistics.update(mixture)
    return (mixture - statistics.mean) / statistics.scale, statistics.mean, statistics.scale
