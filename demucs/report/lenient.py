"""Results and configuration of a run, which may be broken: that is noted, and not an error."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from demucs.evaluation.results.results import Results, TrackResult
from demucs.experiment.run import finite_number


def finite(results: Results, notes: list[str]) -> Results:
    """Results in which NaN and infinities are None, and a note of how many there were."""
    count = 0
    tracks: dict[str, TrackResult] = {}
    for name, track in results.tracks.items():
        parts: dict[str, Any] = {}
        for kind in ("values", "baseline"):
            parts[kind] = {}
            for metric, row in getattr(track, kind).items():
                parts[kind][metric] = {stem: finite_number(value) for stem, value in row.items()}
                count += sum(
                    value is not None and finite_number(value) is None for value in row.values()
                )
        tracks[name] = replace(track, **parts)
    if count:
        notes.append(
            f"{count} values of the evaluation are NaN or infinite: they are left out of means, "
            "medians and tables"
        )
    return replace(results, tracks=tracks)


def read_config(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return plain_dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        notes.append(f"{path.name} cannot be read: {reason}")
        return {}


def plain_dict(content: Any) -> dict[str, Any]:
    return dict(content) if isinstance(content, Mapping) else {}
