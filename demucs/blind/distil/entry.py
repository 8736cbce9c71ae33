"""The record of a scored file: one JSON file, kept until it no longer holds."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from demucs.blind.distil.excerpts import Excerpt
from demucs.blind.quality import Quality
from demucs.files import atomic_path

FORMAT = "demucs-distil-scores-1"
FOLDER = "scores"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One excerpt of a file.

    Attributes:
        excerpt: where it is, in samples of the teacher's rate.
        skipped: why it is left out; None if it was judged.
        quality: what is believed of its stems.
        scores: of the whole excerpt, by name, `[S]` as lists.
        truth: `nsdr` (dB) and `level` (dB full scale) of each true stem, where that was asked for.
    """

    excerpt: Excerpt
    skipped: str | None = None
    quality: Quality | None = None
    scores: Mapping[str, list[float | None]] = field(default_factory=dict)
    truth: Mapping[str, list[float | None]] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "excerpt": asdict(self.excerpt),
            "skipped": self.skipped,
            "quality": self.quality.to_dict() if self.quality else None,
            "scores": dict(self.scores),
            "truth": dict(self.truth) if self.truth is not None else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Scored":
        quality = data["quality"]
        return cls(
            excerpt=Excerpt(**data["excerpt"]),
            skipped=data["skipped"],
            quality=None if quality is None else Quality.from_dict(quality),
            scores=data["scores"],
            truth=data["truth"],
        )


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file.

    Attributes:
        file: its path below the folder.
        mark: size and time that it had.
        run: of teacher, judge and settings.
        guard: what it was compared with.
        skipped: why the whole file is left out; None if it is not.
        refused: whether it is left out as a test song.
        notes: what was done to it.
        sha256: of the file; None where it cannot be read.
        audio_sha256: of its samples; None of a file that was skipped.
        seconds: its length; None where it is not known.
        complete: False while excerpts are missing.
        excerpts: those that are judged.
    """

    file: str
    mark: str
    run: str
    guard: str
    skipped: str | None = None
    refused: bool = False
    notes: tuple[str, ...] = ()
    sha256: str | None = None
    audio_sha256: str | None = None
    seconds: float | None = None
    complete: bool = True
    excerpts: tuple[Scored, ...] = ()

    def save(self, path: Path) -> None:
        """Writes it, whole or not at all."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        content["excerpts"] = [field.to_dict() for field in self.excerpts]
        with atomic_path(path) as temporary:
            text = json.dumps({"format": FORMAT, **content}, ensure_ascii=True)
            temporary.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Entry | None":
        """What a file holds; None where it is missing, broken, or of another format."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                return None
            content["notes"] = tuple(content["notes"])
            content["excerpts"] = tuple(
                Scored.from_dict(excerpt) for excerpt in content["excerpts"]
            )
            return cls(**content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def path_of(out: Path, key: str) -> Path:
    """Where the entry of a file is."""
    return out / FOLDER / f"{key}.json"
