"""Rows of published models, to stand beside one's own; the numbers are in `published.json`."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from demucs.console import WIDTH, number, table

FILE = Path(__file__).with_name("published.json")


@cache
def published() -> dict[str, Any]:
    """`test_set`, `definition`, `sources` and `rows`: each `model`, `source`, `all`, `stems`."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def published_text(name: str, column: Mapping[str, Any], sources: Sequence[str]) -> str:
    """Published rows, and under them the one of a model, with the definition.

    Args:
        name: the model's.
        column: its `sdr_med`, see `demucs.evaluation.results.aggregate.column`.
        sources: its stems; columns are in the order of the published ones.

    Returns:
        Empty where the stems are not the four of the published rows.
    """
    content = published()
    if set(sources) != set(content["sources"]):
        return ""
    own = [column["mean"], *(column["stems"][stem] for stem in content["sources"])]
    rows = [[row["model"], row["all"], *row["stems"], row["source"]] for row in content["rows"]]
    cells = [
        [first, *(number(value) for value in values), source]
        for first, *values, source in [*rows, [name, *own, "this evaluation"]]
    ]
    head = ["model", "All", *content["sources"], "source"]
    text = table(head, cells, numbers=True, rule_before_last=True)
    said = f"Published rows: {content['test_set']}; {content['definition']}."
    return "\n".join([text, *textwrap.wrap(said, WIDTH, subsequent_indent="  ")])
