"""Certified-silence remixes (Défossez et al., "Demucs", arXiv:1909.01174, section 4.2).

Where stem i is silent in an unlabelled mixture m, x = m + s_i is a mixture of which stem i is
known, s_i, and of the others their sum, m. What is silent is read from predicted activity.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from demucs.data.augment import draw_stems
from demucs.data.distilled import Labels
from demucs.data.examples import TrainingSet
from demucs.data.readers import MIXTURE
from demucs.data.rng import Purpose, generator
from demucs.data.tracks import Track
from demucs.errors import ConfigError


class Stretch(NamedTuple):
    """A stretch of a track over which a stem is silent: first frame, and first one after it."""

    track: Track
    start: int
    end: int


class SilenceSet(Dataset["tuple[Tensor, int]"]):
    """Mixtures in which a stem is silent, each with that stem of a labelled song.

    `dataset[epoch, number]` is the stems `[S, C, T]`, with s_i in slot i, m in the next and nothing
    in the others, and i. Stems take turns by chance, each as likely as another that has stretches.

    Args:
        labelled: where s_i is from; its augmentation but tempo and pitch holds here too.
        pseudo: where m is from.
        labels: of each of its tracks.
        most: probability that a stem plays, below which it is silent.

    Raises:
        ConfigError: fewer than two stems, or no stretch of an example's length.
    """

    def __init__(
        self, labelled: TrainingSet, pseudo: TrainingSet, labels: Sequence[Labels], *, most: float
    ) -> None:
        self.labelled, self.pseudo, self.seed = labelled, pseudo, labelled.seed
        if len(labelled.sources) < 2:
            raise ConfigError(
                f"semi.silence needs two stems or more, and dset.sources is "
                f"{list(labelled.sources)}: set semi.silence=0"
            )
        size = labelled.example_frames
        runs = [_runs(pseudo.tracks, labels, stem, most) for stem in range(len(labelled.sources))]
        self.stretches = [[run for run in some if run.end - run.start >= size] for some in runs]
        if not any(self.stretches):
            raise ConfigError(_nothing(labelled, runs, most))

    def __getitem__(self, index: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, number = index
        rng = generator(self.seed, Purpose.SILENCE, epoch, number)
        there = [stem for stem, some in enumerate(self.stretches) if some]
        stem = there[int(rng.integers(len(there)))]
        track, start = self._place(self.stretches[stem], rng)
        segment = int(rng.integers(len(self.labelled)))
        drawn, mixed = draw_stems(
            self.labelled.augment, seed=self.seed, epoch=epoch, position=number, stems=2,
            shift=self.labelled.shift_frames,
        )  # fmt: skip
        stems = torch.zeros(
            len(self.labelled.sources), self.labelled.channels, self.labelled.example_frames
        )
        stems[stem] = drawn.apply(self._stem(segment, stem, drawn.offset))
        stems[(stem + 1) % len(stems)] = mixed.apply(read_mixture(self.pseudo, track, start))
        return stems, stem

    def with_seed(self, seed: int) -> "SilenceSet":
        """The same stretches, drawn by another seed."""
        other = copy.copy(self)
        other.seed = seed
        return other

    def _place(self, stretches: Sequence[Stretch], rng: np.random.Generator) -> tuple[Track, int]:
        """A track and a first frame in it; each is as likely as another."""
        size = self.labelled.example_frames
        ends = np.cumsum([stretch.end - stretch.start - size + 1 for stretch in stretches])
        drawn = int(rng.integers(ends[-1]))
        number = int(np.searchsorted(ends, drawn, side="right"))
        before = int(ends[number - 1]) if number else 0
        return stretches[number].track, stretches[number].start + drawn - before

    def _stem(self, segment: int, stem: int, offset: int) -> Tensor:
        """`[C, T]` of one stem of a labelled song."""
        track, start = self.labelled.locate(segment)
        size = self.labelled.example_frames
        wav = track.read(self.labelled.sources[stem], start + offset, size)
        wav = track.normalize(wav) if self.labelled.normalize else wav
        return F.pad(wav, (0, size - wav.shape[1]))


def read_mixture(data: TrainingSet, track: Track, start: int) -> Tensor:
    """`[C, T]` of the mixture file of a track, from frame `start`, an example long."""
    wav = track.read(MIXTURE, start, data.example_frames)
    wav = track.normalize(wav) if data.normalize else wav
    return F.pad(wav, (0, data.example_frames - wav.shape[1]))


def _runs(
    tracks: Sequence[Track], labels: Sequence[Labels], stem: int, most: float
) -> list[Stretch]:
    """Consecutive windows of each track where a stem is silent, as stretches."""
    names = []
    for track, one in zip(tracks, labels, strict=True):
        frames = one.window * track.samplerate
        edges = np.diff(np.concatenate([[0], one.silent(stem, most).astype(int), [0]]))
        for first, after in zip(*_where(edges), strict=True):
            end = min(track.frames, int(after * frames))
            names.append(Stretch(track, -int(-first * frames // 1), end))
    return names


def _where(edges: NDArray[np.int_]) -> tuple[list[int], list[int]]:
    rises, falls = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return rises.tolist(), falls.tolist()


def _nothing(labelled: TrainingSet, runs: Sequence[Sequence[Stretch]], most: float) -> str:
    rate = labelled.samplerate
    longest = ", ".join(
        f"{source} {max((run.end - run.start for run in some), default=0) / rate:.1f} s"
        for source, some in zip(labelled.sources, runs, strict=True)
    )
    return (
        f"no stem is silent (semi.silence_below={most}) for the {labelled.example_frames / rate} s "
        f"of an example; the longest silences are: {longest}. Lower dset.segment, raise "
        "semi.silence_below, add songs, or set semi.silence=0"
    )
