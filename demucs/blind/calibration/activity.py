"""Whether a stem plays at all, from scores: SDR of a silent stem means nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from demucs.blind.calibration.regressors import Scaling
from demucs.blind.quality import Array

# Chosen on songs of calibration with a family of teachers left out: eight scores (gaps, agreement,
# correlation) find silent seconds as well (AUC 0.979 each), but give worse probabilities.
SCORES = ("level",)


class Activity:
    """The probability that the true stem is louder than −60 dB below full scale.

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
