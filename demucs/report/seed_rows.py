"""The numbers of runs that differ in their seed alone, as one row: mean ± s.d. over seeds."""

from collections.abc import Sequence
from typing import Any

from demucs.errors import ConfigError
from demucs.evaluation.results.recipe import recipe_of, seed_of
from demucs.evaluation.results.results import Results
from demucs.evaluation.results.seed_table import EXPLAINED, gap_text, seed_table, spread_text
from demucs.evaluation.results.seed_table import verdict as words_of
from demucs.evaluation.results.seeds import UNKNOWN, group_runs, recorded_recipe
from demucs.report.run_files import Run, letter

SHOWN = ("nsdr", "sdr", "sdr_med")


def seed_rows(runs: Sequence[Run]) -> dict[str, Any] | None:
    """The section's data: `tables`, `stems` and `explained`, or a `note` where no run has a twin.

    None where no run was evaluated. Runs of the same weights count once.
    """
    evaluated = _once([(index, run.results) for index, run in enumerate(runs) if run.results])
    if not evaluated:
        return None
    numbers, results = [index for index, _ in evaluated], [one for _, one in evaluated]
    groups = group_runs([_recipe(runs[index], one) for index, one in evaluated])
    if len(groups) == len(results):
        which = "Each run is the only one of its configuration" if len(runs) > 1 else "One run"
        return {"note": f"{which}: {UNKNOWN}.", "tables": []}
    try:
        content = seed_table(groups, results)
    except ConfigError as error:
        return {"note": f"Runs of the same configuration are not averaged: {error}.", "tables": []}
    members = [[numbers[k] for k in group.members] for group in groups]
    tables = [
        {"title": metric["title"], "rows": _rows(metric, content, members)}
        for metric in content["metrics"]
        if metric["metric"] in SHOWN
    ]
    return {"note": None, "tables": tables, "stems": content["stems"],
            "explained": " ".join(EXPLAINED.split())}  # fmt: skip


def _rows(
    metric: dict[str, Any], content: dict[str, Any], members: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    """A row for each group, and under all but the first one its difference to the first."""
    rows = []
    for index, row in enumerate(metric["rows"]):
        group, runs = content["groups"][index], members[index]
        seeds = [str(seed) for seed in group["seeds"] if seed is not None]
        count = f"{len(runs)} seed{'s'[: len(runs) != 1]}"
        rows.append(
            {
                "title": _letters(runs),
                "small": f"{count}{': ' if seeds else ''}{', '.join(seeds)}",
                "cells": [(spread_text(row[stem]), "") for stem in content["stems"]],
            }
        )
        if index:
            gaps = metric["gaps"][index - 1]
            cells = [(gap_text(gaps[s]), words_of(gaps[s])) for s in content["stems"]]
            title = f"{_letters(runs)} − {_letters(members[0])}"
            rows.append({"title": title, "small": "difference", "cells": cells})
    return rows


def _letters(runs: Sequence[int]) -> str:
    return ", ".join(letter(index) for index in runs)


def _once(evaluated: Sequence[tuple[int, Results]]) -> list[tuple[int, Results]]:
    seen: set[str] = set()
    kept = []
    for index, results in evaluated:
        weights = str(results.model.get("weights_sha256") or f"of run {index}")
        if weights not in seen:
            kept.append((index, results))
        seen.add(weights)
    return kept


def _recipe(run: Run, results: Results) -> tuple[str | None, int | None]:
    """What the evaluation has recorded; of one that is older, by the run's configuration."""
    recorded = recorded_recipe(results)
    return recorded if recorded[0] else (recipe_of(run.config), seed_of(run.config))
