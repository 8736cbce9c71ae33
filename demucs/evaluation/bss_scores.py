"""SDR, ISR, SIR and SAR of one track, with silent and broken stems defined.

By our own BSS Eval v4 (`demucs.evaluation.bss_eval`), or by the museval package, which defines it.
museval refuses a track of which any reference or estimate is silent throughout. Here such a stem
has no value (and a note that says so), and the others are scored:

- A silent reference is left out: it would add nothing to what the others are projected on.
- A silent or non-finite estimate is replaced by its reference while the others are scored, since
  the scores of a stem depend on its own estimate and on all references.

Silent is what museval calls silent: a sum over channels that is zero throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demucs.evaluation.bss_eval import bss_windows
from demucs.evaluation.metrics import BSS_METRICS

Scores = dict[str, dict[str, float | None]]


@dataclass
class StemScores:
    """Values by metric and stem in dB, None where there is none; `notes` say why."""

    values: Scores
    notes: list[str] = field(default_factory=list)


def bss_scores(
    references: NDArray[Any],
    estimates: NDArray[Any],
    samplerate: int,
    sources: Sequence[str],
    backend: str = "own",
) -> StemScores:
    """Scores the stems of one track.

    Args:
        references: true stems `[S, C, T]`, finite.
        estimates: estimated stems `[S, C, T]`.
        samplerate: Hz; windows and hops are of one second.
        sources: names of the stems.
        backend: `own`, or `museval`, which takes 25 times as long for the same numbers.

    Returns:
        For each of SDR, ISR, SIR and SAR the median over the windows that have a finite value.
    """
    scores = StemScores({metric: dict.fromkeys(sources) for metric in BSS_METRICS})
    usable, truth = estimates.astype(np.float64), references.astype(np.float64)
    scored: list[int] = []
    present: list[int] = []
    for index, name in enumerate(sources):
        if _is_silent(truth[index]):
            scores.notes.append(f"{name}: the reference is silent, so it has no SDR")
            continue
        present.append(index)
        if not np.isfinite(usable[index]).all():
            scores.notes.append(f"{name}: the estimate holds NaN or infinity, so it has no SDR")
        elif _is_silent(usable[index]):
            scores.notes.append(f"{name}: the estimate is silent, so it has no SDR")
        else:
            scored.append(index)
            continue
        usable[index] = truth[index]
    if scored:
        windows = BACKENDS[backend](truth[present], usable[present], samplerate)
        for index in scored:
            _medians(windows, present.index(index), sources[index], scores)
    return scores


def _is_silent(signal: NDArray[Any]) -> bool:
    """Whether the channels of `[C, T]` cancel at every sample."""
    return not np.any(signal.sum(axis=0))


def _museval(
    references: NDArray[Any], estimates: NDArray[Any], samplerate: int
) -> dict[str, NDArray[Any]]:
    """As `bss_windows`."""
    import museval  # slow to import: it brings pandas

    with np.errstate(all="ignore"):
        results = museval.evaluate(  # which wants [S, T, C]
            references.swapaxes(1, 2), estimates.swapaxes(1, 2), win=samplerate, hop=samplerate
        )
    windows = dict(zip(BSS_METRICS, map(np.asarray, results), strict=True))
    return {metric: np.where(np.isfinite(v), v, np.nan) for metric, v in windows.items()}


BACKENDS = {"own": bss_windows, "museval": _museval}


def _medians(windows: dict[str, NDArray[Any]], row: int, name: str, scores: StemScores) -> None:
    for metric, values in windows.items():
        finite = values[row][np.isfinite(values[row])]
        scores.values[metric][name] = float(np.median(finite)) if finite.size else None
    missing = [m.upper() for m in BSS_METRICS if scores.values[m][name] is None]
    if missing:
        scores.notes.append(
            f"{name}: no window has a finite {', '.join(missing)} "
            "(some stem is silent in every window, the estimate is perfect, or it is the only stem)"
        )
