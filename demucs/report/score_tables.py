"""The numbers of the evaluations: by metric and stem, with intervals and definitions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from demucs.evaluation.metrics.definitions import DEFINITIONS, VALUES, title
from demucs.report.published_table import is_musdb_test, published_table
from demucs.report.run_files import Run


def stems_of(runs: Sequence[Run]) -> list[str]:
    """The stems of all evaluations, each once, in their order."""
    stems = [stem for run in runs if run.results for stem in run.results.sources]
    return list(dict.fromkeys(stems))


def measured(runs: Sequence[Run]) -> list[str]:
    """The metrics that an evaluation has, in the order of the definitions."""
    return [
        metric
        for metric in VALUES
        if any(
            metric in track.values
            for run in runs
            if run.results
            for track in run.results.tracks.values()
        )
    ]


def valued(run: Run, metric: str) -> list[str]:
    """The stems that have a value of a metric in any song that did not fail."""
    tracks = run.results.tracks.values() if run.results else ()
    stems = {
        stem
        for track in tracks if track.failed is None
        for stem, value in track.values.get(metric, {}).items() if value is not None
    }  # fmt: skip
    return [stem for stem in (run.results.sources if run.results else ()) if stem in stems]


def shared(runs: Sequence[Run], metric: str) -> list[str] | None:
    """The stems that every run with the metric has a value of; None where all have the same ones.

    Means of different runs say something of each other only over the same stems.
    """
    stem_lists = [stems for run in runs if (stems := valued(run, metric))]
    if all(set(stems) == set(stem_lists[0]) for stems in stem_lists):
        return None
    return [stem for stem in stem_lists[0] if all(stem in stems for stems in stem_lists)]


def aggregates(run: Run, metric: str, over: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """`Results.aggregates` of a metric, and `baseline`; means are over some stems, if `over`."""
    if run.results is None:
        return {}
    columns = _aggregates(run, metric, run.results.sources)
    if over is not None:
        means = _aggregates(run, metric, over) if over else {}
        for name, column in columns.items():
            mean = means.get(name)
            column["mean"] = mean["mean"] if mean else None
            column["intervals"]["mean"] = mean["intervals"]["mean"] if mean else None
    return columns


def _aggregates(run: Run, metric: str, stems: Sequence[str]) -> dict[str, dict[str, Any]]:
    if run.results is None:
        return {}
    tracks = {
        name: replace(track, values={k: v for k, v in track.values.items() if k == metric})
        for name, track in run.results.tracks.items()
    }
    results = replace(run.results, sources=list(stems), tracks=tracks)
    columns = results.aggregates()
    if metric == "nsdr" and (mixture := results.baseline().get("nsdr")):
        columns["baseline"] = mixture
    return columns


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """The section's data: `stems`, `tables`, `definitions`, `published`, `warnings`."""
    stems = stems_of(runs)
    metrics = measured(runs)
    rows = _rows(runs, stems, metrics)
    used = {row["metric"] for table in rows for row in table["rows"]}
    return {
        "stems": stems,
        "tables": rows,
        "definitions": _definitions(metrics, mixture="baseline" in used),
        "published": published_table(runs),
        "warnings": warnings(runs),
    }


def _rows(
    runs: Sequence[Run], stems: Sequence[str], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """A table for each metric: for each run its mean and its median over tracks."""
    tables = []
    for metric in metrics:
        over = shared(runs, metric)
        columns = [aggregates(run, metric, over) for run in runs]
        rows = [
            _row(name, index, column[name], stems)
            for name in (metric, f"{metric}_med", "baseline")
            for index, column in enumerate(columns)
            if name in column
        ]
        tables.append({"title": title(metric), "metric": metric, "rows": rows, "shared": over})
    return tables


def _row(name: str, run: int, column: Mapping[str, Any], stems: Sequence[str]) -> dict[str, Any]:
    kind = "mixture" if name == "baseline" else "median" if name.endswith("_med") else "mean"
    intervals = column["intervals"]
    cells = [(column["mean"], intervals["mean"])]
    cells += [(column["stems"].get(stem), intervals["stems"].get(stem)) for stem in stems]
    return {
        "metric": name,
        "kind": kind,
        "title": "mixture" if kind == "mixture" else kind,
        "run": run,
        "cells": [{"value": value, "interval": interval} for value, interval in cells],
        "songs": max(column["tracks"].values(), default=0),
    }


def _definitions(metrics: Sequence[str], *, mixture: bool) -> dict[str, list[tuple[str, str]]]:
    """Definitions of the columns by metric; under `all`, those of every table."""
    definitions = {metric: [(title(metric), DEFINITIONS[metric])] for metric in metrics}
    if "sdr" in definitions:
        definitions["sdr"].append(("median (sdr_med)", DEFINITIONS["sdr_med"]))
    if "nsdr" in definitions and mixture:
        definitions["nsdr"].append(("mixture", DEFINITIONS["baseline"]))
    definitions["all"] = [
        ("mean, median", "over the tracks that have a value; for the papers' SDR, the median"),
        ("all", DEFINITIONS["mean"].replace("column above it", "row")),
        ("95 % interval", f"under each number: {DEFINITIONS['interval']}"),
    ]
    return definitions


def glance(runs: Sequence[Run]) -> dict[str, Any] | None:
    """One number a run and stem for the figure at the head: SDR as in papers, else nSDR.

    Published rows are in it only where all runs can stand beside them.
    """
    name = next(
        (key for key in ("sdr_med", "nsdr") if key.removesuffix("_med") in measured(runs)), None
    )
    if name is None:
        return None
    stems = stems_of(runs)
    shown = []
    over = shared(runs, name.removesuffix("_med"))
    for index, run in enumerate(runs):
        column = aggregates(run, name.removesuffix("_med"), over).get(name)
        if column:
            row = _row(name, index, column, stems)
            shown.append({"run": index, "cells": row["cells"]})
    beside = published_table(runs) if name == "sdr_med" else None
    rows = []
    if beside and beside["comparable"] and list(stems) == list(beside["sources"]):
        whole = all(row["values"][0] is not None for row in beside["own"])
        rows = [
            {"model": f"{row['model']} ({row['facts']})",
             "values": [row["values"][0] if whole else None, *row["values"][1:]]}
            for row in beside["rows"] if not row["estimate"]
        ]  # fmt: skip
    median = ", median over songs" if name == "sdr_med" else ", mean over songs"
    return {
        "title": f"{title(name.removesuffix('_med'))}{median}",
        "stems": ["all" if over is None else "shared", *stems],
        "shared": over,
        "runs": shown,
        "published": rows,
    }


def warnings(runs: Sequence[Run]) -> list[tuple[int, str]]:
    """Reservations about the numbers of each run, with the number of the run."""
    notes: list[tuple[int, str]] = []
    for index, run in enumerate(runs):
        notes += [(index, note) for note in run.notes]
        if run.results is None:
            continue
        notes += [(index, text) for text in run.results.warnings()]
        notes += [(index, text) for text in _without_values(run)]
        failed = run.results.failed()
        if failed:
            notes.append(
                (index, f"{len(failed)} of {len(run.results.tracks)} songs failed and count in no "
                 "number: the table of songs says why")
            )  # fmt: skip
        if not run.results.complete:
            notes.append((index, "the evaluation was not finished: songs are missing"))
        if not is_musdb_test(run):
            notes.append(
                (index, "these are not the 50 test songs of MUSDB18-HQ: its numbers are not "
                 "comparable with published ones")
            )  # fmt: skip
    return notes + _unlike(runs)


def _without_values(run: Run) -> list[str]:
    """Stems that have no number at all, by metric: a mean over stems leaves them out."""
    stems = run.results.sources if run.results else []
    gone: dict[tuple[str, ...], list[str]] = {}
    for metric in measured([run]):
        valued_stems = valued(run, metric)
        without = tuple(stem for stem in stems if stem not in valued_stems)
        if valued_stems and without:
            gone.setdefault(without, []).append(title(metric))
    return [
        f"{', '.join(without)} has no value of {', '.join(metrics)} in any song: means over stems "
        "leave it out"
        for without, metrics in gone.items()
    ]


def _unlike(runs: Sequence[Run]) -> list[tuple[int, str]]:
    """Other songs, or other settings, than those of the first run that was evaluated."""
    evaluated = [(index, run) for index, run in enumerate(runs) if run.results]
    notes = []
    for index, run in evaluated[1:]:
        name, first, other = evaluated[0][1].name, evaluated[0][1].results, run.results
        if first is None or other is None:
            continue
        if set(first.sources) != set(other.sources):
            both = [stem for stem in first.sources if stem in other.sources]
            notes.append(
                (index, f"other stems than {name} ({', '.join(other.sources)}): means "
                 f"are compared over the stems that both have: {', '.join(both) or 'none'}")
            )  # fmt: skip
        if set(first.tracks) != set(other.tracks):
            notes.append((index, f"other songs than {name}: compare with care"))
        for key in ("shifts", "overlap", "split", "backend"):
            if first.settings.get(key) != other.settings.get(key):
                notes.append(
                    (index, f"{key} is {other.settings.get(key)}, and of {name} it is "
                     f"{first.settings.get(key)}")
                )  # fmt: skip
    return notes
