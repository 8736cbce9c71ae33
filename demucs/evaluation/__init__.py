"""Separation quality: metrics, evaluation over a set of tracks, results with definitions.

Names are loaded when they are used: results are read, and tracks scored in other processes, without
torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demucs.evaluation.evaluator import evaluate
    from demucs.evaluation.metrics.definitions import DEFINITIONS, METRICS
    from demucs.evaluation.metrics.nsdr import nsdr
    from demucs.evaluation.results.results import Results, TrackResult
    from demucs.evaluation.separation import EvalTrack, separate_track

__all__ = [
    "DEFINITIONS",
    "METRICS",
    "EvalTrack",
    "Results",
    "TrackResult",
    "evaluate",
    "nsdr",
    "separate_track",
]
_HOMES = {
    "DEFINITIONS": "metrics.definitions",
    "METRICS": "metrics.definitions",
    "EvalTrack": "separation",
    "Results": "results.results",
    "TrackResult": "results.results",
    "evaluate": "evaluator",
    "nsdr": "metrics.nsdr",
    "separate_track": "separation",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
