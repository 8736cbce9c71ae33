"""The goals of the study that were missed, in sentences: by auxiliary model and condition."""

from collections.abc import Iterable, Mapping
from typing import Any

from demucs.blind.scores.song_scores import DEFINITIONS

CALIBRATED = "calibration"
SURE = 0.5  # Spearman among the songs of one teacher, below which a ranking counts as poor
SHORT = 0.05  # of the songs, that intervals may hold less than they are meant to


def missed_goals(study: Mapping[str, Any], conditions: Mapping[str, Any]) -> Iterable[str]:
    """The stems that miss the goal of a condition, of songs and of windows."""
    for name, condition in conditions.items():
        goal = study["definitions"]["goals"][name]
        for level in ("songs", "windows"):
            for model in predictions(condition[level]):
                values = by_stem(study, condition[level], model)
                missed = [f"{stem} {figure(v)}" for stem, v in values if not reached(v, goal)]
                if all(value is None for _, value in values):
                    column = condition[level]["correlations"][model][values[0][0]]
                    reason = column["spearman"]["reason"]
                    yield f"`{model}` cannot be judged in `{name}`, {level}: {reason}."
                elif missed:
                    yield f"`{model}` misses {goal:g} in `{name}`, {level}: {', '.join(missed)}."


def unsure_within(study: Mapping[str, Any], conditions: Mapping[str, Any]) -> Iterable[str]:
    """The stems of which the songs of one teacher are ranked poorly."""
    for name, condition in conditions.items():
        for model in predictions(condition["songs"]):
            table = condition["songs"]["correlations"][model]
            values = [(stem, table[stem]["within"]["spearman"]["value"])
                      for stem in study["sources"]]  # fmt: skip
            low = [f"{stem} {figure(v)}" for stem, v in values if v is not None and v < SURE]
            if low:
                yield (
                    f"`{model}` ranks the songs of one teacher with less than {SURE:g} in "
                    f"`{name}`: {', '.join(low)}."
                )


def short_intervals(study: Mapping[str, Any], conditions: Mapping[str, Any]) -> Iterable[str]:
    """The stems whose intervals hold less than they are meant to, by 5 points or more."""
    nominal = study["settings"]["coverage"]
    for name, condition in conditions.items():
        for model, stems in condition["songs"]["calibration"].items():
            low = [
                f"{stem} {interval['covered']:.0%}" for stem, interval in stems.items()
                if interval.get("covered") is not None
                and interval["covered"] <= nominal - SHORT + 1e-9
            ]  # fmt: skip
            if low:
                yield (
                    f"Intervals of `{model}` that are meant to hold {nominal:.0%} hold less in "
                    f"`{name}`: {', '.join(low)}."
                )


def predictions(level: Mapping[str, Any]) -> list[str]:
    """Names of the auxiliary models in a table: calibrations, and scores beyond the blind ones."""
    return [name for name in level["correlations"] if name not in DEFINITIONS]


def by_stem(
    study: Mapping[str, Any], level: Mapping[str, Any], model: str
) -> list[tuple[str, float | None]]:
    """Spearman of a model, pooled over teachers."""
    table = level["correlations"][model]
    return [(stem, table[stem]["spearman"]["value"]) for stem in study["sources"]]


def reached(value: float | None, goal: float) -> bool:
    return value is not None and value >= goal


def figure(value: float | None) -> str:
    """Two decimals, a dash for None."""
    return "–" if value is None else f"{value:.2f}"
