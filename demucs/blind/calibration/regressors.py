"""Regressors from scores to dB, by name, and the table that they are given.

Which one calibration uses was chosen by `studies.blind.regressor_choice` on real records.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, QuantileRegressor, Ridge, RidgeCV

from demucs.blind.calibration.rows import sign
from demucs.blind.quality import Array
from demucs.errors import ConfigError

MARGIN = 0.1  # of the range of a score that a new one may lie beyond it
ALPHAS = tuple(10.0 ** np.arange(-1, 4.5, 0.5))  # of ridge regression, chosen by leave-one-out

PENALTY = 0.2  # of the signed ridge, for each row


@dataclass(frozen=True)
class Scaling:
    """Scores made fit for a regressor: clipped, without gaps, of mean 0 and deviation 1.

    A score is clipped to the range of the fit and a tenth of it on either side. NaN becomes the
    median of the fit, and a column of its own says where, if the fit has such gaps.
    """

    low: Array
    high: Array
    middle: Array
    mean: Array
    scale: Array
    gaps: Array  # indices of scores whose gaps are told

    @classmethod
    def of(cls, values: Array) -> "Scaling":
        """From the rows of the fit, `[R, F]`."""
        known = np.isfinite(values)
        empty = ~known.any(0)
        filled = np.where(empty, 0.0, np.where(known, values, np.nan))
        low, high = np.nanmin(filled, axis=0), np.nanmax(filled, axis=0)
        middle = np.nanmedian(filled, axis=0)
        filled = np.where(np.isnan(filled), middle, filled)
        scale = filled.std(0)
        margin = MARGIN * (high - low)
        return cls(
            low=low - margin,
            high=high + margin,
            middle=middle,
            mean=filled.mean(0),
            scale=np.where(scale > 1e-9, scale, np.inf),  # a constant tells nothing
            gaps=np.flatnonzero(~known.all(0) & ~empty),
        )

    def __call__(self, values: Array) -> Array:
        """`[R, F]` to `[R, F + G]`."""
        filled = np.where(np.isnan(values), self.middle, values)
        scaled = (np.clip(filled, self.low, self.high) - self.mean) / self.scale
        return np.concatenate([scaled, np.isnan(values[:, self.gaps]) * 1.0], axis=1)


class SignedRidge:
    """Ridge regression whose weights have the signs that the scores' meaning demands.

    Quality never falls where a score gets better, so a score cannot be used against itself on
    music and teachers that the fit did not see. The penalty grows with the rows, since rows of one
    song are alike: more of them are not more to learn from.
    """

    def __init__(self, signs: Sequence[int], penalty: float = PENALTY) -> None:
        self.signs = np.array(signs)
        self.penalty = penalty
        self.model: Any = None

    def fit(self, values: Array, target: Array) -> "SignedRidge":
        self.model = Ridge(alpha=self.penalty * len(target), positive=True)
        self.model.fit(self._columns(values), target)
        return self

    def predict(self, values: Array) -> Array:
        # What the model's own predict does, without its checks, which take most of the time.
        return np.asarray(self._columns(values) @ self.model.coef_ + self.model.intercept_)

    def _columns(self, values: Array) -> Array:
        free = values[:, self.signs == 0]
        return np.concatenate([values * np.where(self.signs < 0, -1, 1), -free], axis=1)


def _boosting(signs: Sequence[int]) -> Any:
    return HistGradientBoostingRegressor(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=6, min_samples_leaf=8,
        l2_regularization=1.0, monotonic_cst=list(signs), early_stopping=False, random_state=0,
    )  # fmt: skip


def _gaussian(signs: Sequence[int]) -> Any:
    kernel = ConstantKernel(10.0) * RBF(5.0, (1.0, 100.0)) + WhiteKernel(0.5)
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)


REGRESSORS: dict[str, Callable[[Sequence[int]], Any]] = {
    "ridge": lambda signs: RidgeCV(alphas=ALPHAS),
    "signed_ridge": SignedRidge,
    "boosting": _boosting,
    "kernel_ridge": lambda signs: KernelRidge(kernel="rbf", alpha=0.3, gamma=0.1 / len(signs)),
    "gaussian": _gaussian,
    "median": lambda signs: QuantileRegressor(alpha=0.01, solver="highs"),
}


class Regressor:
    """A regressor for each stem, from the scores of that stem alone."""

    def __init__(self, name: str, scores: Sequence[str]) -> None:
        if name not in REGRESSORS:
            raise ConfigError(f"there is no regressor {name!r}: one of {', '.join(REGRESSORS)}")
        self.name = name
        self.signs = [sign(score) for score in scores]
        self.parts: dict[int, tuple[Scaling, float, Any]] = {}

    def fit(self, values: Array, stem: Array, target: Array) -> "Regressor":
        """Of `[R, F]` scores, `[R]` stems and `[R]` finite targets in dB."""
        for number in np.unique(stem):
            rows = stem == number
            scaling = Scaling.of(values[rows])
            middle = float(target[rows].mean())
            model = REGRESSORS[self.name]([*self.signs, *[0] * len(scaling.gaps)])
            if rows.sum() > 1:
                model.fit(scaling(values[rows]), target[rows] - middle)
            self.parts[int(number)] = (scaling, middle, model if rows.sum() > 1 else None)
        return self

    def predict(self, values: Array, stem: Array) -> Array:
        """dB, `[R]`; NaN for a stem that was not in the fit."""
        predicted = np.full(len(stem), np.nan)
        for number, (scaling, middle, model) in self.parts.items():
            rows = stem == number
            if rows.any():
                change = model.predict(scaling(values[rows])) if model else 0.0
                predicted[rows] = middle + change
        return predicted


# Chosen on songs of calibration with a family of teachers left out: eight scores (gaps, agreement,
# correlation) find silent seconds as well (AUC 0.979 each), but give worse probabilities.
SCORES = ("level",)


class Activity:
    """The probability that the true stem is above −60 dBFS.

    A logistic regression on the level of the estimate and on which stem it is; songs and windows
    are learnt from together, since few songs lack a stem and many windows do.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.columns = [n for n, name in enumerate(names) if name in SCORES]
        self.scaling: Scaling | None = None
        self.model: Any = None
        self.share = float("nan")
        self.stems = 0

    def fit(self, values: Array, stem: Array, plays: Array) -> "Activity":
        """Of `[R, F]` scores, `[R]` stems and whether each plays."""
        self.stems = int(stem.max()) + 1
        self.scaling = Scaling.of(values[:, self.columns])
        self.share = (float(plays.sum()) + 1) / (len(plays) + 2)  # of Laplace, for one class alone
        if plays.any() and not plays.all():
            self.model = LogisticRegression(C=1.0, max_iter=1000)
            self.model.fit(self._table(values, stem), plays)
        return self

    def predict(self, values: Array, stem: Array) -> Array:
        """Probabilities, `[R]`."""
        if self.model is None:
            return np.full(len(stem), self.share)
        return np.asarray(self.model.predict_proba(self._table(values, stem))[:, 1])

    def _table(self, values: Array, stem: Array) -> Array:
        assert self.scaling is not None
        which = np.eye(self.stems)[stem]
        return np.concatenate([self.scaling(values[:, self.columns]), which], axis=1)
