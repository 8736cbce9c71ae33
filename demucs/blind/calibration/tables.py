"""Tables of scores as plain JSON, with names written once."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from demucs.blind.calibration.features import Rows
from demucs.blind.quality import from_plain, plain

NAMES = ("track", "teacher", "family")


def rows_plain(rows: Rows) -> dict[str, Any]:
    """Names as a list and indices into it, numbers with four decimals, null for NaN."""
    content: dict[str, Any] = {"stem": rows.stem.tolist()}
    for name in NAMES:
        values, index = np.unique(getattr(rows, name), return_inverse=True)
        content[name] = {"names": values.tolist(), "index": index.tolist()}
    for name in ("values", "target", "level"):
        content[name] = plain(getattr(rows, name))
    return content


def rows_from(content: Mapping[str, Any]) -> Rows:
    """The table that `rows_plain` wrote.

    Raises:
        ValueError: columns of different lengths.
    """
    stem = np.array(content["stem"], dtype=np.int64)
    named = {name: np.array(content[name]["names"])[content[name]["index"]] for name in NAMES}
    numbers = {name: from_plain(content[name]) for name in ("values", "target", "level")}
    if any(len(one) != len(stem) for one in (*named.values(), *numbers.values())):
        raise ValueError("its columns have different lengths")
    return Rows(
        values=numbers["values"],
        stem=stem,
        track=named["track"],
        teacher=named["teacher"],
        family=named["family"],
        target=numbers["target"],
        level=numbers["level"],
    )
