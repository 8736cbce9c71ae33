"""Scores compared between teachers that differ in their seed alone."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from demucs.blind.calibration.rank_statistics import FEWEST
from studies.blind.table_numbers import number_of

STAGE = re.compile(r"(?P<run>.+)_(?P<stage>\d+)$")


def stability(
    table: Mapping[str, Mapping[str, Any]], families: Mapping[str, str], sources: Sequence[str]
) -> list[dict[str, Any]]:
    """For each pair of runs of a family at the same stage, Spearman of both by score.

    Args:
        table: of `study_parts.correlations`.
        families: of each teacher. A teacher RUN_STAGE belongs to a run; runs of one family are
            taken to differ in their seed.

    Returns:
        A dictionary for each pair: the teachers, by stem and score the two correlations, and over
        the scores of a stem their `agreement` (Pearson) and mean `spread` (absolute difference).
    """
    runs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for teacher, family in sorted(families.items()):
        if match := STAGE.match(teacher):
            runs[family, match["stage"]].append(teacher)
    pairs = [pair for teachers in runs.values() for pair in combinations(teachers, 2)]
    return [_compared(table, pair, sources) for pair in pairs]


def _compared(
    table: Mapping[str, Mapping[str, Any]], pair: tuple[str, str], sources: Sequence[str]
) -> dict[str, Any]:
    result: dict[str, Any] = {"teachers": list(pair), "stems": {}}
    for stem in sources:
        scores = {
            name: [columns[stem]["teachers"].get(teacher) for teacher in pair]
            for name, columns in table.items()
        }
        both = np.array([two for two in scores.values() if None not in two], dtype=np.float64)
        enough = len(both) >= FEWEST and both.std(0).min(initial=np.inf) > 0
        result["stems"][stem] = {
            "scores": scores,
            "agreement": number_of(np.corrcoef(both.T)[0, 1]) if enough else None,
            "spread": number_of(np.abs(both[:, 0] - both[:, 1]).mean()) if len(both) else None,
        }
    return result
