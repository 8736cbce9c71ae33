"""The numbers of one table of the study, as plain dictionaries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from demucs.blind.calibration.rank_statistics import (
    Correlation,
    Found,
    correlation,
    mean_over,
    resamples,
)
from demucs.blind.calibration.rows import LOUDNESS, meant
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
    tables: dict[str, dict[str, Any]] = {}
    for name, score in truthful.columns.items():
        pooled: list[Correlation] = []
        inside: list[Correlation] = []
        stems: dict[str, Any] = {}
        for number, stem in enumerate(sources):
            of_stem = truthful.stem == number
            whole = _correlation(truthful, of_stem, name, score, weights)
            teachers = {
                teacher: _correlation(
                    truthful, of_stem & (truthful.teacher == teacher), name, score, weights
                )
                for teacher in np.unique(truthful.teacher).tolist()
            }
            stems[stem] = {**_plain(whole), "within": _within(list(teachers.values()), songs)}
            stems[stem]["teachers"] = {
                teacher: number_of(each.spearman.value) for teacher, each in teachers.items()
            }
            pooled.append(whole)
            inside.extend(teachers.values())
        rows = sum(part.spearman.rows for part in pooled)
        stems[MEAN] = {
            "spearman": plain_found(mean_over([part.draws for part in pooled], rows, songs)),
            "partial": plain_found(mean_over([part.partial_draws for part in pooled], rows, songs)),
            "kendall": number_of(_mean([part.kendall for part in pooled])),
            "within": _within(inside, songs),
        }
        tables[name] = stems
    return tables


def _correlation(
    sheet: Sheet, rows: np.ndarray, name: str, score: np.ndarray, weights: np.ndarray
) -> Correlation:
    controls = [sheet.columns[control][rows] for control in LOUDNESS if control in sheet.columns]
    side = -1 if meant(name) < 0 else 1  # so that high is good in every row of the tables
    return correlation(
        side * score[rows], sheet.truth[rows], sheet.song[rows], controls, weights[:, rows]
    )


def _plain(measured: Correlation) -> dict[str, Any]:
    return {
        "spearman": plain_found(measured.spearman),
        "partial": plain_found(measured.partial),
        "kendall": number_of(measured.kendall),
    }


def _within(parts: Sequence[Correlation], songs: int) -> dict[str, Any]:
    rows = sum(part.spearman.rows for part in parts)
    return {
        "spearman": plain_found(mean_over([part.draws for part in parts], rows, songs)),
        "partial": plain_found(mean_over([part.partial_draws for part in parts], rows, songs)),
    }


def risks(sheet: Sheet, sources: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Risk–coverage curves by column and stem; whole curves of `names`, of others `excess`."""
    curves: dict[str, Any] = {}
    for name, score in sheet.columns.items():
        side = -1 if meant(name) < 0 else 1
        scored = np.isin(sheet.teacher, sheet.teacher[np.isfinite(score)])  # given scores at all
        curves[name] = {}
        for number, stem in enumerate(sources):
            of_stem = (sheet.stem == number) & scored
            curve = plain_tree(risk_coverage(side * score[of_stem], sheet.truth[of_stem]))
            short = {key: curve[key] for key in ("excess", "reason") if key in curve}
            curves[name][stem] = curve if name in names else short
    return curves


def calibrations(sheet: Sheet, sources: Sequence[str]) -> dict[str, Any]:
    """Predicted against true dB by prediction and stem, with the points where they are few."""
    tables: dict[str, Any] = {}
    for name in sheet.low:
        tables[name] = {}
        for number, stem in enumerate(sources):
            part = sheet.where((sheet.stem == number) & np.isfinite(sheet.truth))
            result = calibration(part.columns[name], part.truth, part.low[name], part.high[name])
            points = {
                "guess": part.columns[name], "truth": part.truth, "low": part.low[name],
                "high": part.high[name],
            }  # fmt: skip
            result["points"] = {key: np.round(values, 2).tolist() for key, values in points.items()}
            result["points"]["family"] = part.family.tolist()
            tables[name][stem] = plain_tree(result)
    return tables


def activity(sheet: Sheet, sources: Sequence[str]) -> dict[str, Any]:
    """AUC of playing against silent stems, by calibration and by loudness alone."""
    columns = {f"{name} (activity)": column for name, column in sheet.active.items()}
    columns.update({name: sheet.columns[name] for name in LOUDNESS if name in sheet.columns})
    return {
        name: {
            **{
                stem: plain_tree(
                    activity_auc(column[sheet.stem == n], sheet.plays[sheet.stem == n])
                )
                for n, stem in enumerate(sources)
            },
            "all": plain_tree(activity_auc(column, sheet.plays)),
        }
        for name, column in columns.items()
    }


def plain_found(statistic: Found) -> dict[str, Any]:
    """A statistic as JSON; null for NaN."""
    plain: dict[str, Any] = {
        "value": number_of(statistic.value), "low": number_of(statistic.low),
        "high": number_of(statistic.high), "rows": statistic.rows, "songs": statistic.songs,
    }  # fmt: skip
    return plain | ({"reason": statistic.reason} if statistic.reason else {})


def number_of(value: float) -> float | None:
    """Four decimals; None for NaN and infinity."""
    return round(float(value), 4) if np.isfinite(value) else None


def plain_tree(content: Any) -> Any:
    """Dictionaries and lists of numbers with four decimals, null where not finite."""
    if isinstance(content, Mapping):
        return {key: plain_tree(value) for key, value in content.items()}
    if isinstance(content, list):
        return [plain_tree(value) for value in content]
    if isinstance(content, float | np.floating):
        return number_of(float(content))
    return content


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
