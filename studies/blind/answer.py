"""The answer of the study in sentences, made of its numbers, and what did not come out well."""

from collections.abc import Iterable, Mapping
from typing import Any

from demucs.blind.calibration.rows import LOUDNESS, meant
from demucs.blind.scores.song_scores import DEFINITIONS
from studies.blind.missed import (
    CALIBRATED,
    by_stem,
    figure,
    missed_goals,
    reached,
    short_intervals,
    unsure_within,
)
from studies.blind.table_numbers import MEAN


def answer(study: Mapping[str, Any], target: str) -> list[str]:
    """Six sentences: the best scores, goals, one teacher, loudness, intervals, silent stems."""
    conditions = study["targets"][target]["conditions"]
    return [
        _best(study, study["targets"][target]["chosen"], conditions),
        *_goals(study, conditions),
        _within(study, conditions),
        _loudness(conditions),
        _intervals(study, conditions),
        _silence(conditions),
    ]


def negative(study: Mapping[str, Any], target: str) -> list[str]:
    """Each goal that was missed, each score that knows nothing or loudness only, by number."""
    conditions = study["targets"][target]["conditions"]
    lines = [
        *missed_goals(study, conditions),
        *unsure_within(study, conditions),
        *short_intervals(study, conditions),
        *_worse_than_level(conditions),
    ]
    if "songs" in conditions:
        scores = conditions["songs"]["songs"]["correlations"]
        best = scores[CALIBRATED][MEAN]["spearman"]["value"]
        for name in singles(scores):
            row = scores[name][MEAN]
            if row["spearman"]["value"] is None:
                reason = "is constant, or has no value"
                lines.append(f"`{name}` tells nothing here: it {reason} for every stem.")
            elif _maybe_nothing(row["spearman"]):
                lines.append(f"`{name}`: Spearman {_range(row['spearman'])}, which may be nothing.")
            elif meant(name) and row["spearman"]["value"] < 0:
                lines.append(
                    f"`{name}` goes the wrong way: Spearman {_range(row['spearman'])} once it is "
                    f"turned so that more should be better, partial {_range(row['partial'])}."
                )
            elif name not in LOUDNESS and _maybe_nothing(row["partial"]):
                lines.append(
                    f"`{name}` knows no more than loudness: Spearman {_range(row['spearman'])}, "
                    f"partial {_range(row['partial'])}."
                )
            if best is not None and (row["spearman"]["value"] or -1) > best:
                lines.append(
                    f"`{name}` alone ({figure(row['spearman']['value'])}) does better than "
                    f"`{CALIBRATED}` ({figure(best)}), mean of the stems."
                )
    return lines or ["None: every goal was reached, and every score knows more than loudness."]


def _worse_than_level(conditions: Mapping[str, Any]) -> Iterable[str]:
    """Conditions in which the level of the estimate finds silence better than the calibration."""
    for name, condition in conditions.items():
        for level in ("songs", "windows"):
            activity = condition[level]["activity"]
            calibrated, plain = (
                activity[key]["all"]["auc"] if key in activity else None
                for key in (f"{CALIBRATED} (activity)", "level")
            )
            if calibrated is not None and plain is not None and calibrated < plain:
                yield (
                    f"Silence of {level} in `{name}`: the activity of `{CALIBRATED}` has an AUC of "
                    f"{calibrated:.3f}, `level` alone {plain:.3f}."
                )


def _best(
    study: Mapping[str, Any], chosen: Mapping[str, Any], conditions: Mapping[str, Any]
) -> str:
    if "songs" not in conditions:
        return "There are no held-out songs of the teachers of calibration."
    scores = conditions["songs"]["songs"]["correlations"]
    parts = []
    for stem in study["sources"]:
        name = chosen.get(stem, {}).get("score")
        if name in scores:
            parts.append(f"{stem} `{name}` {_range(scores[name][stem]['spearman'])}")
    return (
        "The single scores that are best by Spearman on the songs of calibration reach on held-out "
        f"songs: {'; '.join(parts)}."
    )


def _goals(study: Mapping[str, Any], conditions: Mapping[str, Any]) -> Iterable[str]:
    parts = []
    for name, condition in conditions.items():
        goal = study["definitions"]["goals"][name]
        values_by_stem = by_stem(study, condition["songs"], CALIBRATED)
        count = sum(reached(value, goal) for _, value in values_by_stem)
        values = ", ".join(f"{stem} {figure(value)}" for stem, value in values_by_stem)
        parts.append(f"`{name}` {values} ({count} of {len(values_by_stem)} stems reach {goal:g})")
    yield f"The calibrated predictor has Spearman {'; '.join(parts)}."


def _within(study: Mapping[str, Any], conditions: Mapping[str, Any]) -> str:
    if "songs" not in conditions:
        return "How songs of one teacher are ranked was not measured."
    table = conditions["songs"]["songs"]["correlations"][CALIBRATED]
    known = [(value, stem) for stem in study["sources"]
            if (value := table[stem]["within"]["spearman"]["value"]) is not None]  # fmt: skip
    if not known:
        return "How songs of one teacher are ranked could not be judged: there are too few."
    (low, least), (high, most) = min(known), max(known)
    return (
        "Among the songs of one teacher, which is what distillation ranks, the calibrated "
        f"predictor has in `songs` a mean Spearman of {_range(table[MEAN]['within']['spearman'])}, "
        f"by stem from {figure(low)} ({least}) to {figure(high)} ({most}): pooling over stages of "
        "training makes correlations larger."
    )


def _loudness(conditions: Mapping[str, Any]) -> str:
    if "songs" not in conditions:
        return "What scores know beyond loudness was not measured."
    scores = conditions["songs"]["songs"]["correlations"]
    names = [n for n in singles(scores) if n not in LOUDNESS]
    measured = [n for n in names if scores[n][MEAN]["partial"]["value"] is not None]
    weak = [n for n in measured if _maybe_nothing(scores[n][MEAN]["partial"])]
    level = figure(scores["level"][MEAN]["spearman"]["value"]) if "level" in scores else "–"
    calibrated = _range(scores[CALIBRATED][MEAN]["partial"])
    listed = ", ".join(f"`{name}`" for name in weak) or "none"
    return (
        f"Loudness alone (`level`) reaches {level} in the mean of the stems; with it held constant "
        f"the calibrated predictor keeps {calibrated}, and of {len(measured)} scores {len(weak)} "
        f"know no more than loudness ({listed})."
    )


def _intervals(study: Mapping[str, Any], conditions: Mapping[str, Any]) -> str:
    parts = []
    for name, condition in conditions.items():
        stems = [each for each in condition["songs"]["calibration"][CALIBRATED].values()
                 if each.get("covered") is not None]  # fmt: skip
        rows = sum(each["rows"] for each in stems)
        if rows:
            covered = sum(each["covered"] * each["rows"] for each in stems) / rows
            parts.append(f"`{name}` {covered:.0%} of {rows} stems")
    nominal = study["settings"]["coverage"]
    return f"Intervals meant to hold {nominal:.0%} of the songs hold: {', '.join(parts)}."


def _silence(conditions: Mapping[str, Any]) -> str:
    parts = []
    for name, condition in conditions.items():
        for level in ("songs", "windows"):
            statistic = condition[level]["activity"][f"{CALIBRATED} (activity)"]["all"]
            if statistic.get("auc") is not None:
                parts.append(
                    f"`{name}` {level} {statistic['auc']:.3f} ({statistic['silent']} silent of "
                    f"{statistic['silent'] + statistic['playing']})"
                )
    if not parts:
        return "Activity could not be judged: no stem or second of the test songs is silent."
    return f"Silent stems are told from playing ones with an AUC of: {', '.join(parts)}."


def singles(scores: Mapping[str, Any]) -> list[str]:
    """Names of the blind scores in a table."""
    return [name for name in scores if name in DEFINITIONS]


def _range(statistic: Mapping[str, Any]) -> str:
    if statistic["low"] is None or statistic["high"] is None:
        return figure(statistic["value"])
    return f"{figure(statistic['value'])} [{figure(statistic['low'])}, {figure(statistic['high'])}]"


def _maybe_nothing(statistic: Mapping[str, Any]) -> bool:
    """The interval holds 0, or there is no interval."""
    low, high = statistic["low"], statistic["high"]
    return low is None or high is None or low <= 0 <= high
