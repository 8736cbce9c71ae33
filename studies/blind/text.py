"""The study as a page that a person reads: the answer first, then the tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from studies.blind.answer import answer, negative
from studies.blind.missed import CALIBRATED, by_stem, figure, predictions
from studies.blind.table_numbers import MEAN


def page(study: Mapping[str, Any]) -> str:
    """Markdown of the numbers of `studies.blind.study.study`."""
    lines = ["# What blind scores know of the true quality of stems", ""]
    for target in study["targets"]:
        lines += [f"## The answer, {target}", "", *answer(study, target), ""]
        lines += [
            "### Negative results",
            "",
            *(f"- {line}" for line in negative(study, target)),
            "",
        ]
    if study["notes"]:
        lines += ["## Notes", "", *(f"- {note}" for note in study["notes"]), ""]
    for target, part in study["targets"].items():
        lines += _predictions(study, target)
        for level in ("songs", "windows"):
            lines += _scores(study, target, level)
        lines += [*_usefulness(study, target), *_activity(study, target), *_seeds(study, target)]
        lines += _regressors(part.get("regressors"), study["sources"], target)
    lines += ["## Records", ""]
    lines += table(
        ("family", "teacher", "kind", "split", "songs"),
        [[str(value) for value in row.values()] for row in study["records"]],
    )
    lines += ["## Methods", ""]
    definitions = study["definitions"]
    for name in ("conditions", "methods", "scores"):
        lines += [f"- `{key}`: {text}" for key, text in definitions[name].items()] + [""]
    settings = ", ".join(f"{key} {value}" for key, value in study["settings"].items())
    versions = ", ".join(f"{key} {value}" for key, value in study["versions"].items())
    return "\n".join([*lines, f"Settings: {settings}. Versions: {versions}.", ""])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, and an empty line."""
    made = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*made, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _span(statistic: Mapping[str, Any]) -> str:
    value, low, high = (statistic[key] for key in ("value", "low", "high"))
    ends = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    return figure(value) + ends


def _predictions(study: Mapping[str, Any], target: str) -> list[str]:
    """Auxiliary models against the truth, in each condition."""
    stems = [*study["sources"], MEAN]
    lines: list[str] = []
    for level in ("songs", "windows"):
        lines += [f"## Auxiliary models, {target} of {level}: Spearman [95 %]", ""]
        rows = []
        for name, condition in study["targets"][target]["conditions"].items():
            for model in predictions(condition[level]):
                correlation = condition[level]["correlations"][model]
                if all(value is None for _, value in by_stem(study, condition[level], model)):
                    reason = correlation[study["sources"][0]]["spearman"]["reason"]
                    rows.append([name, model, reason, *("-" for _ in stems)])
                    continue
                for kind, values in (
                    ("pooled", [correlation[stem]["spearman"] for stem in stems]),
                    (
                        "within a teacher",
                        [correlation[stem]["within"]["spearman"] for stem in stems],
                    ),
                    ("partial", [correlation[stem]["partial"] for stem in stems]),
                ):
                    rows.append([name, model, kind, *map(_span, values)])
        lines += table(("condition", "model", "of", *stems), rows)
    return lines


def _scores(study: Mapping[str, Any], target: str, level: str) -> list[str]:
    """Each score by itself, on held-out songs, and on another kind of music."""
    stems = [*study["sources"], MEAN]
    lines: list[str] = []
    for name in ("songs", "kind"):
        condition = study["targets"][target]["conditions"].get(name)
        if condition is None:
            continue
        correlations = condition[level]["correlations"]
        order = sorted(
            correlations, key=lambda key: -(correlations[key][MEAN]["spearman"]["value"] or -9)
        )
        rows = [
            [
                score,
                *(_span(correlations[score][stem]["spearman"]) for stem in stems),
                _span(correlations[score][MEAN]["partial"]),
                _span(correlations[score][MEAN]["within"]["spearman"]),
                figure(correlations[score][MEAN]["kendall"]),
            ]
            for score in order
        ]
        lines += [f"## Scores, {target} of {level}, condition `{name}`: Spearman [95 %]", ""]
        head = ("score", *stems, "partial (mean)", "within a teacher (mean)", "Kendall (mean)")
        lines += table(head, rows)
    return lines


def _usefulness(study: Mapping[str, Any], target: str) -> list[str]:
    """Predicted dB against true ones, and what dropping the worst stems leaves."""
    sources, conditions = study["sources"], study["targets"][target]["conditions"]
    nominal = study["settings"]["coverage"]
    lines = [f"## Predicted dB and intervals (nominal {nominal:.0%}), {target} of songs", ""]
    rows = [
        [name, model, stem, *(figure(numbers.get(key)) for key in
                              ("bias", "mae", "rmse", "covered", "width"))]
        for name, part in conditions.items()
        for model, stems in part["songs"]["calibration"].items()
        for stem, numbers in stems.items()
    ]  # fmt: skip
    head = ("condition", "model", "stem", "bias dB", "MAE dB", "RMSE dB", "covered", "width dB")
    lines += table(head, rows)
    lines += [f"## Excess risk (0 as the truth, 1 as chance), {target} of songs", ""]
    rows = [
        [name, score, *(figure(stems[stem].get("excess")) for stem in sources)]
        for name, part in conditions.items()
        for score, stems in part["songs"]["risk"].items()
        if name in ("songs", "kind") or score in predictions(part["songs"])
    ]
    return [*lines, *table(("condition", "score", *sources), rows)]


def _activity(study: Mapping[str, Any], target: str) -> list[str]:
    stems = (*study["sources"], "all")
    rows = []
    for name, part in study["targets"][target]["conditions"].items():
        for level in ("songs", "windows"):
            for score, numbers in part[level]["activity"].items():
                silent, playing = numbers["all"]["silent"], numbers["all"]["playing"]
                cells = [figure(numbers[stem].get("auc")) for stem in stems]
                rows.append([name, level, score, *cells, f"{silent} of {silent + playing}"])
    head = ("condition", "of", "score", *study["sources"], "all", "silent")
    return ["## Which stems play: AUC", "", *table(head, rows)]


def _seeds(study: Mapping[str, Any], target: str) -> list[str]:
    conditions = study["targets"][target]["conditions"]
    pairs = conditions.get("songs", {}).get("songs", {}).get("seeds", [])
    lines = [f"## Stability over seeds, {target} of songs", ""]
    if not pairs:
        return [*lines, "No two runs of one family at the same stage are among the teachers.", ""]
    for pair in pairs:
        first, second = pair["teachers"]
        lines += [f"{first} against {second}:", ""]
        rows = [
            [stem, figure(numbers["agreement"]), figure(numbers["spread"]),
             *(figure(value) for value in numbers["scores"].get(CALIBRATED, (None, None)))]
            for stem, numbers in pair["stems"].items()
        ]  # fmt: skip
        head = ("stem", "correlation over the scores", "mean difference",
                f"{CALIBRATED}, {first}", f"{CALIBRATED}, {second}")  # fmt: skip
        lines += table(head, rows)
    return lines


def _regressors(
    regressors: Mapping[str, Any] | None, sources: Sequence[str], target: str
) -> list[str]:
    if not regressors:
        return []
    lines = [f"## Regressors compared on the songs of calibration, {target}", ""]
    rows = [
        [apart, name, figure(numbers["rmse"]),
         *(figure(numbers["spearman"][stem]) for stem in sources),
         *(figure(numbers["within"][stem]) for stem in sources)]
        for apart, models in regressors.items()
        for name, numbers in models.items()
    ]  # fmt: skip
    head = ("left out", "regressor", "RMSE dB", *sources, *(f"{stem} within" for stem in sources))
    return [*lines, *table(head, rows)]
