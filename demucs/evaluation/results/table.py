"""Results as text for a terminal."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from demucs.console import WIDTH, number, table
from demucs.evaluation.metrics.definitions import DEFINITIONS, title
from demucs.evaluation.results.results import Results

# Tables of their own, each narrow enough for a terminal; the JSON has every median too.
TABLES = (
    ("in dB", ("mixture nsdr", "nsdr", "sdr", "sdr_med", "isr", "sir", "sar")),
    (
        "other measures (SI-SDR in dB, the others without a unit)",
        ("si_sdr", "l1_freq", "bleedless", "fullness", "log_wmse"),
    ),
)
WITH_INTERVALS = ("nsdr", "sdr", "sdr_med", "si_sdr")


def results_text(results: Results) -> str:
    """Tables, intervals, definitions of what they show, and warnings."""
    columns = {f"mixture {name}": one for name, one in results.baseline().items()}
    columns |= results.aggregates()
    count = len(results.tracks) - len(results.failed())
    parts: list[str] = []
    for heading, names in TABLES:
        shown = {name: columns[name] for name in names if name in columns}
        if shown or not parts:
            where = f"{results.model.get('name', 'model')} on {count} tracks, {heading}"
            parts += [where, _table(results.sources, shown, number)]
    if count > 1:
        shown = {name: columns[name]["intervals"] for name in WITH_INTERVALS if name in columns}
        parts += ["95 % intervals", _table(results.sources, shown, _interval)]
    parts.append(_definitions(columns, intervals=count > 1))
    parts += [f"WARNING: {text}" for text in results.warnings()]
    return "\n\n".join(parts)


def _table(sources: Sequence[str], columns: Mapping[str, Mapping[str, Any]], cell: Any) -> str:
    """Rows of stems and their mean, one column a metric."""
    header = ["stem", *map(_heading, columns)]
    rows = [
        [stem, *(cell(aggregate["stems"][stem]) for aggregate in columns.values())]
        for stem in sources
    ]
    rows.append(["mean", *(cell(aggregate["mean"]) for aggregate in columns.values())])
    return table(header, rows, numbers=True, rule_before_last=True)


def _interval(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.2f} … {interval[1]:.2f}"


def _definitions(columns: Mapping[str, Any], *, intervals: bool) -> str:
    """The definitions of the columns shown, one paragraph each."""
    names = [name for name in columns if name == "sdr_med" or not name.endswith("_med")]
    lines = []
    for name in [*names, "med", "mean", *(["interval"] if intervals else [])]:
        text = DEFINITIONS["baseline" if name.startswith("mixture") else name]
        heading = {"med": "NAME_med", "interval": "95 % intervals"}.get(name, _heading(name))
        lines += textwrap.wrap(f"{heading}: {text}.", WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def _heading(name: str) -> str:
    kind, space, metric = name.rpartition(" ")
    return f"{kind}{space}{title(metric)}"
