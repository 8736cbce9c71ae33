"""Regressors compared on the songs of calibration alone, each row predicted by a fit without it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from demucs.blind.calibration.conformal import folds
from demucs.blind.calibration.rank_statistics import spearman
from demucs.blind.calibration.regressors import REGRESSORS, Regressor
from demucs.blind.calibration.rows import Rows, common_names, rows_of
from demucs.blind.quality import Array
from demucs.blind.records import Record

SINGLE = "reseparation"  # a straight line of this score alone, for comparison


def compared(
    records: Sequence[Record],
    target: str,
    seed: int = 0,
    regressors: Sequence[str] = tuple(REGRESSORS),
) -> dict[str, Any]:
    """Errors and correlations by the way songs are left out (`track`, `family`) and by regressor.

    Returns:
        `rmse` in dB of all stems; by stem `spearman`, pooled, and `within`, the mean over teachers.
    """
    sources, names = records[0].sources, common_names(records)
    rows = rows_of(records, sources, names, target)
    rows = rows.where(rows.known)
    several = len(np.unique(rows.family)) > 1
    results: dict[str, Any] = {}
    for apart in ("track", "family") if several else ("track",):
        results[apart] = {}
        for name in regressors:
            results[apart][name] = _judged(rows, names, name, apart, seed, sources)
        if SINGLE in names:
            every = rows.where(np.ones(len(rows), bool))
            alone = Rows(**{**vars(every), "values": every.values[:, [names.index(SINGLE)]]})
            results[apart][f"ridge of {SINGLE}"] = _judged(
                alone, (SINGLE,), "ridge", apart, seed, sources
            )
    return results


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
    result: dict[str, Any] = {
        "rmse": float(np.sqrt(np.nanmean(np.square(guess - rows.target)))),
        "spearman": {},
        "within": {},
    }
    for number, stem in enumerate(sources):
        of_stem = rows.stem == number
        result["spearman"][stem] = _known(guess[of_stem], rows.target[of_stem])
        parts = [of_stem & (rows.teacher == teacher) for teacher in teachers]
        each = [_known(guess[part], rows.target[part]) for part in parts]
        finite = [value for value in each if np.isfinite(value)]
        result["within"][stem] = float(np.mean(finite)) if finite else float("nan")
    return result


def _known(guess: Array, truth: Array) -> float:
    """Spearman's correlation over the rows that were predicted."""
    predicted = np.isfinite(guess)
    return spearman(guess[predicted], truth[predicted])
