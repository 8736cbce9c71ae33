"""A model over a set of tracks: load, separate, score, collect, all at the same time.

While the model separates a track, the next one is loaded in a thread, and those before are scored
in other processes. A track that cannot be loaded, separated or scored is noted with its reason, and
the others are done: hours of work do not end in a traceback.
"""

import logging
import os
import platform
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

import demucs
from demucs.errors import ConfigError, DatasetError
from demucs.evaluation.facts import ModelFacts, weights_of
from demucs.evaluation.metrics.bss_scores import BACKENDS
from demucs.evaluation.metrics.definitions import BSS_METRICS, METRICS
from demucs.evaluation.metrics.perceptual import package
from demucs.evaluation.results.gather import Collector, Stopped, reason_of
from demucs.evaluation.results.recipe import recipe_of, seed_of
from demucs.evaluation.results.results import Results, TrackResult
from demucs.evaluation.results.track_progress import EvaluationProgress
from demucs.evaluation.scoring_pool import ScoringPool
from demucs.evaluation.separation import EvalTrack, How, load_track, save_stems, separate_track
from demucs.evaluation.track_scores import Track
from demucs.release.provenance import song_mark

logger = logging.getLogger(__name__)

PACKAGES = ("torch", "numpy", "scipy", "museval", "log-wmse-audio-quality")  # which make numbers
QUICK = {"nsdr", "sdr", "si_sdr"}  # not worth another process


def evaluate(
    model: nn.Module,
    tracks: Sequence[EvalTrack],
    *,
    metrics: Sequence[str] = ("nsdr", *BSS_METRICS),
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
    mine: Collection[str] | None = None,
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
        metrics: "nsdr"; "sdr", "isr", "sir" and "sar" of BSS Eval v4, of which the last three
            take most of the time; "si_sdr", "l1_freq", "fullness" for bleedless and fullness,
            "log_wmse".
        shifts: random delays to average over, see `demucs.apply.apply_model`.
        overlap: share of a chunk that the next one covers again.
        split: separate chunk by chunk.
        device: where the model runs.
        workers: processes that score while the model separates; 0 scores in this process. They
            are not started for nSDR, SDR and SI-SDR alone, which take no time.
        save_dir: where the estimates go, as `TRACK/STEM.wav` (float32); nowhere if None.
        progress: show a bar on a terminal, and a line a track elsewhere, with the time left.
        mixture_baseline: measure the mixture as the estimate of every stem too (nSDR).
        model_name: what the results call the model; the signature of its release if None.
        on_track: called with the incomplete results after each track, to save them.
        mine: names of the tracks that this process does, of several that divide them, see
            `demucs.evaluation.results.shards.share_of`; None: all.
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
    _check(tracks, metrics, shifts, overlap, workers, backend)
    how = How(shifts, overlap, split, str(device))
    facts = ModelFacts.of(model)
    results = _new_results(
        model, model_name, {**asdict(how), "metrics": list(metrics), "backend": backend}
    )
    results.tracks.update(done or {})
    own = [
        track
        for track in tracks
        if track.name not in results.tracks and (mine is None or track.name in mine)
    ]
    in_others = workers if set(metrics) - QUICK else 0
    scoring = {"metrics": list(metrics), "backend": backend, "baseline": mixture_baseline}
    with suppress(Stopped), ExitStack() as stack:
        pool = stack.enter_context(ScoringPool(in_others, **scoring))
        bar = EvaluationProgress(own, show=progress)
        stack.enter_context(bar)
        collector = Collector(results, bar, on_track, should_stop)
        for track, loaded in _loaded_ahead(own, facts, stack):
            collector.look()
            result = TrackResult()
            try:
                mixture, stems = loaded.result()
                result.seconds = mixture.shape[-1] / facts.samplerate
                result.seen = song_mark(track.name, mixture.shape[-1]) in facts.songs
                seed = zlib.crc32(track.name.encode())
                estimates = separate_track(model, mixture, **asdict(how), seed=seed)
                if save_dir is not None:
                    save_stems(save_dir, track.name, estimates, facts)
            except Exception as error:
                logger.debug("track %s failed", track.name, exc_info=True)
                result.failed = reason_of(error)
                collector.finish(track.name, result)
                continue
            collector.collect(leave=in_others)  # the pool would wait too, but deaf to a stop
            future = pool.submit(_scored(mixture, stems, estimates, facts))
            collector.wait_for(track.name, result, future)
        collector.collect(leave=0)
    results.complete = all(track.name in results.tracks for track in tracks)
    return results


def _loaded_ahead(
    tracks: Sequence[EvalTrack], facts: ModelFacts, stack: ExitStack
) -> Iterator[tuple[EvalTrack, "Future[tuple[Tensor, Tensor]]"]]:
    """Each track with its audio; the next one is read meanwhile."""
    reader = ThreadPoolExecutor(1, "loading")
    stack.callback(reader.shutdown, wait=False, cancel_futures=True)
    following = [reader.submit(load_track, track, facts) for track in tracks[:1]]
    for index, track in enumerate(tracks):
        current = following.pop()
        following = [reader.submit(load_track, one, facts) for one in tracks[index + 1 :][:1]]
        wait([current])
        yield track, current


def _scored(mixture: Tensor, stems: Tensor, estimates: Tensor, facts: ModelFacts) -> Track:
    return Track(
        mixture=mixture.numpy(),
        references=stems.numpy(),
        estimates=estimates.detach().cpu().numpy(),
        samplerate=facts.samplerate,
        sources=facts.sources,
    )


def _check(
    tracks: Sequence[EvalTrack],
    metrics: Sequence[str],
    shifts: int,
    overlap: float,
    workers: int,
    backend: str,
) -> None:
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown or not metrics:
        raise ConfigError(f"metrics={list(metrics)}: give some of {', '.join(METRICS)}.")
    if backend not in BACKENDS:
        raise ConfigError(f"backend={backend} is not one of: {', '.join(BACKENDS)}")
    if "log_wmse" in metrics:
        package()
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
            "weights_sha256": weights_of(model),
            **({"test_set_seen": provenance.get("test_set_seen")} if release else {}),
            **_training(release),
            "samplerate": facts.samplerate,
            "segment": facts.segment,
            **({"members": facts.members} if facts.members > 1 else {}),
        },
        settings=settings,
        sources=list(facts.sources),
        versions={"demucs": demucs.__version__, "python": platform.python_version()}
        | {name: _version(name) for name in PACKAGES},
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        complete=False,
    )


def _training(release: Any) -> dict[str, Any]:
    """The recipe and the seed of the training; nothing of a bag, which has those of its models."""
    if release is None or release.spec.name == "bag":
        return {}
    recipe = recipe_of(release.config)
    return {} if recipe is None else {"recipe": recipe, "seed": seed_of(release.config)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
