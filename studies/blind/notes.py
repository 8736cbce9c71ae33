"""Text of the study beside its tables: choices made on calibration songs, notes, and reasons."""

from collections.abc import Iterable, Sequence
from typing import Any

from demucs.blind.calibration.rows import common_names
from demucs.blind.records import Record
from studies.blind.rows import sheet_of
from studies.blind.table_numbers import correlations

HEARD = "the network was trained on all of these families"


def chosen(fitted: Sequence[Record], target: str) -> dict[str, Any]:
    """The single score of each stem that ranks the songs of calibration best, by Spearman.

    Chosen there, so that its correlation on the test songs is not that of the luckiest score.
    """
    sources = fitted[0].sources
    sheet = sheet_of(fitted, common_names(fitted), target, {}, windows=False)
    table = correlations(sheet, sources, draws=0, seed=0)
    chosen = {}
    for stem in sources:
        values = {name: scores[stem]["spearman"]["value"] for name, scores in table.items()}
        known = {name: value for name, value in values.items() if value is not None}
        if known:
            best = max(known, key=lambda name: known[name])
            chosen[stem] = {"score": best, "on_calibration": known[best]}
    return chosen


def notes(extras: Sequence[str], heard: Sequence[str], *, assumed: bool) -> list[str]:
    """Notes on predictions of networks that were trained elsewhere (`extras`)."""
    if not extras:
        return []
    named = ", ".join(f"`{name}`" for name in extras)
    families = ", ".join(heard) or "none"
    first = (
        f"On which families {named} was trained was not said (`report --heard`), so all are taken "
        f"for heard: {families}."
        if assumed
        else f"{named} was trained on estimates of these families: {families}."
    )
    return [
        f"{first} In the conditions `family` and `both` it and calibrations with it are used for "
        "records of other families alone.",
        f"The best epoch of {named} was chosen on songs of the split valid, on which calibrations "
        "with it are fitted: they may trust it more than new songs warrant.",
    ]


def nothing(level: dict[str, Any], names: Iterable[str]) -> None:
    """Says in the tables of a level why `names` have no values."""
    for name in names:
        for table in ("correlations", "risk", "calibration", "activity"):
            for key in (name, f"{name} (activity)"):
                _reason(level[table].get(key, {}))


def _reason(part: dict[str, Any]) -> None:
    for condition in part.values():
        if isinstance(condition, dict):
            _reason(condition)
    if "reason" in part:
        part["reason"] = HEARD
