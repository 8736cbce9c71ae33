"""The list of models (`demucs --list-models`): tables for people, JSON for programs."""

import json
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from demucs import __version__
from demucs.release.listing import ModelEntry
from demucs.release.remote import cache_folder

TITLES = {"bag": "Bag of models:", "single": "Single models:"}
HEADS = ("NAME", "SIZE", "STEMS", "LICENCE", "TRAINED ON")
LEAST, MOST = 80, 132  # columns of a table


def models_json(entries: Sequence[ModelEntry]) -> str:
    """`{"version": ..., "models": [...]}`; see `demucs.release.listing.ModelEntry`."""
    content = {"version": __version__, "models": [entry.to_dict() for entry in entries]}
    return json.dumps(content, indent=2) + "\n"


def models_text(entries: Sequence[ModelEntry], width: int) -> str:
    """Tables of bags and single models, grouped by their place, with the licences below.

    Args:
        width: of the terminal, in columns.
    """
    texts = dict.fromkeys(entry.licence for entry in entries if entry.licence and not entry.problem)
    licences = {text: f"({k + 1})" for k, text in enumerate(texts)}
    width = min(max(width, LEAST), MOST)
    lines = []
    for kind, title in TITLES.items():
        lines.append(title)
        same = [entry for entry in entries if entry.kind == kind]
        widths = _widths(same, width)
        for place, group in groupby(same, lambda entry: entry.place):
            members = list(group)
            lines += ["", f"  {_where(place, members)}", _row(HEADS, widths)[0]]
            for entry in members:
                lines += _lines(entry, licences, widths)
        lines += [""] if same else ["    none", ""]
    for text, mark in licences.items():
        start = f"licence {mark}: "
        lines += textwrap.wrap(start + text, width, subsequent_indent=" " * len(start))
    return "\n".join(lines).rstrip() + "\n"


def _where(place: str, entries: Sequence[ModelEntry]) -> str:
    if place == "published":
        return "published, not fetched yet: a model is fetched when it is first used"
    folder = Path(entries[0].path).parent if entries[0].path else cache_folder()
    return f"in {folder}" if place == "local" else f"fetched, in {cache_folder()}"


def _widths(entries: Sequence[ModelEntry], width: int) -> list[int]:
    """Of the columns: names are whole, what is left is shared by stems and data."""
    name = max([len(entry.name) for entry in entries if len(entry.name) <= 40] + [len(HEADS[0])])
    size = max([len(_size(entry)) for entry in entries] + [len("broken")])
    licence = len(HEADS[3])
    left = width - 4 - name - size - licence - 8
    stems = 23 if left >= 46 else 12
    return [name, size, stems, licence, max(left - stems, 16)]


def _lines(entry: ModelEntry, licences: dict[str, str], widths: list[int]) -> list[str]:
    if entry.problem is not None:
        cells = (entry.name, "broken", *[""] * 3)
        indent = " " * (4 + widths[0] + 2 + widths[1] + 2)
        reason = textwrap.wrap(entry.problem, sum(widths[2:]) + 4, break_on_hyphens=False)
        first = _row(cells, widths)[-1].ljust(len(indent))
        return [
            *_row(cells, widths)[:-1],
            first + reason[0],
            *(indent + line for line in reason[1:]),
        ]
    licence = licences[entry.licence] if entry.licence else "?"
    stems = " ".join(entry.stems) if entry.stems else "?"
    return _row((entry.name, _size(entry), stems, licence, _data(entry)), widths)


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of a row: cells are wrapped, and a name that is too long has a line of its own."""
    if len(cells[0]) > widths[0]:
        return [f"    {cells[0]}", *_row(("", *cells[1:]), widths)]
    wrapped = [
        textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)
    ]
    lines = []
    for k in range(max(map(len, wrapped))):
        parts = [cell[k] if k < len(cell) else "" for cell in wrapped]
        parts[1] = parts[1].rjust(widths[1])
        padded = [part.ljust(width) for part, width in zip(parts, widths, strict=True)]
        lines.append(f"    {'  '.join(padded)}".rstrip())
    return lines


def _size(entry: ModelEntry) -> str:
    if entry.size is not None:
        return f"{entry.size / 2**20:.1f} MiB"
    if entry.here:
        return f"{entry.here} of {len(set(entry.models or []))}"
    return "-"


def _data(entry: ModelEntry) -> str:
    """What it was trained on, and whether the test songs were among that."""
    trained_on, test_set_seen = entry.trained_on or "not recorded", entry.test_set_seen
    if test_set_seen is None:
        return (
            trained_on
            if trained_on == "not recorded"
            else f"{trained_on}; test songs: not recorded"
        )
    if test_set_seen == "no" or "test songs" in trained_on:
        return trained_on
    return f"{trained_on}; test songs: {test_set_seen}"
