"""Long files as excerpts, so that memory stays constant and good passages can be told from bad."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Excerpt:
    """`frames` samples from sample `start`; `number` counts from 1, 0 is the whole file."""

    number: int
    start: int
    frames: int

    def name(self, file: str) -> str:
        """Of the song that is made of it: `FILE`, or `FILE_0003`."""
        return f"{file}_{self.number:04}" if self.number else file


def excerpts(length: int, samplerate: int, seconds: float) -> list[Excerpt]:
    """Divides `length` samples into equal excerpts of `seconds` at most; 0 is one, of any length.

    Equal ones, so that no last one is too short to be judged.
    """
    count = math.ceil(length / max(1.0, seconds * samplerate)) if seconds else 1
    if count <= 1:
        return [Excerpt(0, 0, length)]
    edges = [length * k // count for k in range(count + 1)]
    return [Excerpt(k + 1, edges[k], edges[k + 1] - edges[k]) for k in range(count)]
