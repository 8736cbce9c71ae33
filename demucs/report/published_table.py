"""The table of published models, and of the runs that can stand beside them."""

from collections.abc import Sequence
from typing import Any

from demucs.data.official import TEST_NAMES
from demucs.evaluation.results.published_rows import (
    BAG,
    SINGLE,
    kind_of,
    only_bags,
    published,
    published_rows,
)
from demucs.report.run_files import Run


def is_musdb_test(run: Run) -> bool:
    """Whether an evaluation is of all test songs of MUSDB18, by their names."""
    if run.results is None:
        return False
    good = {name for name, track in run.results.tracks.items() if track.failed is None}
    return good == TEST_NAMES


def published_table(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Rows of published models and of these runs; None where no run can stand beside them."""
    content = published()
    measured_rows = []
    for index, run in enumerate(runs):
        column = run.results.aggregates().get("sdr_med") if run.results else None
        if column and run.results and set(run.results.sources) == set(content["sources"]):
            values = [column["stems"][stem] for stem in content["sources"]]
            values.insert(0, None if None in values else column["mean"])  # published: of all stems
            kind = kind_of(run.results.model)
            measured_rows.append(
                {"run": index, "values": values, "facts": kind, "comparable": is_musdb_test(run)}
            )
    if not measured_rows:
        return None
    rows = published_rows(_kind(runs))
    return {
        "sources": content["sources"],
        "rows": [
            {"model": row.model, "source": row.source, "values": [row.all, *row.stems],
             "facts": row.facts, "note": row.note, "estimate": row.estimate}
            for row in rows
        ],
        "own": measured_rows,
        "only_bags": only_bags(rows),
        "definition": f"{content['test_set']}. {content['definition']}",
        "comparable": all(row["comparable"] for row in measured_rows),
    }  # fmt: skip


def _kind(runs: Sequence[Run]) -> str:
    """Bags stand first where every evaluation is of a bag, otherwise single models."""
    kinds = {kind_of(run.results.model) for run in runs if run.results}
    return BAG if kinds == {BAG} else SINGLE
