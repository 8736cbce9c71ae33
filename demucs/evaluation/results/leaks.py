"""Warnings where a model may have been trained on the songs that it is evaluated on."""

from collections.abc import Mapping, Sequence
from typing import Any


def leaks(model: Mapping[str, Any], seen: Sequence[str], tracks: int) -> list[str]:
    """Warnings, none if nothing speaks against the numbers.

    Args:
        model: has `test_set_seen`, as the provenance of its release says it: `no`, `yes: ...`,
            `unknown: ...`, or None. Without that key it is no release, and nothing is said.
        seen: evaluated songs that the model was trained on, by name and length.
        tracks: how many were evaluated.
    """
    warnings = []
    if seen:
        warnings.append(
            f"the model was trained on {len(seen)} of these {tracks} songs "
            f"({', '.join(seen[:3])}{', ...' if len(seen) > 3 else ''}): their numbers say nothing "
            "about songs it has not heard"
        )
    if "test_set_seen" not in model:
        return warnings
    verdict = model["test_set_seen"]
    if verdict is None:
        warnings.append(
            "nothing is recorded of what the model was trained on: it may have seen these songs"
        )
    elif str(verdict).startswith("unknown"):
        warnings.append(f"whether the model has seen the test set is {verdict}")
    elif verdict != "no" and not seen:
        warnings.append(
            f"the model has seen the test set ({verdict}): its numbers on it say nothing about "
            "songs it has not heard"
        )
    return warnings
