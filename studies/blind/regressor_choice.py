"""Regressors compared on the songs of calibration alone, each row predicted by a fit without it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from demucs.blind.calibration.conformal import folds
from demucs.blind.calibration.features import Rows, common_names, rows_of
from demucs.blind.calibration.regressors import REGRESSORS, Regressor
from demucs.blind.calibration.statistics import spearman
from demucs.blind.quality import Array
from demucs.blind.records import Record

SINGLE = "reseparation"  # a straight line of this score alone, for comparison


def compared(
    records: Sequence[Record],
    target: str,
    seed: int = 0,
    regressors: Sequence[str] = tuple(REGRESSORS),
) -> dict[str, Any]:
    """By how songs are left out (`track`, `family`) and by regressor.

    Returns:
        `rmse` in dB of all stems; by stem `spearman`, pooled, and `within`, the mean over teachers.
    """
    sources, names = records[0].sources, common_names(records)
    rows = rows_of(records, sources, names, target)
    rows = rows.where(rows.known)
    several = len(np.unique(rows.family)) > 1
    found: dict[str, Any] = {}
    for apart in ("track", "family") if several else ("track",):
        found[apart] = {}
        for name in regressors:
            found[apart][name] = _judged(rows, names, name, apart, seed, sources)
        if SINGLE in names:
            one = rows.where(np.ones(len(rows), bool))
            alone = Rows(**{**vars(one), "values": one.values[:, [names.index(SINGLE)]]})
            found[apart][f"ridge of {SINGLE}"] = _judged(
                alone, (SINGLE,), "ridge", apart, seed, sources
            )
    return found


def _judged(
    rows: Rows, names: Sequence[str], regressor: str, apart: str, seed: int, sources: Sequence[str]
) -> dict[str, Any]:
    guess = np.full(len(rows), np.nan)
    for fitted, left in folds(rows, seed, apart):
        model = Regressor(regressor, names).fit(
            rows.values[fitted], rows.stem[fitted], rows.target[fitted]
        )
        guess[left] = model.predict(rows.values[left], rows.stem[left])
    teachers = np.unique(rows.teacher)
    told: dict[str, Any] = {
        "rmse": float(np.sqrt(np.nanmean(np.square(guess - rows.target)))),
        "spearman": {},
        "within": {},
    }
    for number, stem in enumerate(sources):
        mine = rows.stem == number
        told["spearman"][stem] = _known(guess[mine], rows.target[mine])
        parts = [mine & (rows.teacher == one) for one in teachers]
        each = [_known(guess[part], rows.target[part]) for part in parts]
        known = [one for one in each if np.isfinite(one)]
        told["within"][stem] = float(np.mean(known)) if known else float("nan")
    return told


def _known(guess: Array, truth: Array) -> float:
    """Spearman's correlation over the rows that were predicted."""
    there = np.isfinite(guess)
    return spearman(guess[there], truth[there])
