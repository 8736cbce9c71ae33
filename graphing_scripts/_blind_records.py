"""Raw blind scores against the true quality, from the records that a study was made of."""

import json
import math
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from _style import footnotes, say, style_of

FORMAT = "demucs-blind-1"
BEST = 4  # scores to draw, those that follow the truth best


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a folder, or of a tar file as they are kept; ValueError if there are none."""
    try:
        records = [json.loads(text) for text in _texts(path)]
    except (OSError, ValueError, tarfile.TarError) as error:
        raise ValueError(f"{path} cannot be read as records: {error}") from None
    records = [
        record for record in records if isinstance(record, dict) and record.get("format") == FORMAT
    ]
    if not records:
        raise ValueError(f"{path} has no records ({FORMAT}) of tools.blind_scores")
    return records


def _texts(path: Path) -> Iterator[bytes]:
    if path.is_dir():
        yield from (file.read_bytes() for file in sorted(path.rglob("*.json")))
        return
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda entry: entry.name):
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            if file is not None:
                yield file.read()


def draw_raw(records: list[dict[str, Any]], study: dict[str, Any], target: str) -> plt.Figure:
    """A row for each of the best single scores, a column a stem: the score against the truth.

    Of the study's kind of music, of the test songs; each estimate is a point.
    """
    kind, sources = study["settings"]["kind"], study["sources"]
    chosen = [record for record in records if record["kind"] == kind and record["split"] == "test"]
    conditions = study["targets"][target]["conditions"]
    table = (conditions.get("songs") or next(iter(conditions.values())))["songs"]["correlations"]
    known = {name for record in chosen for name in record["scores"]}
    rank = {name: table[name]["mean"]["spearman"]["value"] for name in table if name in known}
    names = sorted((name for name in rank if rank[name] is not None), key=lambda name: -rank[name])
    names = names[:BEST] or [""]
    families = sorted({record["family"] for record in chosen})
    figure, grid = plt.subplots(
        len(names), len(sources), squeeze=False, layout="constrained",
        figsize=(3.1 * len(sources), 2.7 * len(names) + 0.8),
    )  # fmt: skip
    for row, name in zip(grid, names, strict=True):
        for axes, stem in zip(row, sources, strict=True):
            count = 0
            for number, family in enumerate(families):
                of_family = [record for record in chosen if record["family"] == family]
                points = list(_points(of_family, name, stem, target))
                count += len(points)
                axes.plot([x for x, _ in points], [y for _, y in points], linestyle="",
                          markersize=4, alpha=0.7, markeredgewidth=0, label=family,
                          **style_of(number))  # fmt: skip
            if count:
                axes.set_title(f"{stem}: n = {count}", fontsize=11)
            else:
                say(axes, f"the records have no {name or 'score'} of {stem}")
            axes.set_xlabel(name.replace("_", " "))
            axes.grid(alpha=0.3)
        row[0].set_ylabel(f"true {target.replace('nsdr', 'nSDR').replace('sdr', 'SDR')} (dB)")
    handles, labels = grid[0][0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    footnotes(figure, [f"single scores without any calibration; test songs of kind {kind}"])
    return figure


def _points(
    records: list[dict[str, Any]], name: str, stem: str, target: str
) -> Iterator[tuple[float, float]]:
    for record in records:
        if (
            stem not in record["sources"]
            or name not in record["scores"]
            or target not in record["truth"]
        ):
            continue
        place = record["sources"].index(stem)
        pair = (record["scores"][name]["track"][place], record["truth"][target]["track"][place])
        if all(value is not None and math.isfinite(value) for value in pair):
            yield pair
