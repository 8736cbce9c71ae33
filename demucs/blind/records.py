"""Measurements of one song, separated by one teacher; kept as one JSON file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demucs.blind.quality import Array, from_plain, plain
from demucs.errors import DatasetError
from demucs.files import atomic_path, check_readable

FORMAT = "demucs-blind-1"


@dataclass(frozen=True, kw_only=True)
class Measures:
    """One quantity of each stem: of the whole song `[S]`, and of each window `[S, N]`.

    NaN where it has no value.
    """

    track: Array
    windows: Array


@dataclass(frozen=True, kw_only=True)
class Record:
    """The scores of a song, and the truth where there is one.

    Attributes:
        track: name of the song.
        kind: which kind of music, as `demo`; the study holds kinds apart.
        split: what the song is for, as `valid` (calibration) or `test`.
        teacher: which weights separated it, as `SIG_3`.
        weights: sha256 of the teacher's weights; empty if it is not known.
        family: which teachers are alike, as the architecture; the study holds families apart.
        seconds: length of the song.
        sources: names of the stems, in the order of S.
        window: seconds of a window.
        scores: by name (see `demucs.blind.scores.song_scores.DEFINITIONS`).
        truth: by name, `nsdr` and `sdr` in dB and `level`, of the true stem, in dB below full
            scale; empty without ground truth.
    """

    track: str
    kind: str
    split: str
    teacher: str
    family: str
    seconds: float
    sources: tuple[str, ...]
    window: float
    scores: Mapping[str, Measures]
    truth: Mapping[str, Measures] = field(default_factory=dict)
    weights: str = ""

    def save(self, path: Path) -> None:
        """Writes it as JSON, whole or not at all."""
        facts = {
            name: getattr(self, name)
            for name in (
                "track",
                "kind",
                "split",
                "teacher",
                "family",
                "seconds",
                "window",
                "weights",
            )
        }
        content = {
            "format": FORMAT,
            **facts,
            "sources": list(self.sources),
            "scores": _plain(self.scores),
            "truth": _plain(self.truth),
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Reads one file.

        Raises:
            DatasetError: it is no such file.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            content["sources"] = tuple(content["sources"])
            for name in ("scores", "truth"):
                content[name] = {key: _measures(values) for key, values in content[name].items()}
            return cls(**content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path} is not a record of blind scores ({error}): move it away, and collect again"
            ) from error


def read_records(folder: str | Path) -> list[Record]:
    """All records below a folder, by path.

    Raises:
        DatasetError: there is none, or a broken one.
    """
    if Path(folder).exists():
        check_readable(Path(folder))
    records = [Record.load(path) for path in sorted(Path(folder).glob("**/*.json"))]
    if not records:
        raise DatasetError(f"{folder} holds no records of blind scores (*.json)")
    return records


def _plain(measures: Mapping[str, Measures]) -> dict[str, Any]:
    return {
        name: {"track": plain(one.track), "windows": plain(one.windows)}
        for name, one in measures.items()
    }


def _measures(content: Mapping[str, Any]) -> Measures:
    return Measures(track=from_plain(content["track"]), windows=from_plain(content["windows"]))
