"""The table of songs, and which of them get a player."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import DEFINITIONS, title
from demucs.evaluation.results.results import TrackResult
from demucs.report.run_files import Run
from demucs.report.score_tables import measured, stems_of

USUAL = "sdr"  # metric


def songs_table(runs: Sequence[Run], metric: str | None) -> dict[str, Any]:
    """For the browser: `metrics`, `stems`, and a row a song with the values of each run.

    Args:
        metric: what is shown first; one that was not measured is said in `note`.
    """
    stems, metrics = stems_of(runs), measured(runs)
    first = metric or USUAL
    names = sorted({name for run in runs if run.results for name in run.results.tracks})
    return {
        "stems": stems,
        "metrics": [
            {"name": metric, "title": title(metric), "definition": _of_a_track(metric)}
            for metric in metrics
        ],
        "metric": next((metric for metric in (first, USUAL, *metrics) if metric in metrics), None),
        "note": not_measured(runs, metric),
        "songs": [_song(name, runs, stems, metrics) for name in names],
    }


def _of_a_track(metric: str) -> str:
    """The definition of one song's number."""
    return DEFINITIONS[metric].replace("; mean over tracks of these medians", "").replace(
        "; mean over tracks", ""
    )  # fmt: skip


def _song(
    name: str, runs: Sequence[Run], stems: Sequence[str], metrics: Sequence[str]
) -> dict[str, Any]:
    values: dict[str, list[list[float | None]]] = {}
    for metric in metrics:
        values[metric] = []
        for run in runs:
            track = run.results.tracks.get(name) if run.results else None
            row = track.values.get(metric, {}) if track else {}
            values[metric].append([row.get(stem) for stem in stems])
    tracks = [run.results.tracks.get(name) if run.results else None for run in runs]
    return {
        "name": name,
        "seconds": next((track.seconds for track in tracks if track and track.seconds), None),
        "values": values,
        "notes": _notes(tracks),
        "failed": [track.failed if track else None for track in tracks],
        "seen": [bool(track and track.seen) for track in tracks],
    }


def _notes(tracks: Sequence[TrackResult | None]) -> list[tuple[int | None, str]]:
    """The notes of a song and the number of the run they are of; None if they are of all runs."""
    tested = [(run, track) for run, track in enumerate(tracks) if track]
    notes: list[tuple[int | None, str]] = []
    for note in dict.fromkeys(note for _, track in tested for note in track.notes):
        owners = [run for run, track in tested if note in track.notes]
        notes += [(None, note)] if len(owners) == len(tracks) else [(run, note) for run in owners]
    return notes


def not_measured(runs: Sequence[Run], metric: str | None) -> str | None:
    """A note if a metric was asked for that no evaluation has."""
    metrics = measured(runs)
    if metric is None or metric in metrics or not metrics:
        return None
    return (
        f"{metric} was asked for (--metric), and no evaluation has it: shown and chosen by is "
        f"{title(metrics[0] if USUAL not in metrics else USUAL)}; there are {', '.join(metrics)}"
    )


def song_means(run: Run, metric: str) -> dict[str, float]:
    """The mean over the stems of each song; songs without a value are left out."""
    means: dict[str, float] = {}
    for name, track in (run.results.tracks if run.results else {}).items():
        row = [value for value in track.values.get(metric, {}).values() if value is not None]
        if row and track.failed is None:
            means[name] = float(np.mean(row))
    return means


def chosen(runs: Sequence[Run], metric: str | None, players: int) -> dict[str, str]:
    """Songs for players, and why each: best, worst, median, and others evenly between them.

    By the mean over the stems of the first run that has the metric, or another one.
    """
    for name in (metric or USUAL, USUAL, *measured(runs)):
        for run in runs:
            means = song_means(run, name)
            if means:
                return _spread(means, f"{title(name)} of {run.name}", players)
    return {}


def _spread(means: Mapping[str, float], what: str, players: int) -> dict[str, str]:
    ranked = sorted(means, key=lambda name: (-means[name], name))
    last = len(ranked) - 1
    places = np.linspace(0, last, min(players, len(ranked))).astype(int)
    if players == 1:
        places = np.array([last // 2])
    named = {last // 2: "median", last: "worst", 0: "best"}
    return {
        ranked[
            int(place)
        ]: f"{named.get(int(place), f'rank {place + 1} of {last + 1}')} by the mean "
        f"{what}: {means[ranked[int(place)]]:.2f}"
        for place in dict.fromkeys(places)
    }


def check_names(asked: Sequence[str], names: Sequence[str], where: str) -> None:
    """Raises ConfigError if a song that is asked for is not there; lists some."""
    for name in asked:
        if name not in names:
            some = ", ".join(sorted(names)[:10]) or "none"
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            raise ConfigError(f"--tracks: there is no song {name!r} {where}: {some}{more}")
