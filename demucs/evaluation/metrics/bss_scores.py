"""SDR, ISR, SIR and SAR of one track, with silent and broken stems defined.

By our own BSS Eval v4 (`demucs.evaluation.metrics.bss_eval`), or by the museval package, which
defines it. museval refuses a track of which any reference or estimate is silent throughout. Here
such a stem has no value, and the others are scored:

- A silent reference is left out: it would add nothing to what the others are projected on.
- A silent or non-finite estimate is replaced by its reference while the others are scored, since
  the scores of a stem depend on its own estimate and on all references.

Silent is what museval calls silent: a sum over channels that is zero throughout.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demucs.evaluation.metrics.bss_eval import bss_windows
from demucs.evaluation.metrics.definitions import BSS_METRICS, Measured, window_count
from demucs.evaluation.metrics.sdr import sdr_windows

Array = NDArray[Any]

SPARSE = 997  # of so many samples one is looked at first


def bss_scores(
    references: Array,
    estimates: Array,
    samplerate: int,
    backend: str = "own",
    wanted: Sequence[str] = BSS_METRICS,
) -> Measured:
    """Scores the stems of one track.

    Args:
        references: true stems `[S, C, T]`, finite.
        estimates: estimated stems `[S, C, T]`.
        samplerate: Hz; windows and hops are of one second.
        backend: `own`, or `museval`, which takes 30 times as long for the same numbers.
        wanted: which of SDR, ISR, SIR and SAR. SDR alone needs no filters: it costs what nSDR does.

    Returns:
        Those that are wanted, in dB: of the track `[S]`, the median over the windows that have a
        finite value, and of its windows `[S, N]`. NaN where there is none.
    """
    usable, truth = estimates, references
    present = [k for k in range(len(truth)) if not _is_silent(truth[k])]
    broken = [k for k in present if not _is_finite(usable[k]) or _is_silent(usable[k])]
    if broken:
        usable = usable.copy()
        usable[broken] = truth[broken]
    count = window_count(truth.shape[-1], samplerate)
    windows = {metric: np.full((len(truth), count), np.nan) for metric in wanted}
    if set(present) - set(broken):
        measure = _sdr_alone if tuple(wanted) == ("sdr",) else BACKENDS[backend]
        if len(present) < len(truth):
            truth, usable = truth[present], usable[present]
        scores = measure(truth, usable, samplerate)
        for metric in wanted:
            windows[metric][present] = scores[metric]
            windows[metric][broken] = np.nan
    return {metric: (_medians(values), values) for metric, values in windows.items()}


def _is_silent(signal: Array) -> bool:
    """Whether the channels of `[C, T]` cancel at every sample; few samples mostly tell."""
    return not np.any(signal[:, ::SPARSE].sum(axis=0)) and not np.any(signal.sum(axis=0))


def _is_finite(signal: Array) -> bool:
    """Whether all samples are; a finite sum has finite terms, and takes no memory."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(signal.sum()) or np.isfinite(signal).all())


def _sdr_alone(references: Array, estimates: Array, samplerate: int) -> dict[str, Array]:
    """As `bss_windows`."""
    return {"sdr": sdr_windows(references, estimates, samplerate)}


def _museval(references: Array, estimates: Array, samplerate: int) -> dict[str, Array]:
    """As `bss_windows`."""
    import museval  # slow to import: it brings pandas

    # Which wants [S, T, C].
    truth, guess = (signal.astype(np.float64).swapaxes(1, 2) for signal in (references, estimates))
    with np.errstate(all="ignore"):
        results = museval.evaluate(truth, guess, win=samplerate, hop=samplerate)
    windows = dict(zip(BSS_METRICS, map(np.asarray, results), strict=True))
    return {metric: np.where(np.isfinite(v), v, np.nan) for metric, v in windows.items()}


BACKENDS = {"own": bss_windows, "museval": _museval}


def _medians(windows: Array) -> Array:
    """`[S, N]` to `[S]`; NaN where no window has a value."""
    finite = (row[np.isfinite(row)] for row in windows)
    return np.array([np.median(row) if row.size else np.nan for row in finite])
