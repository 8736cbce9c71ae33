"""One call of tools.distil: teacher, judge and guard are made, then the stages run."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from demucs.blind.distil.candidates import Song, Survey, survey
from demucs.blind.distil.guard import Guard, make_guard
from demucs.blind.distil.labelling import (
    about_teacher,
    check_judge,
    check_sources,
    make_judge,
    warnings_of,
)
from demucs.blind.distil.licences import licence_of
from demucs.blind.distil.manifest import FILE, write_manifest
from demucs.blind.distil.place import check_folder, run_of, settings_in, take_place
from demucs.blind.distil.scoring import Scoring
from demucs.blind.distil.song_writing import Writing, check_others
from demucs.blind.distil.sources import distinct, find_sources
from demucs.blind.distil.stages import (
    Part,
    entries_of,
    score_files,
    summary_lines,
    unwritten,
    write_songs,
)
from demucs.blind.teacher import StoppableTeacher, Teacher
from demucs.console import bar
from demucs.errors import ConfigError
from demucs.evaluation.output import check_device
from demucs.experiment.cluster import World, find_share
from demucs.nn.allocator import tune_allocator
from demucs.pretrained import get_model
from demucs.process.signals import noting, stop_signal


def run(args: argparse.Namespace) -> int:
    """Scores and writes; returns the exit code."""
    tune_allocator()
    share, part = _share(args)
    check_device(args.device)
    check_folder(args.out)
    judge = make_judge(args)
    model: Any = get_model(args.name, args.repo)
    device = args.device or _best_device(share.local_rank)
    plain = Teacher.of(model, args.name, device)
    check_judge(judge, plain)
    teacher = StoppableTeacher.wrap(plain, _stopped)
    check_sources(teacher, args.sources)
    files, copies = distinct(find_sources(args.folder, skip=args.out))
    settings = {
        "teacher": plain.weights,
        "judge": judge.settings,
        "excerpt": args.excerpt,
        "min_seconds": args.min_seconds,
        "truth": args.truth or args.select == "oracle" or _has_truth(args.out),
    }
    guard = _guard(args, teacher)  # before the settings are kept: it may not work
    for line in take_place(args.out, settings, replace=args.replace):
        print(f"scores are made anew: {line}", file=sys.stderr)
    scoring = Scoring(
        teacher=teacher,
        judge=judge,
        guard=guard,
        out=args.out,
        run=run_of(settings),
        excerpt=args.excerpt,
        min_seconds=args.min_seconds,
        truth=settings["truth"],
        stop=_stopped,
    )
    if args.stage != "write":
        which = f", share {part.rank + 1} of {part.number}" if part.number > 1 else ""
        print(f"{args.name} scores {len(files)} files{which}", file=sys.stderr)
        with noting():
            score_files(files, scoring, part)
    found, missing = entries_of(files, scoring)
    if missing and args.stage == "write":
        raise ConfigError(f"{len(missing)} of {len(files)} files are not scored: {_command(args)}")
    if missing:
        print(f"this share is scored; {len(missing)} of {len(files)} files are not: others score "
              f"them, or: {_command(args)}")  # fmt: skip
    if missing or args.stage == "score":
        if not missing:
            print(f"all {len(files)} files are scored; write with --stage write")
        return 0
    seen = survey(found, teacher.samplerate, args.rule)
    about = {
        "teacher": about_teacher(teacher, model),
        "judge": judge.about,
        "settings": settings,
        "guard": guard.to_dict(),
    }
    return _write(args, seen, scoring, about, copies, Part() if args.stage == "both" else part)


def _write(
    args: argparse.Namespace,
    seen: Survey,
    scoring: Scoring,
    about: dict[str, Any],
    copies: dict[str, str],
    part: Part,
) -> int:
    """The second stage."""
    writing = Writing(
        teacher=scoring.teacher,
        weights=scoring.teacher.weights,
        out=args.out,
        rule=args.rule,
        threshold=seen.selection.threshold,
        judge=scoring.judge.about,
        licence=partial(_licence, root=args.folder, general=args.licence),
        stop=_stopped,
    )
    warnings = warnings_of(seen, writing, about["teacher"], scoring.guard)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for name in check_others(writing.folder, seen.selection.kept, prune=args.prune):
        print(f"removed: {name}", file=sys.stderr)
    with noting():
        write_songs(seen, writing, part)
    left = unwritten(seen, writing)
    if left:
        print(f"this share is written; {len(left)} songs are not: others write them, or the same "
              "command does")  # fmt: skip
        return 0
    summary = write_manifest(seen, writing, copies=copies, about=about, warnings=warnings)
    what = "true nSDR" if args.rule.by == "oracle" else args.by or "predicted nSDR"
    stems = "the worst stem" if args.over == "min" else "all stems"
    for line in summary_lines(summary, f"{what} of {stems}"):
        print(line)
    print(f"songs: {writing.folder}\nmanifest: {args.out / FILE}")
    return 0


def _has_truth(out: Path) -> bool:
    """Scores that were compared with true stems are as good without."""
    return bool(settings_in(out).get("truth"))


def _stopped() -> bool:
    return stop_signal() is not None


def _share(args: argparse.Namespace) -> tuple[World, Part]:
    share = find_share(os.environ)
    if args.part is not None:
        return share, Part(*args.part)
    return share, Part(share.rank, share.world_size)


def _guard(args: argparse.Namespace, teacher: Teacher) -> Guard:
    folders = args.guard
    if folders is None:
        musdb = os.environ.get("DEMUCS_MUSDB")
        default = Path(musdb).expanduser() / "test" if musdb else None
        folders = [default] if default and default.is_dir() else []

    def show(places: Iterable[Any]) -> Iterator[Any]:
        hidden = not sys.stderr.isatty()
        yield from bar(places, title="test songs", unit="song", show=not hidden)

    return make_guard(
        folders, sources=teacher.sources, cache=args.out, names=args.guard_names, show=show
    )


def _licence(song: Song, root: Path, general: str | None) -> str:
    return licence_of(song.file.path, root, general)


def _command(args: argparse.Namespace) -> str:
    """That scores what is missing."""
    words = ["python3", "-m", "tools.distil", str(args.folder), str(args.out), "-n", args.name]
    words += ["--repo", args.repo] if args.repo else []
    judges = {"--calibration": args.calibration, "--network": args.network, "--by": args.by}
    words += [str(word) for pair in judges.items() if pair[1] is not None for word in pair]
    words += ["--excerpt", f"{args.excerpt:g}", "--min-seconds", f"{args.min_seconds:g}"]
    words += ["--truth"] if args.truth else []
    for folder in args.guard or []:
        words += ["--guard", str(folder)]
    words += [] if args.guard_names else ["--no-guard-names"]
    return shlex.join([*words, "--stage", "score"])


def _best_device(local_rank: int) -> str:
    import torch

    gpus = torch.cuda.device_count()
    return f"cuda:{local_rank % gpus}" if gpus else "cpu"
