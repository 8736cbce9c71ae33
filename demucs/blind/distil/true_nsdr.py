"""The true quality of an excerpt, where the folder has the stems: for experiments only."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from demucs.audio import AudioSource
from demucs.blind.distil.excerpts import Excerpt, cut
from demucs.blind.quality import plain
from demucs.errors import AudioError
from demucs.evaluation.metrics.nsdr import nsdr


class TrueStems:
    """The true stems of a file, an excerpt at a time.

    Args:
        stems: files by name.
        sources: the stems that are wanted, in order.
        samplerate, channels: of the teacher.
        length: of the mixture; other lengths are of no use.
        wanted: excerpts, in order.
    """

    def __init__(
        self,
        stems: Mapping[str, Path],
        sources: Sequence[str],
        samplerate: int,
        channels: int,
        length: int,
        wanted: Sequence[Excerpt],
    ) -> None:
        self._cuts: list[Iterator[tuple[Excerpt, Tensor]]] = []
        with suppress(AudioError):
            references = [
                AudioSource(stems[source], samplerate, channels)
                for source in sources
                if source in stems
            ]
            if len(references) == len(sources) and all(
                source.length == length for source in references
            ):
                self._cuts = [cut(source.blocks(), wanted) for source in references]

    def take(self) -> Tensor | None:
        """The stems `[S, C, frames]` of the next excerpt; None where they are of no use."""
        return torch.stack([next(cuts)[1] for cuts in self._cuts]) if self._cuts else None


def true_quality(true: Tensor, estimates: Tensor) -> dict[str, list[float | None]]:
    """`nsdr` (dB) of estimates `[S, C, T]`, and `level` of the true stems (dB full scale)."""
    level = 10 * torch.log10(true.double().square().mean((1, 2)) + 1e-20)
    return {
        "nsdr": plain(nsdr(true[None], estimates[None].cpu())[0].double().numpy()),
        "level": plain(level.numpy()),
    }
