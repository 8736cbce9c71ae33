"""A model over a set of tracks: separate, score, collect.

A track that cannot be loaded, separated or scored is noted with its reason, and the others are
done: hours of work do not end in a traceback.
"""

import logging
import os
import platform
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

import demucs
from demucs.errors import ConfigError, DatasetError
from demucs.evaluation.bss_scores import BACKENDS, StemScores
from demucs.evaluation.facts import ModelFacts
from demucs.evaluation.metrics import METRICS
from demucs.evaluation.pool import ScoringPool
from demucs.evaluation.results import Results, TrackResult
from demucs.evaluation.scoring import add_nsdr, add_scores, reason_of
from demucs.evaluation.separation import EvalTrack, How, load_track, save_stems, separate_track

logger = logging.getLogger(__name__)

LOOK = 0.5  # seconds between looks at `should_stop` while tracks are scored


class _Stopped(Exception):
    """`should_stop` said so."""


def evaluate(
    model: nn.Module,
    tracks: Sequence[EvalTrack],
    *,
    metrics: Sequence[str] = METRICS,
    shifts: int = 1,
    overlap: float = 0.25,
    split: bool = True,
    device: torch.device | str = "cpu",
    workers: int = 2,
    save_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    mixture_baseline: bool = True,
    model_name: str | None = None,
    on_track: Callable[[Results], None] | None = None,
    share: tuple[int, int] = (0, 1),
    done: Mapping[str, TrackResult] | None = None,
    should_stop: Callable[[], bool] | None = None,
    backend: str = "own",
) -> Results:
    """Separates every track and scores its stems.

    The numbers depend neither on the order of the tracks nor on the number of workers: the random
    shifts of a track are drawn from its name.

    Args:
        model: has `sources`, `audio_channels`, `samplerate` and `segment`.
        tracks: with different names.
        metrics: "nsdr"; "sdr" for SDR, ISR, SIR and SAR of BSS Eval v4.
        shifts: random delays to average over, see `demucs.apply.apply_model`.
        overlap: share of a chunk that the next one covers again.
        split: separate chunk by chunk.
        device: where the model runs.
        workers: processes that score while the model separates; 0 scores in this process.
        save_dir: where the estimates go, as `TRACK/STEM.wav` (float32); nowhere if None.
        progress: show a bar, in tracks.
        mixture_baseline: measure the mixture as the estimate of every stem too (nSDR).
        model_name: what the results call the model; the signature of its release if None.
        on_track: called with the incomplete results after each track, to save them.
        share: (rank, number) of this process among some that divide the tracks.
        done: results of tracks by name that are there already, and taken over.
        should_stop: asked after each track, and while tracks are scored; if true, what is under
            way is given up.
        backend: of SDR, ISR, SIR and SAR: `own`, or `museval`.

    Returns:
        Results, with the tracks that failed and their reasons; `complete` if all tracks are there.

    Raises:
        ConfigError: an unknown metric, or an argument out of its range.
        DatasetError: no tracks, or two of one name.
    """
    _check(tracks, metrics, shifts, overlap, workers)
    if backend not in BACKENDS:
        raise ConfigError(f"backend={backend} is not one of: {', '.join(BACKENDS)}")
    how = How(shifts, overlap, split, str(device))
    settings = {**asdict(how), "metrics": list(metrics), "backend": backend}
    facts = ModelFacts.of(model)
    results = _new_results(model, model_name, settings)
    results.tracks.update(done or {})
    rank, number = share
    own = [track for track in tracks if track.name not in results.tracks][rank::number]
    waiting: deque[tuple[str, TrackResult, Future[StemScores]]] = deque()
    with suppress(_Stopped), ExitStack() as stack:
        pool = stack.enter_context(ScoringPool(workers if "sdr" in metrics else 0, backend))
        bar = stack.enter_context(
            tqdm(total=len(own), desc="evaluate", unit="track", disable=not progress)
        )

        def look() -> None:
            if should_stop is not None and should_stop():
                raise _Stopped

        def finish(name: str, found: TrackResult) -> None:
            results.tracks[name] = found
            if found.failed is not None:
                logger.error("track %s failed: %s", name, found.failed)
            bar.update()
            if on_track is not None:
                on_track(results)

        def collect(*, leave: int) -> None:
            """Takes what is scored, and waits until at most `leave` tracks are under way."""
            while waiting and (len(waiting) > leave or waiting[0][2].done()):
                name, found, future = waiting[0]
                while not future.done():
                    look()
                    wait([future], timeout=LOOK)
                waiting.popleft()
                add_scores(found, future)
                finish(name, found)

        for track in own:
            look()
            found = TrackResult()
            try:
                mixture, stems = load_track(track, facts)
                found.seconds = mixture.shape[-1] / facts.samplerate
                seed = zlib.crc32(track.name.encode())
                estimates = separate_track(model, mixture, **asdict(how), seed=seed)
                if save_dir is not None:
                    save_stems(save_dir, track.name, estimates, facts)
                if "nsdr" in metrics:
                    add_nsdr(found, facts.sources, mixture, stems, estimates, mixture_baseline)
            except Exception as error:
                logger.debug("track %s failed", track.name, exc_info=True)
                found.failed = reason_of(error)
            if found.failed is None and "sdr" in metrics:
                collect(leave=workers)  # the pool would wait too, but deaf to `should_stop`
                scores = pool.submit(stems, estimates, facts.samplerate, facts.sources)
                waiting.append((track.name, found, scores))
            else:
                finish(track.name, found)
            collect(leave=len(waiting))
        collect(leave=0)
    results.complete = all(track.name in results.tracks for track in tracks)
    return results


def _check(
    tracks: Sequence[EvalTrack], metrics: Sequence[str], shifts: int, overlap: float, workers: int
) -> None:
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown or not metrics:
        raise ConfigError(f"metrics={list(metrics)}: give some of {', '.join(METRICS)}.")
    if shifts < 0:
        raise ConfigError(f"shifts={shifts}: give 0 (no random shift) or a positive number.")
    if not 0 <= overlap < 1:
        raise ConfigError(f"overlap={overlap}: give a share in [0, 1), such as 0.25.")
    if workers < 0:
        raise ConfigError(f"workers={workers}: give 0 (score in this process) or more.")
    if not tracks:
        raise DatasetError("There are no tracks to evaluate: give a data set that has some.")
    names = [track.name for track in tracks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"Two tracks are called {twice[0]!r}: rename one of them.")


def _new_results(model: nn.Module, name: str | None, settings: dict[str, Any]) -> Results:
    """Results without tracks, with what identifies the model, its release and the packages."""
    facts = ModelFacts.of(model)
    release = getattr(model, "release", None)
    provenance = getattr(release, "provenance", {})
    signature = getattr(release, "signature", None)
    return Results(
        model={
            "name": name or signature or type(model).__name__,
            "signature": signature,
            "weights_sha256": provenance.get("weights_sha256"),
            "test_set_seen": provenance.get("test_set_seen"),
            "samplerate": facts.samplerate,
            "segment": facts.segment,
        },
        settings=settings,
        sources=list(facts.sources),
        versions={"demucs": demucs.__version__, "python": platform.python_version()}
        | {package: _version(package) for package in ("torch", "numpy", "museval")},
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        complete=False,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
