"""Both stages over many files, as far as one process has a share in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from demucs.blind.distil.candidates import Song, Survey
from demucs.blind.distil.entry import Entry
from demucs.blind.distil.scoring import Scoring
from demucs.blind.distil.song_writing import Writing
from demucs.blind.distil.sources import SourceFile
from demucs.console import Progress
from demucs.evaluation.results.shards import share_of


@dataclass(frozen=True)
class Part:
    """The share of one process, `rank` from 0, of `number`."""

    rank: int = 0
    number: int = 1


def score_files(files: Sequence[SourceFile], scoring: Scoring, part: Part) -> int:
    """Scores a share of the files; returns how many of them were not scored before.

    Raises:
        Interrupted: it was asked to stop.
        ConfigError: no such share, or a judge that cannot judge.
        OSError: scores cannot be written.
    """
    own = share_of(files, part.rank, part.number)
    new = 0
    with Progress("score", len(own), sum(one.bytes for one in own)) as progress:
        for file in own:
            entry = scoring.known(file)
            missing = entry is None
            if entry is None:
                entry = scoring.score(file)
                new += 1
            quick = entry.skipped is not None
            progress.done(file.file, _said(entry), file.bytes, new=missing, quick=quick)
    return new


def entries_of(
    files: Sequence[SourceFile], scoring: Scoring
) -> tuple[list[tuple[SourceFile, Entry]], list[SourceFile]]:
    """Files with their entries, and those that have none yet."""
    found, missing = [], []
    for file in files:
        entry = scoring.known(file)
        if entry is None:
            missing.append(file)
        else:
            found.append((file, entry))
    return found, missing


def write_songs(survey: Survey, writing: Writing, part: Part) -> int:
    """Writes a share of the songs that are kept; returns how many were not there.

    Raises:
        As `Writing.write`.
    """
    by_file: dict[str, list[Song]] = {}
    for song in survey.kept:
        by_file.setdefault(song.file.file, []).append(song)
    files = share_of([songs[0].file for songs in by_file.values()], part.rank, part.number)
    own = [song for file in files for song in by_file[file.file]]
    with Progress("write", len(own), sum(song.seconds for song in own)) as progress:

        def done(song: Song, new: bool) -> None:
            value = "" if song.value is None else f"{song.value:.2f} dB"
            progress.done(song.name, value or "written", song.seconds, new=new)

        return writing.write(own, done)


def unwritten(survey: Survey, writing: Writing) -> list[Song]:
    """Songs that are kept and not there yet."""
    return [song for song in survey.kept if not writing.is_there(song)]


def summary_lines(summary: Mapping[str, Any], unit: str) -> list[str]:
    """What a manifest says in short."""
    files, songs, hours = summary["files"], summary["songs"], summary["hours"]
    mean = summary["mean value"]
    quality = "" if mean is None else f", mean {unit} {mean:.2f} dB"
    return [
        f"{files['all']} files: {files['kept']} kept, {files['not selected']} not selected, "
        f"{files['skipped']} skipped, {files['refused']} refused as test songs",
        f"{songs['kept']} songs ({hours['kept']:.2f} of {hours['scored']:.2f} hours) kept{quality}",
    ]


def _said(entry: Entry) -> str:
    """What a file's scores are, in short."""
    if entry.skipped is not None:
        return f"{'refused' if entry.refused else 'skipped'}: {entry.skipped}"
    lows = []
    for scored in entry.excerpts:
        if scored.quality is not None:
            playing = scored.quality.sdr[np.nan_to_num(scored.quality.active) >= 0.5]
            lows += [float(playing.min())] if len(playing) and np.isfinite(playing).all() else []
    if not lows:
        return "no stem of it has a value"
    spread = f"{min(lows):.1f} dB" if len(lows) == 1 else f"{min(lows):.1f} to {max(lows):.1f} dB"
    return f"worst stem {spread}"
