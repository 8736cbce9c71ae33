"""Labelled and pseudo-labelled examples in one epoch, each a function of its place alone."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from demucs.data.batch import NOT_CERTIFIED, Batch
from demucs.data.distilled import Labels, Rating
from demucs.data.examples import Cut, TrainingSet
from demucs.data.silence import SilenceSet, read_mixture
from demucs.data.tracks import Track

_PSEUDO, _SILENCE = 1, 2  # what seeds are derived for; a part of a run's identity


class Share(NamedTuple):
    """What stands at a position: a kind, and how many of that kind stand before it."""

    kind: str
    number: int


@dataclass(frozen=True)
class Pattern:
    """Which positions are pseudo-labelled, and which of these are certified silence.

    The n positions of any stretch of an epoch hold n times the share of each kind, rounded up or
    down: so does every batch, and every process's part of it.

    Args:
        ratio: share of pseudo-labelled positions, certified silence among them.
        silence: share of the latter, at most `ratio`.
    """

    ratio: Fraction
    silence: Fraction = Fraction(0)

    @classmethod
    def of(cls, ratio: float, silence: float = 0.0) -> "Pattern":
        """Of decimal numbers, taken as they are written."""
        return cls(Fraction(str(ratio)), Fraction(str(silence)))

    def at(self, position: int) -> Share:
        """`labelled`, `pseudo` or `silence`."""
        pseudo = int(position * self.ratio)
        if int((position + 1) * self.ratio) == pseudo:
            return Share("labelled", position - pseudo)
        inside = self.silence / self.ratio
        silent = int(pseudo * inside)
        if int((pseudo + 1) * inside) == silent:
            return Share("pseudo", pseudo - silent)
        return Share("silence", silent)

    def length(self, labelled: int) -> int:
        """Positions of an epoch in which so many labelled examples are heard once."""
        return int(labelled / (1 - self.ratio))


class MixedSet(Dataset[Batch]):
    """Labelled segments, and among them pseudo-labelled ones by a ratio.

    An epoch hears every labelled segment once, so it is 1 / (1 - ratio) times as long as without
    pseudo-labels. These go through their own segments in their own order, remixed among
    themselves: only a part of them in an epoch if there are many, and again in another order if
    there are few.

    `dataset[epoch, position]` is a `Batch` of one example; stems carry the weight of the place
    they were cut from.

    Args:
        labelled, pseudo: the two sets.
        labels: of each track of `pseudo`.
        pattern: who stands where.
        rating: how quality becomes weight.
        silence: the certified-silence examples, if `pattern` has any.
        unlabelled: give mixtures instead of pseudo-labels, for a teacher to separate.
    """

    def __init__(
        self,
        labelled: TrainingSet,
        pseudo: TrainingSet,
        labels: Sequence[Labels],
        *,
        pattern: Pattern,
        rating: Rating | None = None,
        silence: SilenceSet | None = None,
        unlabelled: bool = False,
    ) -> None:
        self.labelled, self.silence, self.pattern = labelled, silence, pattern
        self.pseudo, self.unlabelled = pseudo, unlabelled
        self.rating = rating if rating is not None else Rating()
        self._labels = {t.name: one for t, one in zip(pseudo.tracks, labels, strict=True)}
        self._reseed(labelled.seed)

    @property
    def tracks(self) -> list[Track]:
        """The labelled tracks."""
        return self.labelled.tracks

    def label_hash(self, name: str) -> str:
        """A hash of the labels of a pseudo-labelled track."""
        labels = self._labels[name]
        digest = hashlib.sha256(f"{labels.window} {labels.predicted}".encode())
        for values in (labels.nsdr, labels.active):
            digest.update(values.tobytes())
        return digest.hexdigest()[:12]

    def __len__(self) -> int:
        return self.pattern.length(len(self.labelled))

    def __getitem__(self, index: tuple[int, int]) -> Batch:
        epoch, position = index
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of {len(self)}")
        kind, number = self.pattern.at(position)
        if kind == "silence":
            assert self.silence is not None
            stems, stem = self.silence[epoch, number]
            return self._example(stems, certified=stem)
        if kind == "labelled":
            return self._example(self.labelled[epoch, number])
        turn, place = self._turn(epoch, number)
        if self.unlabelled:
            return self._example(self._mixture(turn, place), unlabelled=True)
        cuts, draws = self.pseudo.cuts(turn, place)
        weights = [self._weight(cut, stem) for stem, cut in enumerate(cuts)]
        return self._example(self.pseudo.read(cuts, draws), weights)

    def with_seed(self, seed: int) -> "MixedSet":
        """The same segments in the order and with the augmentation of another seed."""
        other = copy.copy(self)
        other._reseed(seed)
        return other

    def _reseed(self, seed: int) -> None:
        self.labelled = self.labelled.with_seed(seed)
        self.pseudo = self.pseudo.with_seed(_derived(seed, _PSEUDO))
        if self.silence is not None:
            self.silence = self.silence.with_seed(_derived(seed, _SILENCE))

    def _turn(self, epoch: int, number: int) -> tuple[int, int]:
        """Which order of the pseudo-labelled segments is gone through, and where in it."""
        turns = -(-self._count() // len(self.pseudo))
        again, place = divmod(number, len(self.pseudo))
        return epoch * turns + again, place

    def _count(self) -> int:
        """Pseudo-labelled examples of an epoch."""
        unlabelled = int(len(self) * self.pattern.ratio)
        return unlabelled - int(unlabelled * self.pattern.silence / self.pattern.ratio)

    def _weight(self, cut: Cut, stem: int) -> float:
        labels, rate = self._labels[cut.track.name], cut.track.samplerate
        start, end = cut.start / rate, (cut.start + cut.frames) / rate
        return self.rating.weight(labels.quality(stem, start, end))

    def _mixture(self, turn: int, place: int) -> Tensor:
        """`[S, C, T]`: an unlabelled mixture in the first slot, and nothing in the others."""
        cut = self.pseudo.cuts(turn, place)[0][0]
        stems = torch.zeros(
            len(self.pseudo.sources), self.pseudo.channels, self.pseudo.example_frames
        )
        stems[0] = read_mixture(self.pseudo, cut.track, cut.start)
        return stems

    def _example(
        self,
        stems: Tensor,
        weights: Sequence[float] | None = None,
        *,
        certified: int = NOT_CERTIFIED,
        unlabelled: bool = False,
    ) -> Batch:
        """All examples of a set have the same fields."""
        return Batch(
            stems,
            torch.ones(len(stems)) if weights is None else torch.tensor(weights),
            None if self.silence is None else torch.tensor(certified),
            torch.tensor(unlabelled) if self.unlabelled else None,
        )


def _derived(seed: int, purpose: int) -> int:
    """A seed for another set, so that its draws have nothing to do with those of the first."""
    return int(np.random.SeedSequence((seed, purpose)).generate_state(1)[0])
