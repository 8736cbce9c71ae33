"""Separation quality: metrics, evaluation over a set of tracks, results with definitions."""

from demucs.evaluation.evaluate import evaluate
from demucs.evaluation.metrics import DEFINITIONS, METRICS, nsdr
from demucs.evaluation.results import Results, TrackResult
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
