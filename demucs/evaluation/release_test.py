"""One evaluation of a release: find the songs, measure a share of them, put results together."""

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs.errors import ConfigError, DatasetError
from demucs.evaluation.metrics.definitions import METRICS
from demucs.evaluation.output import check_device, check_place, finished, keep_other
from demucs.evaluation.results.table import results_text
from demucs.evaluation.test_options import Settings, find_root, read_settings
from demucs.release.names import DEFAULT_FOLDER, folder_name

if TYPE_CHECKING:
    from demucs.data import Track
    from demucs.evaluation import Results
    from demucs.evaluation.results.shards import Parts


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints and writes; returns the exit code."""
    from demucs.evaluation.results.shards import Parts
    from demucs.evaluation.results.sheets import write_sheets
    from demucs.nn.allocator import tune_allocator
    from demucs.pretrained import get_model

    tune_allocator()
    check_place(args.out)
    model: Any = get_model(args.name, args.repo)
    settings = read_settings(args.overrides, model.release.config)
    root = find_root(settings, args.musdb, model.release)
    found, bad = find_songs(root, args.split, model)
    tracks = select(found, args.tracks, args.max_tracks)
    out = args.out or default_out(args, subset=len(tracks) < len(found))
    check_place(out)
    check_device(args.device)
    key = _key(args, settings, model, root)
    marks = {track.name: track.mark() for track in tracks}
    parts = Parts(out, key, marks)
    data = {
        "name": root.absolute().name,
        "split": args.split,
        "tracks_in_split": len(found),
        "left_out": bad,
        "run": parts.run,
        "files": hashlib.sha256(str(sorted(marks.items())).encode()).hexdigest()[:16],
    }
    results = None if args.again or settings.save else finished(out, data, tracks)
    if results is not None:
        results.data = data
        print(f"{out} has these results already; --again measures anew", file=sys.stderr)
    else:
        results = _measure(model, tracks, args, settings, parts, out)
        if results is None:
            return 0
        results.data = data
        if len(results.failed()) == len(results.tracks):
            reason = next(iter(results.failed().values()))
            raise DatasetError(f"no song could be measured, and nothing is written: {reason}")
        keep_other(out, parts.run)
        sheets = write_sheets(results, out.with_suffix(""))
        results.save(out)
        print(f"sheets: {', '.join(map(str, sheets))}", file=sys.stderr)
        if not results.failed():  # those that failed are tried again by the same command
            parts.remove()
    return report(results, out, settings, published=args.published)


def find_songs(root: Path, split: str, model: Any) -> "tuple[list[Track], list[str]]":
    """The songs of a split, or those of `root` itself if it has no such folder, and bad ones.

    Raises:
        DatasetError: there are none, or none is left.
    """
    from demucs.data import find_tracks, tracks_in

    bad: list[str] = []
    wanted = {"sources": model.sources, "samplerate": model.samplerate,
              "channels": model.audio_channels, "on_bad": bad.append}  # fmt: skip
    if split == "test" and not (root / "test").is_dir():
        tracks = tracks_in(root, **wanted)
    else:
        tracks = find_tracks(root, split, **wanted)  # type: ignore[arg-type]
    for problem in bad:
        print(f"error: left out: {problem}", file=sys.stderr)
    bad = [problem.replace(f"{root}/", "") for problem in bad]  # no place of this machine
    if not tracks:
        raise DatasetError(f"{root}: no {split} track is left to evaluate on.")
    return tracks, bad


def _key(args: argparse.Namespace, settings: Settings, model: Any, root: Path) -> dict[str, Any]:
    """What the numbers depend on."""
    import demucs
    from demucs.evaluation.facts import weights_of

    return {
        "demucs": demucs.__version__,
        "weights": weights_of(model),
        "data": str(root.resolve()),
        "split": args.split,
        "metrics": metrics_of(args, settings),
        "backend": args.backend,
        "how": [settings.shifts, settings.overlap, settings.split],
    }


def metrics_of(args: argparse.Namespace, settings: Settings) -> list[str]:
    """Those of --metrics; otherwise all, or nSDR alone with --no-sdr."""
    if args.metrics:
        return list(dict.fromkeys(args.metrics))
    return ["nsdr"] if args.no_sdr or not settings.sdr else list(METRICS)


def _measure(
    model: Any,
    tracks: "Sequence[Track]",
    args: argparse.Namespace,
    settings: Settings,
    parts: "Parts",
    out: Path,
) -> "Results | None":
    """The results of all tracks; None where other processes have not finished their share."""
    from demucs.evaluation import evaluate
    from demucs.evaluation.results.shards import share_of
    from demucs.experiment.cluster import find_share

    share = find_share(os.environ)
    own = share_of(tracks, share.rank, share.world_size)
    names = [track.name for track in tracks]
    if args.again:
        parts.forget(track.name for track in own)
    there = {name: one for name, one in parts.load(names).items() if one.failed is None}
    if settings.save:  # the stems of songs that were measured before may not be there
        there = {}
    before = sum(track.name in there for track in own)
    which = "" if share.world_size == 1 else f", share {share.rank + 1} of {share.world_size}"
    kept = f", {before} done before" if before else ""
    print(f"{args.name} on {len(own)} {args.split} songs{which}{kept}", file=sys.stderr)
    kept_now = set(there)

    def keep(results: "Results") -> None:
        for name in results.tracks.keys() - kept_now:
            parts.save(name, results.tracks[name])
            kept_now.add(name)

    results = evaluate(
        model,
        tracks,
        metrics=metrics_of(args, settings),
        shifts=settings.shifts,
        overlap=settings.overlap,
        split=settings.split,
        device=args.device or _best_device(share.local_rank),
        workers=settings.workers,
        save_dir=out.with_suffix("") if settings.save else None,
        model_name=args.name,
        backend=args.backend,
        on_track=keep,
        mine={track.name for track in own},
        done=there,
    )
    everything = parts.load(names) | results.tracks
    missing = [name for name in names if name not in everything]
    if missing:
        print(f"this share is done; {len(missing)} songs are not: others measure them, or the "
              "same command does")  # fmt: skip
        return None
    results.tracks = {name: everything[name] for name in names}
    results.complete = True
    return results


def report(results: "Results", out: Path, settings: Settings, *, published: bool) -> int:
    """Prints the results; returns the exit code."""
    from demucs.evaluation.results.published_rows import kind_of, published_text

    print(results_text(results))
    if published:
        median = results.aggregates().get("sdr_med")
        model = results.model
        rows = median and published_text(model["name"], median, results.sources, kind_of(model))
        print(
            "\n" + (rows or "There are no published rows for these stems, or SDR was not measured.")
        )
    for note in results.notes():
        print(f"note: {note}")
    if settings.save:
        print(f"separated stems: {out.with_suffix('')}")
    print(f"results: {out}")
    failed = results.failed()
    for name, reason in failed.items():
        print(f"error: {name}: {reason}", file=sys.stderr)
    return 1 if failed or results.data.get("left_out") else 0


def select(tracks: Sequence[Any], names: Sequence[str] | None, at_most: int | None) -> list[Any]:
    """The tracks that are asked for.

    Raises:
        DatasetError: a name that is not there.
        ConfigError: a number below one.
    """
    there = {track.name: track for track in tracks}
    missing = [name for name in names or [] if name not in there]
    if missing:
        raise DatasetError(
            f"--tracks: there is no track {missing[0]!r}; there are: {', '.join(sorted(there))}"
        )
    if at_most is not None and at_most < 1:
        raise ConfigError(f"--max-tracks {at_most}: give at least 1.")
    chosen = [there[name] for name in dict.fromkeys(names)] if names else list(tracks)
    return chosen[:at_most]


def default_out(args: argparse.Namespace, *, subset: bool) -> Path:
    """`REPO/evaluation_NAME.json`; other splits and parts of them get names of their own."""
    marks = [args.split] * (args.split != "test") + ["subset"] * subset
    stem = "_".join(["evaluation", folder_name(args.name), *marks])
    return Path(args.repo or DEFAULT_FOLDER) / f"{stem}.json"


def _best_device(local_rank: int) -> str:
    import torch

    gpus = torch.cuda.device_count()
    return f"cuda:{local_rank % gpus}" if gpus else "cpu"
