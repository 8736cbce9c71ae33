"""All that is measured of one track: arrays in, plain numbers and notes out.

Every metric measures all stems, and NaN says that there is no value; here NaN becomes None, and
each stem without a value gets a note that says why.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demucs.evaluation.metrics.bss_scores import bss_scores
from demucs.evaluation.metrics.definitions import BSS_METRICS, GROUPS, Measured, title
from demucs.evaluation.metrics.perceptual import log_wmse
from demucs.evaluation.metrics.ratios import energy_ratios
from demucs.evaluation.metrics.spectral import bleedless_and_fullness, l1_frequency

Array = NDArray[Any]
Values = dict[str, dict[str, float | None]]
Windows = dict[str, dict[str, list[float | None]]]


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is scored.

    Attributes:
        mixture: `[C, T]`.
        references, estimates: `[S, C, T]`, in the order of `sources`; references finite.
        samplerate: Hz.
    """

    mixture: Array
    references: Array
    estimates: Array
    samplerate: int
    sources: list[str]


@dataclass(kw_only=True)
class TrackScores:
    """By metric and stem; None where there is no value, and `notes` say why.

    Attributes:
        values: of the track.
        windows: of its seconds.
        baseline: nSDR of the mixture as the estimate of every stem.
        notes: what is unusual.
        audio: a fingerprint of the mixture and the references, sample by sample.
    """

    values: Values = field(default_factory=dict)
    windows: Windows = field(default_factory=dict)
    baseline: Values = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    audio: str = ""


def score_track(
    track: Track, metrics: Sequence[str], *, backend: str = "own", baseline: bool = True
) -> TrackScores:
    """Measures a track.

    Args:
        track: its signals.
        metrics: keys of `demucs.evaluation.metrics.definitions.GROUPS`.
        backend: of SDR, ISR, SIR and SAR: `own` or `museval` (where they are more than SDR).
        baseline: measure the mixture as the estimate of every stem too.

    Raises:
        MissingToolError: a package that a metric needs is not installed.
    """
    measured: Measured = {}
    truth, guess, rate = track.references, track.estimates, track.samplerate
    with np.errstate(invalid="ignore"):  # NaN in an estimate
        if {"nsdr", "si_sdr"} & set(metrics):
            ratios = energy_ratios(truth, guess, rate)
            measured |= {name: both for name, both in ratios.items() if name in metrics}
        if bss := [metric for metric in BSS_METRICS if metric in metrics]:
            measured |= bss_scores(truth, guess, rate, backend, bss)
        if "l1_freq" in metrics:
            measured |= l1_frequency(truth, guess, rate)
        if "fullness" in metrics:
            measured |= bleedless_and_fullness(truth, guess, rate)
        if "log_wmse" in metrics:
            measured |= log_wmse(track.mixture, truth, guess, rate)
    scores = TrackScores(audio=_fingerprint(track), notes=_notes(track, measured))
    for metric in (value for group in metrics for value in GROUPS[group]):
        whole, windows = measured[metric]
        scores.values[metric] = dict(zip(track.sources, map(_plain, whole), strict=True))
        scores.windows[metric] = {
            stem: [_plain(value) for value in row]
            for stem, row in zip(track.sources, windows, strict=True)
        }
    if baseline and "nsdr" in metrics:
        mixture = np.broadcast_to(track.mixture, truth.shape)
        whole, _ = energy_ratios(truth, mixture, rate)["nsdr"]
        scores.baseline["nsdr"] = dict(zip(track.sources, map(_plain, whole), strict=True))
    return scores


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _fingerprint(track: Track) -> str:
    """The first 16 digits of the sha256 of all samples that are true."""
    digest = hashlib.sha256()
    for signal in (track.mixture, track.references):
        digest.update(np.ascontiguousarray(signal, "<f4").data.cast("B"))
    return digest.hexdigest()[:16]


def _notes(track: Track, measured: Measured) -> list[str]:
    """For each stem and reason, the values that it lacks."""
    notes = []
    for index, name in enumerate(track.sources):
        lacking: dict[str, list[str]] = {}
        for metric, (whole, _) in measured.items():
            if not np.isfinite(whole[index]):
                reason = _reason(track.references[index], track.estimates[index], metric)
                lacking.setdefault(reason, []).append(title(metric))
        notes += [f"{name}: {why}, so it has no {', '.join(m)}" for why, m in lacking.items()]
    return notes


def _reason(reference: Array, estimate: Array, metric: str) -> str:
    """Why a metric has no value for this stem `[C, T]`."""

    def silent(signal: Array) -> bool:
        # To BSS Eval, that is when the channels cancel at every sample.
        return not (signal.sum(0) if metric in BSS_METRICS else signal).any()

    if silent(reference):
        return "the reference is silent"
    if not np.isfinite(estimate).all():
        return "the estimate holds NaN or infinity"
    if silent(estimate):
        return "the estimate is silent"
    if metric in BSS_METRICS:
        return (
            "no window has a finite value (some stem is silent in every window, the estimate is "
            "perfect, or it is the only stem)"
        )
    return "the estimate is perfect"
