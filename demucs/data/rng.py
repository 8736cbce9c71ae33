"""Random numbers that depend on a place, not on a history.

Every draw comes from a generator keyed by (seed, purpose, epoch, index). Nothing is global, so
workers, ranks and restarts see the same numbers. (NumPy's Philox is counter-based: Salmon et
al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.)
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a generator is for. The numbers are part of a run's identity: never renumber."""

    ORDER = 0
    REMIX = 1
    AUGMENT = 2
    REPITCH = 3
    SILENCE = 4
    TEACHER = 5


def generator(seed: int, purpose: Purpose, epoch: int, index: int = 0) -> np.random.Generator:
    """A fresh generator for one place; all arguments are non-negative.

    >>> first, again = (generator(42, Purpose.ORDER, epoch=3) for _ in range(2))
    >>> first.random() == again.random()
    True
    """
    key = np.random.SeedSequence((seed, int(purpose), epoch, index))
    return np.random.Generator(np.random.Philox(key))
