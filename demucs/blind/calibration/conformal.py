"""Intervals around predictions that hold for new songs: cross-conformal, whole songs apart.

CV+ of Barber et al. (arXiv:1905.02928) with songs in the place of points: the rows of a song
(several teachers) are alike, so a song counts once and its rows share its weight, as for the
pooled groups of Dunn, Wasserman and Ramdas (arXiv:1809.07441).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from demucs.blind.calibration.rank_statistics import group_weights, weighted_quantile
from demucs.blind.calibration.regressors import Regressor
from demucs.blind.calibration.rows import Rows
from demucs.blind.quality import Array

FOLDS = 10


@dataclass(frozen=True)
class Intervals:
    """Models that were fitted without some songs, and how far they were off on those.

    Attributes:
        models: M of them.
        stem, model: of each row that was left out, `[R]`, and which model did not see it.
        error: absolute, in dB, `[R]`.
        weight: of each row, `[R]`; of one stem they sum to K/(K+1) for K songs.
        coverage: share of new songs whose truth should lie inside.
    """

    models: tuple[Regressor, ...]
    stem: Array
    model: Array
    error: Array
    weight: Array
    coverage: float

    def __call__(self, values: Array, stem: Array) -> tuple[Array, Array]:
        """Lower and upper ends in dB, `[R]` each; infinite where there are too few songs.

        K songs can vouch for a coverage of K/(K+1) at most: 0.9 takes nine.
        """
        guesses = np.stack([model.predict(values, stem) for model in self.models])  # [M, R]
        low, high = np.full(len(stem), np.nan), np.full(len(stem), np.nan)
        for row, model in enumerate(stem):
            mine = self.stem == model
            guess, error, weight = guesses[self.model[mine], row], self.error[mine], self.weight
            high[row] = weighted_quantile(guess + error, weight[mine], self.coverage)
            low[row] = -weighted_quantile(error - guess, weight[mine], self.coverage)
        return low, high


def intervals(rows: Rows, regressor: str, scores: tuple[str, ...], *, coverage: float,
              seed: int, apart: str = "track") -> Intervals:  # fmt: skip
    """Fits without each fold of songs, and keeps the errors on it.

    Args:
        rows: with known targets.
        regressor, scores: see `Regressor`.
        coverage: in (0, 1).
        seed: of the folds.
        apart: `track`: songs are left out; `family`: songs, and the family of teachers with them,
            for intervals that should hold for a teacher of a kind not seen in the fit. With one
            family it is the same.
    """
    models: list[Regressor] = []
    held: list[tuple[Array, int]] = []
    for fitted, left in folds(rows, seed, apart):
        models.append(
            Regressor(regressor, scores).fit(
                rows.values[fitted], rows.stem[fitted], rows.target[fitted]
            )
        )
        held.append((left, len(models) - 1))
    index = np.concatenate([left for left, _ in held])
    model = np.concatenate([np.full(len(left), number) for left, number in held])
    guess = np.concatenate(
        [models[number].predict(rows.values[left], rows.stem[left]) for left, number in held]
    )
    error = np.abs(rows.target[index] - guess)
    known = np.isfinite(error)  # a stem that plays in one fold alone cannot be judged
    chosen = rows.where(index[known])
    return Intervals(
        models=tuple(models),
        stem=chosen.stem,
        model=model[known],
        error=error[known],
        weight=song_weights(chosen),
        coverage=coverage,
    )


def folds(rows: Rows, seed: int, apart: str = "track") -> Iterator[tuple[Array, Array]]:
    """Indices to fit on and indices that are left out, at most 10 folds of whole songs."""
    tracks = np.unique(rows.track)
    np.random.default_rng(seed).shuffle(tracks)
    families = np.unique(rows.family)
    several = apart == "family" and len(families) > 1
    for fold in range(min(FOLDS, len(tracks))):
        out = np.isin(rows.track, tracks[fold::FOLDS])
        for family in families if several else [None]:
            of_family = rows.family == family if several else np.ones(len(rows), bool)
            others = ~of_family if several else of_family
            fitted, left = np.flatnonzero(~out & others), np.flatnonzero(out & of_family)
            if len(fitted) and len(left):
                yield fitted, left


def song_weights(rows: Rows) -> Array:
    """1/(K+1) for each song of a stem's K, shared by its rows; `[R]`."""
    weight = np.zeros(len(rows))
    for stem in np.unique(rows.stem):
        mine = np.flatnonzero(rows.stem == stem)
        weight[mine] = group_weights(rows.track[mine])
    return weight
