"""What an evaluation found, with the definitions of its numbers."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from demucs.errors import ConfigError
from demucs.evaluation.metrics import BSS_METRICS, DEFINITIONS
from demucs.evaluation.table import definitions_text, format_table
from demucs.files import atomic_path

SCHEMA = "demucs-evaluation-1"
Values = dict[str, dict[str, float | None]]


@dataclass
class TrackResult:
    """One track: values in dB by metric and stem, None where there is none; `notes` say why.

    Attributes:
        seconds: length of the track.
        values: of the model's stems.
        baseline: nSDR of the mixture as the estimate of every stem.
        notes: what is unusual, such as a silent stem.
        failed: why the track could not be loaded, separated or scored; None if it could.
    """

    seconds: float | None = None
    values: Values = field(default_factory=dict)
    baseline: Values = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: str | None = None


@dataclass(kw_only=True)
class Results:
    """An evaluation over tracks.

    Attributes:
        model: name, signature and what else identifies the model; plain JSON.
        settings: how it was separated and scored; plain JSON.
        sources: the stems, in order.
        tracks: results by the track's name.
        versions: of the packages that made the numbers.
        date: UTC, ISO 8601.
        complete: False while tracks are still to come.
    """

    model: dict[str, Any]
    settings: dict[str, Any]
    sources: list[str]
    tracks: dict[str, TrackResult] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""
    complete: bool = True

    def aggregates(self) -> dict[str, dict[str, Any]]:
        """By metric: `stems` (value by stem), `mean` over stems, and `tracks` (how many counted).

        `nsdr`, `sdr`, `isr`, `sir`, `sar` are means over tracks, those with `_med` medians.
        """
        found = {}
        for metric in ("nsdr", *BSS_METRICS):
            columns = self._columns("values", metric)
            if columns is None:
                continue
            found[metric] = _aggregate(columns, fmean)
            if metric in BSS_METRICS:
                found[f"{metric}_med"] = _aggregate(columns, median)
        return found

    def baseline(self) -> dict[str, dict[str, Any]]:
        """As `aggregates`, for the mixture as the estimate of every stem (nSDR only)."""
        columns = self._columns("baseline", "nsdr")
        return {} if columns is None else {"nsdr": _aggregate(columns, fmean)}

    def failed(self) -> dict[str, str]:
        """Reasons by the names of the tracks that failed."""
        return {name: t.failed for name, t in sorted(self.tracks.items()) if t.failed is not None}

    def notes(self) -> list[str]:
        """The notes of all tracks, each with the track's name."""
        return [f"{name}: {note}" for name, t in sorted(self.tracks.items()) for note in t.notes]

    def summary(self) -> dict[str, float]:
        """Flat, for a history: `nsdr` (mean over stems), `nsdr_STEM`, `sdr`, `sdr_med_STEM`, …"""
        flat = {}
        for metric, column in self.aggregates().items():
            values = {metric: column["mean"]}
            values.update({f"{metric}_{stem}": v for stem, v in column["stems"].items()})
            flat.update({key: value for key, value in values.items() if value is not None})
        return flat

    def table(self) -> str:
        """A table for the terminal, rows of stems and their mean, with the definitions under it."""
        columns = {
            f"mixture {name}": column for name, column in self.baseline().items()
        } | self.aggregates()
        count = len(self.tracks) - len(self.failed())
        parts = [
            f"{self.model.get('name', 'model')} on {count} tracks, in dB",
            format_table([*self.sources], columns),
            definitions_text([*columns], DEFINITIONS),
        ]
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; values that do not exist are None."""
        return {
            "schema": SCHEMA,
            "definitions": DEFINITIONS,
            "model": self.model,
            "settings": self.settings,
            "sources": self.sources,
            "complete": self.complete,
            "aggregates": self.aggregates(),
            "baseline": self.baseline(),
            "tracks": {name: asdict(track) for name, track in sorted(self.tracks.items())},
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
            if content["schema"] != SCHEMA:
                raise ValueError(f"its schema is {content['schema']!r}, not {SCHEMA!r}")
            tracks = {name: TrackResult(**track) for name, track in content["tracks"].items()}
            plain = ("model", "settings", "sources", "versions", "date", "complete")
            return cls(tracks=tracks, **{key: content[key] for key in plain})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path} is not the results of an evaluation ({error}): "
                "make them with python3 -m tools.test_pretrained -n NAME --out FILE."
            ) from error

    def _columns(self, kind: str, metric: str) -> dict[str, list[float]] | None:
        """The values that exist, by stem; None if no track was measured by `metric`."""
        found = [getattr(track, kind).get(metric) for _, track in sorted(self.tracks.items())]
        if not any(row is not None for row in found):
            return None
        rows: Sequence[Mapping[str, float | None]] = [row for row in found if row is not None]
        return {
            stem: [value for row in rows if (value := row.get(stem)) is not None]
            for stem in self.sources
        }


def _aggregate(columns: Mapping[str, list[float]], over_tracks: Any) -> dict[str, Any]:
    stems = {stem: over_tracks(values) if values else None for stem, values in columns.items()}
    there = [value for value in stems.values() if value is not None]
    return {
        "stems": stems,
        "mean": fmean(there) if there else None,
        "tracks": {stem: len(values) for stem, values in columns.items()},
    }
