"""What is measured of one track, and what is said where there is no value."""

from collections.abc import Sequence
from concurrent.futures import Future

from torch import Tensor

from demucs.errors import DemucsError
from demucs.evaluation.bss_scores import StemScores
from demucs.evaluation.metrics import nsdr
from demucs.evaluation.results import TrackResult


def add_nsdr(
    found: TrackResult,
    sources: Sequence[str],
    mixture: Tensor,
    stems: Tensor,
    estimates: Tensor,
    mixture_baseline: bool,
) -> None:
    """Measures nSDR; a silent reference has none, since there it only measures a level."""
    silent = [not bool(stem.any()) for stem in stems]
    measured = {"values": estimates}
    if mixture_baseline:
        measured["baseline"] = mixture.expand_as(stems)
    for kind, candidate in measured.items():
        values = nsdr(stems[None], candidate[None])[0]
        getattr(found, kind)["nsdr"] = {
            name: None if quiet or not value.isfinite() else float(value)
            for name, value, quiet in zip(sources, values, silent, strict=True)
        }
    for name, estimate, quiet in zip(sources, estimates, silent, strict=True):
        if quiet:
            found.notes.append(f"{name}: the reference is silent, so it has no nSDR")
        elif not estimate.isfinite().all():
            found.notes.append(f"{name}: the estimate holds NaN or infinity, so it has no nSDR")


def add_scores(found: TrackResult, future: "Future[StemScores]") -> None:
    """Adds SDR, ISR, SIR and SAR, or the reason why there are none."""
    try:
        scores = future.result()
    except Exception as error:
        found.failed = f"not scored: {reason_of(error)}"
        return
    found.values.update(scores.values)
    found.notes.extend(scores.notes)


def reason_of(error: Exception) -> str:
    """One line for the results; errors that are not ours are named by their type."""
    return str(error) if isinstance(error, DemucsError) else f"{type(error).__name__}: {error}"
