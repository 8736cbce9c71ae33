"""Notices that the penalty on singular values explodes, before the loss does."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

FACTOR = 10.0  # times the usual penalty


class PenaltyAlarm:
    """Compares the penalty of each step with the usual one.

    The usual one is the smallest mean of an epoch so far; in the first epoch, that of its first
    step. It is compared once an epoch at most, and steps that leave the penalty out do not count.

    Args:
        weight: of the penalty in the loss (`svd.penalty`).
        proba: share of steps that have it, which count it 1/proba.
    """

    def __init__(self, weight: float, proba: float) -> None:
        self.weight, self.proba = weight, proba
        self._usual: float | None = None
        self._rung = False

    def begin(self, history: Sequence[Mapping[str, Any]]) -> None:
        """An epoch begins, after those of `history`."""
        means = [epoch["train"].get("penalty") for epoch in history]
        known = [mean for mean in means if mean]
        self._usual, self._rung = (min(known) if known else None), False

    def look(self, measures: Mapping[str, float]) -> str | None:
        """What is wrong with the penalty of a step; None if nothing is, or it has been said."""
        penalty = self.proba * measures.get("penalty", 0.0)
        if penalty == 0 or self._rung:
            return None
        if self._usual is None:
            self._usual = penalty
        if math.isfinite(penalty) and penalty <= FACTOR * self._usual:
            return None
        self._rung = True
        return (
            f"the penalty on singular values explodes: {penalty:.4g}, and it was "
            f"{self._usual:.4g}; times svd.penalty={self.weight:g} it is "
            f"{self.weight * penalty:.4g}, in a loss of {measures.get('loss', math.nan):.4g}. "
            "Lower optim.lr, set optim.clip_grad, or raise svd.penalty"
        )
