"""The last stage of some epochs: the test songs, divided over processes."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from demucs.data import Track
from demucs.errors import DatasetError
from demucs.evaluation import Results, TrackResult, evaluate
from demucs.evaluation.metrics.definitions import BSS_METRICS
from demucs.evaluation.results.shards import share_of
from demucs.evaluation.results.table import results_text
from demucs.training.config.schema import TestConfig
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.optim.quantise import judged
from demucs.training.stages.context import Context, Metrics
from demucs.training.stages.stop import Stop

logger = logging.getLogger(__name__)


def test_is_due(context: Context) -> bool:
    """Whether the present epoch ends with a test."""
    every, number = context.options.test.every, context.state.epoch + 1
    if not context.songs.test or every == 0:
        return False
    return number % every == 0 or number == context.options.epochs


def test_stage(context: Context) -> Metrics | None:
    """The best state (or the latest) on the test songs; None if the run is to stop."""
    state, options = context.state, context.options
    number = state.epoch + 1
    tested = state.best.state if options.test.best and state.best is not None else None
    where = context.folder / "test" / f"epoch_{number}"
    with judged(context.model, tested, context.quantiser, final=True) as model:
        results = test_songs(
            model,
            context.songs.test,
            options.test,
            context.group,
            context.stop,
            last=number == options.epochs,
            done=state.pending.get("tracks", {}),
            save_dir=where,
        )
    state.pending["tracks"] = plain_results(results)
    if not results.complete:
        return None
    _check_some(results)
    del state.pending["tracks"]
    if context.group.is_first:
        results.save(where.with_suffix(".json"))
        logger.info("test after epoch %d\n%s", number, results_text(results))
    return dict(results.summary())


def _check_some(results: Results) -> None:
    """Refuses a test of which nothing is left; the state before it is saved.

    Raises:
        DatasetError: every song failed.
    """
    failed = results.failed()
    if failed and len(failed) == len(results.tracks):
        name, reason = next(iter(failed.items()))
        raise DatasetError(
            f"no test song could be measured; {name}: {reason}. Repair that and give the same "
            "command again, which resumes the test, or train another one with test.every=0"
        )


def test_songs(
    model: nn.Module,
    tracks: Sequence[Track],
    options: TestConfig,
    group: ProcessGroup,
    stop: Stop,
    *,
    last: bool,
    done: Mapping[str, Mapping[str, Any]],
    save_dir: Path,
) -> Results:
    """Evaluates `model` on the songs that are not done yet, each process on some of them.

    Args:
        last: this is the test after the last epoch, which may be more thorough.
        done: results of songs by name, as `plain_results` made them.
        save_dir: where separated stems go, if they are saved.

    Returns:
        The results of all, the same on all processes; not `complete` if it was stopped.
    """
    left = [track for track in tracks if track.name not in done]  # the same on all processes
    results = evaluate(
        model.eval(),
        tracks,
        metrics=("nsdr", *_bss_metrics(options, last)),
        shifts=options.shifts,
        overlap=options.overlap,
        split=options.split,
        device=group.device,
        workers=options.workers,
        save_dir=save_dir if options.save else None,
        progress=sys.stderr.isatty() and group.is_first,
        on_track=lambda _: stop.worked(),
        mine={track.name for track in share_of(left, group.rank, group.world_size)},
        done={name: TrackResult(**plain) for name, plain in done.items()},
        should_stop=stop.wanted,
    )
    gathered: dict[str, TrackResult] = {}
    for part in group.gathered(results.tracks):
        gathered.update(part)
    results.tracks = {
        track.name: gathered[track.name] for track in tracks if track.name in gathered
    }
    results.complete = len(results.tracks) == len(tracks)
    return results


def _bss_metrics(options: TestConfig, last: bool) -> tuple[str, ...]:
    """SDR costs nothing; the distortion filters of the others are for the last test."""
    if not options.sdr:
        return ()
    return BSS_METRICS if last else BSS_METRICS[:1]


def plain_results(results: Results) -> dict[str, dict[str, Any]]:
    """The songs that are done, as plain containers for a checkpoint."""
    return {name: asdict(track) for name, track in results.tracks.items()}
