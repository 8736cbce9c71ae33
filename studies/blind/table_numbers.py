"""The numbers of one table of the study, as plain dictionaries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from demucs.blind.calibration.features import LOUDNESS, meant
from demucs.blind.calibration.statistics import (
    Correlation,
    Found,
    correlation,
    mean_over,
    resamples,
)
from studies.blind.rows import Sheet
from studies.blind.usefulness import activity_auc, calibration, risk_coverage

MEAN = "mean"  # of the stems


def correlations(
    sheet: Sheet, sources: Sequence[str], *, draws: int, seed: int
) -> dict[str, dict[str, Any]]:
    """By column and by stem (and their mean): Spearman, partial, Kendall; pooled and within.

    `within` is the mean over teachers of the correlation among the songs of one teacher alone:
    pooled over teachers of different strength, correlations are larger.
    """
    truthful = sheet.where(np.isfinite(sheet.truth))
    weights = resamples(truthful.song, draws, seed)
    songs = len(np.unique(truthful.song))
    found: dict[str, dict[str, Any]] = {}
    for name, score in truthful.columns.items():
        pooled: list[Correlation] = []
        inside: list[Correlation] = []
        stems: dict[str, Any] = {}
        for number, stem in enumerate(sources):
            mine = truthful.stem == number
            one = _correlation(truthful, mine, name, score, weights)
            teachers = {
                teacher: _correlation(
                    truthful, mine & (truthful.teacher == teacher), name, score, weights
                )
                for teacher in np.unique(truthful.teacher).tolist()
            }
            stems[stem] = {**_told(one), "within": _within(list(teachers.values()), songs)}
            stems[stem]["teachers"] = {
                teacher: number_of(each.spearman.value) for teacher, each in teachers.items()
            }
            pooled.append(one)
            inside.extend(teachers.values())
        rows = sum(one.spearman.rows for one in pooled)
        stems[MEAN] = {
            "spearman": plain_found(mean_over([one.draws for one in pooled], rows, songs)),
            "partial": plain_found(mean_over([one.partial_draws for one in pooled], rows, songs)),
            "kendall": number_of(_mean([one.kendall for one in pooled])),
            "within": _within(inside, songs),
        }
        found[name] = stems
    return found


def _correlation(
    sheet: Sheet, rows: np.ndarray, name: str, score: np.ndarray, weights: np.ndarray
) -> Correlation:
    controls = [sheet.columns[one][rows] for one in LOUDNESS if one in sheet.columns]
    side = -1 if meant(name) < 0 else 1  # so that high is good in every row of the tables
    return correlation(
        side * score[rows], sheet.truth[rows], sheet.song[rows], controls, weights[:, rows]
    )


def _told(one: Correlation) -> dict[str, Any]:
    return {
        "spearman": plain_found(one.spearman),
        "partial": plain_found(one.partial),
        "kendall": number_of(one.kendall),
    }


def _within(parts: Sequence[Correlation], songs: int) -> dict[str, Any]:
    rows = sum(one.spearman.rows for one in parts)
    return {
        "spearman": plain_found(mean_over([one.draws for one in parts], rows, songs)),
        "partial": plain_found(mean_over([one.partial_draws for one in parts], rows, songs)),
    }


def risks(sheet: Sheet, sources: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Risk–coverage curves by column and stem; whole curves of `names`, of others `excess`."""
    found: dict[str, Any] = {}
    for name, score in sheet.columns.items():
        side = -1 if meant(name) < 0 else 1
        told = np.isin(sheet.teacher, sheet.teacher[np.isfinite(score)])  # given scores at all
        found[name] = {}
        for number, stem in enumerate(sources):
            mine = (sheet.stem == number) & told
            curve = plain_tree(risk_coverage(side * score[mine], sheet.truth[mine]))
            short = {key: curve[key] for key in ("excess", "reason") if key in curve}
            found[name][stem] = curve if name in names else short
    return found


def calibrations(sheet: Sheet, sources: Sequence[str]) -> dict[str, Any]:
    """Predicted against true dB by prediction and stem, with the points where they are few."""
    found: dict[str, Any] = {}
    for name in sheet.low:
        found[name] = {}
        for number, stem in enumerate(sources):
            part = sheet.where((sheet.stem == number) & np.isfinite(sheet.truth))
            told = calibration(part.columns[name], part.truth, part.low[name], part.high[name])
            points = {
                "guess": part.columns[name], "truth": part.truth, "low": part.low[name],
                "high": part.high[name],
            }  # fmt: skip
            told["points"] = {key: np.round(one, 2).tolist() for key, one in points.items()}
            told["points"]["family"] = part.family.tolist()
            found[name][stem] = plain_tree(told)
    return found


def activity(sheet: Sheet, sources: Sequence[str]) -> dict[str, Any]:
    """How well playing and silent stems are told apart, by calibration and by loudness alone."""
    columns = {f"{name} (activity)": one for name, one in sheet.active.items()}
    columns.update({name: sheet.columns[name] for name in LOUDNESS if name in sheet.columns})
    return {
        name: {
            **{
                stem: plain_tree(activity_auc(one[sheet.stem == n], sheet.plays[sheet.stem == n]))
                for n, stem in enumerate(sources)
            },
            "all": plain_tree(activity_auc(one, sheet.plays)),
        }
        for name, one in columns.items()
    }


def plain_found(found: Found) -> dict[str, Any]:
    """A statistic as JSON; null for NaN."""
    told: dict[str, Any] = {
        "value": number_of(found.value), "low": number_of(found.low),
        "high": number_of(found.high), "rows": found.rows, "songs": found.songs,
    }  # fmt: skip
    return told | ({"reason": found.reason} if found.reason else {})


def number_of(value: float) -> float | None:
    """Four decimals; None for NaN and infinity."""
    return round(float(value), 4) if np.isfinite(value) else None


def plain_tree(content: Any) -> Any:
    """Dictionaries and lists of numbers with four decimals, null where not finite."""
    if isinstance(content, Mapping):
        return {key: plain_tree(one) for key, one in content.items()}
    if isinstance(content, list):
        return [plain_tree(one) for one in content]
    if isinstance(content, float | np.floating):
        return number_of(float(content))
    return content


def _mean(values: Sequence[float]) -> float:
    told = [one for one in values if np.isfinite(one)]
    return float(np.mean(told)) if told else float("nan")
