"""Results of an evaluation, with the definitions of its numbers."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import DEFINITIONS, VALUES
from demucs.evaluation.results.aggregate import column
from demucs.evaluation.results.leaks import leaks
from demucs.files import atomic_path

SCHEMA = "demucs-evaluation-2"
OLDER = ("demucs-evaluation-1",)  # without data, windows and intervals
Values = dict[str, dict[str, float | None]]


@dataclass
class TrackResult:
    """One track: values by metric and stem, None where there is none; `notes` say why.

    Attributes:
        seconds: length of the track.
        values: of the model's stems.
        baseline: nSDR of the mixture as the estimate of every stem.
        notes: what is unusual, such as a silent stem.
        audio: a fingerprint of the true audio, sample by sample.
        seen: the model was trained on it, as its release says.
        failed: why the track could not be loaded, separated or scored; None if it could.
        windows: the values of each second; not part of the JSON, see
            `demucs.evaluation.results.sheets`.
    """

    seconds: float | None = None
    values: Values = field(default_factory=dict)
    baseline: Values = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    audio: str = ""
    seen: bool = False
    failed: str | None = None
    windows: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)


@dataclass(kw_only=True)
class Results:
    """An evaluation over tracks.

    Attributes:
        model: name, signature and what else identifies the model; plain JSON.
        settings: how it was separated and scored; plain JSON.
        data: which songs: the data set's name and split; plain JSON.
        sources: the stems, in order.
        tracks: results by the track's name.
        versions: of the packages that made the numbers.
        date: UTC, ISO 8601.
        complete: False while tracks are still to come.
    """

    model: dict[str, Any]
    settings: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    tracks: dict[str, TrackResult] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""
    complete: bool = True

    def aggregates(self) -> dict[str, dict[str, Any]]:
        """By metric, see `demucs.evaluation.results.aggregate.column`.

        `nsdr`, `sdr`, ... are means over tracks, `nsdr_med`, `sdr_med`, ... medians.
        """
        aggregates = {}
        for metric in VALUES:
            values = self.matrix("values", metric)
            if values is not None:
                aggregates[metric] = column(values, self.sources)
                aggregates[f"{metric}_med"] = column(values, self.sources, median=True)
        return aggregates

    def baseline(self) -> dict[str, dict[str, Any]]:
        """As `aggregates`, for the mixture as the estimate of every stem (nSDR only)."""
        values = self.matrix("baseline", "nsdr")
        return {} if values is None else {"nsdr": column(values, self.sources)}

    def matrix(self, kind: str, metric: str) -> NDArray[np.float64] | None:
        """`[tracks, stems]` by the name of the track, NaN where there is no value.

        None if no track was measured by `metric`.
        """
        found = [getattr(track, kind).get(metric) for _, track in sorted(self.tracks.items())]
        rows = [row for row in found if row is not None]
        if not rows:
            return None
        values = [[row.get(stem) for stem in self.sources] for row in rows]
        return np.array(values, np.float64).reshape(len(rows), len(self.sources))

    def warnings(self) -> list[str]:
        """What keeps the numbers from being compared with others': songs the model has seen."""
        seen = [name for name, one in sorted(self.tracks.items()) if one.seen]
        return leaks(self.model, seen, len(self.tracks))

    def fingerprint(self) -> str:
        """Of the true audio of all tracks that were measured."""
        lines = [f"{name} {one.audio}" for name, one in sorted(self.tracks.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def failed(self) -> dict[str, str]:
        """Reasons by the names of the tracks that failed."""
        return {name: t.failed for name, t in sorted(self.tracks.items()) if t.failed is not None}

    def notes(self) -> list[str]:
        """The notes of all tracks, each with the track's name."""
        return [f"{name}: {note}" for name, t in sorted(self.tracks.items()) for note in t.notes]

    def summary(self) -> dict[str, float]:
        """Flat, for a history: `nsdr` (mean over stems), `nsdr_STEM`, `sdr`, `sdr_med_STEM`, …"""
        flat = {}
        for metric, aggregate in self.aggregates().items():
            values = {metric: aggregate["mean"]}
            values.update({f"{metric}_{stem}": v for stem, v in aggregate["stems"].items()})
            flat.update({key: value for key, value in values.items() if value is not None})
        return flat

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; values that do not exist are None."""
        return {
            "schema": SCHEMA,
            "definitions": DEFINITIONS,
            "model": self.model,
            "settings": self.settings,
            "data": self.data | {"fingerprint": self.fingerprint()},
            "warnings": self.warnings(),
            "sources": self.sources,
            "complete": self.complete,
            "aggregates": self.aggregates(),
            "baseline": self.baseline(),
            "tracks": {
                name: _without_windows(track) for name, track in sorted(self.tracks.items())
            },
            "failed": self.failed(),
            "notes": self.notes(),
            "versions": self.versions,
            "date": self.date,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON, atomically."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        with atomic_path(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Results":
        """Reads what `save` wrote.

        Raises:
            ConfigError: there is no such file, or it holds something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["schema"] not in (SCHEMA, *OLDER):
                raise ValueError(f"its schema is {content['schema']!r}, not {SCHEMA!r}")
            tracks = {name: TrackResult(**track) for name, track in content["tracks"].items()}
            _check_plain(content, tracks)
            plain = ("model", "settings", "sources", "versions", "date", "complete")
            data = {k: v for k, v in content.get("data", {}).items() if k != "fingerprint"}
            return cls(tracks=tracks, data=data, **{key: content[key] for key in plain})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path} is not the results of an evaluation ({error}): "
                "make them with python3 -m tools.test_pretrained -n NAME --out FILE."
            ) from error


def _check_plain(content: Mapping[str, Any], tracks: Mapping[str, TrackResult]) -> None:
    """Raises ValueError where a value is not what `save` writes."""
    for key, kind in (("model", dict), ("settings", dict), ("sources", list)):
        if not isinstance(content[key], kind):
            raise ValueError(f"its {key} is {content[key]!r}")
    for name, track in tracks.items():
        for row in (*track.values.values(), *track.baseline.values()):
            if not all(value is None or isinstance(value, int | float) for value in row.values()):
                raise ValueError(f"the values of {name} are no numbers: {row}")


def _without_windows(track: TrackResult) -> dict[str, Any]:
    content = asdict(track)
    del content["windows"]
    return content
