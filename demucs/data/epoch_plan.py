"""The plan of an epoch: the order of segments, and the remix of their stems."""

import numpy as np

from demucs.data.rng import Purpose, generator


class EpochPlan:
    """Maps a position of an epoch to a segment, and each stem of it to the position it is from.

    The order is a permutation of all segments. Positions form groups of `group`; inside a group
    each stem is dealt out anew. So in an epoch every stem of every segment is heard exactly
    once, and neither batches nor ranks enter: the remix of Uhlich et al. (ICASSP 2017), known
    before the micro-batch is.
    """

    def __init__(
        self, segments: int, *, seed: int, epoch: int, stems: int, group: int, remix_proba: float
    ) -> None:
        self.seed, self.epoch, self.stems = seed, epoch, stems
        self.group, self.remix_proba = group, remix_proba
        self.order = generator(seed, Purpose.ORDER, epoch).permutation(segments)

    def segment(self, position: int) -> int:
        """The segment that stands at `position` before stems are exchanged."""
        return int(self.order[position])

    def origins(self, position: int) -> list[int]:
        """For each stem, the position whose segment it comes from; `[S]`."""
        number, inside = divmod(position, self.group)
        first = number * self.group
        size = min(self.group, len(self.order) - first)  # the last group may be smaller
        rng = generator(self.seed, Purpose.REMIX, self.epoch, number)
        if rng.random() >= self.remix_proba:
            return [position] * self.stems
        places = rng.permuted(np.tile(np.arange(size), (self.stems, 1)), axis=1)
        return [first + int(place) for place in places[:, inside]]
