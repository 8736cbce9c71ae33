"""The use of a score: dropping bad stems, predicting dB SDR, finding silent stems."""

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from demucs.blind.calibration.rank_statistics import FEWEST
from demucs.blind.quality import Array

KEPT = tuple(n / 20 for n in range(1, 21))  # shares of the stems that are kept
BAD = 1 / 3  # the share of the stems that count as bad, the worst ones by their true nSDR
BINS = 8


def risk_coverage(score: Array, truth: Array) -> dict[str, Any]:
    """The quality of the stems that are kept when the worst-scored ones are dropped.

    Stems without a score are dropped first, and of equal scores the expected outcome is taken.

    Returns:
        `kept` shares; `quality`, the mean true nSDR of what is kept, dB, and `bad`, its share of
        bad stems (the worst third of all), both also for a perfect score (`oracle`) and a blind
        one (`random`); `excess`: the area of `bad` over the oracle's, random being 1, and 0 a
        score as good as the truth. All None for fewer than 5 rows.
    """
    measured = np.isfinite(truth)
    score, truth = np.where(np.isfinite(score), score, -np.inf)[measured], truth[measured]
    if len(truth) < FEWEST:
        return {"reason": f"{len(truth)} rows, fewer than {FEWEST}"}
    bad = (truth < np.quantile(truth, BAD)).astype(np.float64)
    counts = np.maximum(1, np.round(np.array(KEPT) * len(truth)).astype(int))
    curves: dict[str, Any] = {"kept": list(KEPT), "rows": len(truth)}
    area = {}
    for name, by in (("score", score), ("oracle", truth)):
        quality, share = (_running_mean(by, values) for values in (truth, bad))
        area[name] = float(share.mean())
        curve = {"quality": quality[counts - 1].tolist(), "bad": share[counts - 1].tolist()}
        curves.update(curve if name == "score" else {"oracle": curve})
    curves["random"] = {"quality": float(truth.mean()), "bad": float(bad.mean())}
    spread = float(bad.mean()) - area["oracle"]
    curves["excess"] = (area["score"] - area["oracle"]) / spread if spread > 0 else float("nan")
    return curves


def _running_mean(by: Array, values: Array) -> Array:
    """Mean of the values with the highest `by`, for each count from 1 to n; ties share theirs."""
    _, group = np.unique(by, return_inverse=True)
    shared = np.bincount(group, weights=values) / np.bincount(group)
    order = np.argsort(-group, kind="stable")
    mean: Array = np.cumsum(shared[group][order]) / np.arange(1, len(by) + 1)
    return mean


def calibration(guess: Array, truth: Array, low: Array, high: Array) -> dict[str, Any]:
    """The accuracy of the predicted dB.

    Returns:
        at most 8 `bins` of equally many stems, at least 5, by predicted value: mean prediction,
        mean truth and count; `bias`, `mae` and `rmse` in dB; `covered`, the share inside the
        interval, and `width`, the median of it in dB (None where it is infinite).
    """
    finite = np.isfinite(guess) & np.isfinite(truth)
    guess, truth, low, high = (column[finite] for column in (guess, truth, low, high))
    if len(truth) < FEWEST:
        return {"reason": f"{len(truth)} rows, fewer than {FEWEST}"}
    parts = np.array_split(np.argsort(guess, kind="stable"), min(BINS, len(guess) // FEWEST))
    error = guess - truth
    width = float(np.median(high - low))
    return {
        "rows": len(truth),
        "bins": [
            {"guess": guess[p].mean(), "truth": truth[p].mean(), "rows": len(p)} for p in parts
        ],
        "bias": error.mean(),
        "mae": np.abs(error).mean(),
        "rmse": np.sqrt(np.square(error).mean()),
        "covered": ((truth >= low) & (truth <= high)).mean(),
        "width": width if np.isfinite(width) else None,
    }


def activity_auc(score: Array, plays: Array) -> dict[str, Any]:
    """Area under the ROC curve: the chance that a playing stem scores above a silent one."""
    finite = np.isfinite(score)
    score, plays = score[finite], plays[finite]
    playing, silent = int(plays.sum()), int((~plays).sum())
    counts: dict[str, Any] = {"playing": playing, "silent": silent, "without": int((~finite).sum())}
    if not playing or not silent:
        return {**counts, "auc": None, "reason": "all of them play, or none does"}
    return {**counts, "auc": float(roc_auc_score(plays, score))}
