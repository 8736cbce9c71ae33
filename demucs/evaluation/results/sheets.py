"""Results as CSV files, for a spreadsheet or pandas."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from demucs.evaluation.metrics.definitions import VALUES
from demucs.evaluation.results.results import Results
from demucs.files import atomic_path


def write_sheets(results: Results, base: Path) -> list[Path]:
    """Writes `BASE.csv`, a row a track and stem, and `BASE_windows.csv`, a row a second of these.

    Columns are metrics, empty where there is no value. Tracks whose windows are not known (they
    were read from JSON) have no rows in the second file, which is left out if there are none.

    Returns:
        The files.
    """
    shown = [
        name for name in VALUES if any(name in track.values for track in results.tracks.values())
    ]
    sheet = base.with_name(f"{base.name}.csv")
    _write(sheet, ["track", "stem", "seconds", *shown, "failed"], _tracks(results, shown))
    rows = list(_windows(results, shown))
    if not rows:
        return [sheet]
    windows = base.with_name(f"{base.name}_windows.csv")
    _write(windows, ["track", "stem", "second", *shown], rows)
    return [sheet, windows]


def _tracks(results: Results, shown: Sequence[str]) -> Iterable[list[Any]]:
    for name, track in sorted(results.tracks.items()):
        for stem in results.sources:
            values = [track.values.get(metric, {}).get(stem) for metric in shown]
            yield [name, stem, track.seconds, *map(_cell, values), track.failed]


def _windows(results: Results, shown: Sequence[str]) -> Iterable[list[Any]]:
    for name, track in sorted(results.tracks.items()):
        for stem in results.sources:
            columns = [track.windows.get(metric, {}).get(stem, []) for metric in shown]
            for second in range(max(map(len, columns), default=0)):
                values = [column[second] if second < len(column) else None for column in columns]
                yield [name, stem, second, *map(_cell, values)]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
