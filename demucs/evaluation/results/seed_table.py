"""Groups of runs by seed as text for a terminal and as JSON: mean ± s.d., and differences."""

import textwrap
from collections.abc import Sequence
from typing import Any

from demucs.console import WIDTH, table
from demucs.evaluation.metrics.definitions import title
from demucs.evaluation.results.results import Results
from demucs.evaluation.results.seeds import (
    UNKNOWN,
    Gap,
    Group,
    Spread,
    columns_of,
    gap,
    in_common,
    recorded_recipe,
    spreads,
)

EXPLAINED = """\
Each number: mean over the seeds ± standard deviation over them (n - 1) of the evaluation's mean
over songs (SDR, median: of its median over songs), of what all have in common. Difference: ± half
of Welch's 95 % interval over seeds; a single run is taken to vary as the other group does. "within
the seeds": the interval has 0 in it, so other seeds may turn the difference round; three seeds find
only differences of about two to three standard deviations. The interval knows nothing of other
songs: for that, compare two evaluations."""
NO_RECIPE = (
    "has no recorded recipe (a bag, weights of others, or an evaluation older than these tables): "
    "it is a group of its own; to have it grouped, give the evaluation of a release that "
    "tools.export made, measured with tools.test_pretrained --again"
)


def seed_table(groups: Sequence[Group], results: Sequence[Results]) -> dict[str, Any]:
    """Spreads of each group and their differences to the first group, as plain JSON.

    Args:
        groups: of the results, by their numbers.
        results: evaluations of one run each.

    Raises:
        ConfigError: they have no song or no stem in common.
    """
    common = in_common(results)
    content: dict[str, Any] = {"stems": [*common[0].sources, "mean"], "groups": [], "metrics": []}
    for index, group in enumerate(groups):
        names = [str(results[k].model.get("name", "model")) for k in group.members]
        content["groups"].append(
            {"letter": letter(index), "names": names, "seeds": list(group.seeds)}
        )
    for name in columns_of(common):
        rows = [spreads([common[k] for k in group.members], name) for group in groups]
        content["metrics"].append(
            {
                "metric": name,
                "title": column_title(name),
                "rows": [{stem: _spread(one) for stem, one in row.items()} for row in rows],
                "gaps": [
                    {stem: _gap(gap(rows[0][stem], row[stem])) for stem in row} for row in rows[1:]
                ],
            }
        )
    return content


def seed_text(content: dict[str, Any]) -> str:
    """What `seed_table` gives, for a terminal."""
    groups, stems = content["groups"], content["stems"]
    parts = ["\n".join(group_title(group) for group in groups)]
    for metric in content["metrics"]:
        rows = [
            [f"{group['letter']} ({len(group['names'])})", *(spread_text(row[s]) for s in stems)]
            for group, row in zip(groups, metric["rows"], strict=True)
        ]
        for group, row in zip(groups[1:], metric["gaps"], strict=True):
            rows.append([f"{group['letter']} - {groups[0]['letter']}",
                         *(gap_text(row[s]) for s in stems)])  # fmt: skip
            rows.append(["", *(verdict(row[s]) for s in stems)])
        parts.append(table([metric["title"], *stems], rows, numbers=True))
    if all(len(group["names"]) == 1 for group in groups):
        parts.append(textwrap.fill(f"One run a group: {UNKNOWN}.", WIDTH))
    return "\n\n".join([*parts, EXPLAINED])


def letter(index: int) -> str:
    """The letter of a group, by its number: A, B, ..."""
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")


def without_recipe(results: Sequence[Results], names: Sequence[str]) -> list[str]:
    """A warning for each evaluation that cannot be grouped."""
    return [
        f"{name} {NO_RECIPE}"
        for one, name in zip(results, names, strict=True)
        if recorded_recipe(one)[0] is None
    ]


def group_title(group: dict[str, Any]) -> str:
    count, seeds = len(group["names"]), [str(s) for s in group["seeds"] if s is not None]
    which = f" ({', '.join(seeds)})" if seeds else ""
    return f"{group['letter']}: {', '.join(group['names'])}: {count} seed{'s'[: count != 1]}{which}"


def column_title(name: str) -> str:
    """The title of an aggregate: `sdr_med` is the papers' SDR."""
    metric, dash, _ = name.partition("_med")
    return f"{title(metric)}, median" if dash else title(name)


def spread_text(spread: dict[str, Any]) -> str:
    """A mean with its deviation; a bare mean has no spread that anybody knows."""
    if spread["mean"] is None:
        return "–"
    deviation = spread["deviation"]
    return f"{spread['mean']:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def gap_text(gap: dict[str, Any] | None) -> str:
    if gap is None:
        return "–"
    margin = gap["margin"]
    return f"{gap['mean']:+.2f}" + ("" if margin is None else f" ± {margin:.2f}")


def verdict(gap: dict[str, Any] | None) -> str:
    """Whether a difference is one of the seeds alone, in two or three words."""
    if gap is None:
        return ""
    words = {None: "spread unknown", True: "within the seeds", False: "beyond the seeds"}
    return words[gap["within_noise"]]


def _spread(spread: Spread) -> dict[str, Any]:
    return {"mean": spread.mean, "deviation": spread.deviation, "values": list(spread.values)}


def _gap(difference: Gap | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    return {
        "mean": difference.mean,
        "margin": difference.margin,
        "within_noise": difference.is_within_noise,
    }
