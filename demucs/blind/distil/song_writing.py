"""The second stage: selected songs are separated again and written, each whole or not at all."""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

import demucs
from demucs.audio import AudioSource, write_audio
from demucs.blind.distil.candidates import Song
from demucs.blind.distil.excerpts import cut
from demucs.blind.distil.prepare import peak_of
from demucs.blind.distil.selection import Rule
from demucs.blind.teacher import Teacher
from demucs.data.readers import MIXTURE
from demucs.data.tracks import LABELS_FILE
from demucs.errors import DatasetError
from demucs.files import atomic_path
from demucs.process.signals import Interrupted
from demucs.release.provenance import file_sha256

SPLIT = "train"
_STALE = 3600.0  # seconds after which an unfinished folder has nobody who works on it


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How songs are written.

    Attributes:
        teacher: separates, as it did when the songs were judged.
        weights: sha256 of its weights.
        out: the folder of all results.
        rule: how the songs were selected.
        threshold: from which value on they are kept.
        licence: the note on a file.
        judge: whose numbers they are (`demucs.blind.distil.quality_judge.Judge.about`).
        stop: whether to end; asked before each song.
    """

    teacher: Teacher
    weights: str
    out: Path
    rule: Rule
    threshold: float | None
    licence: Callable[[Song], str]
    judge: Mapping[str, Any] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False

    @property
    def folder(self) -> Path:
        """Of the songs."""
        return self.out / SPLIT

    def facts(self, song: Song) -> dict[str, Any]:
        """What the song's `distilled.json` says of it, without the date."""
        quality, rule = song.scored.quality, self.rule
        excerpt, rate = song.scored.excerpt, self.teacher.samplerate
        return {
            "format": FORMAT,
            "name": song.name,
            "source": {
                "file": song.file.file,
                "sha256": song.entry.sha256,
                "seconds": song.entry.seconds,
            },
            "start": round(excerpt.start / rate, 3),
            "seconds": round(song.seconds, 3),
            "teacher": {"name": self.teacher.name, "weights_sha256": self.weights},
            "licence": self.licence(song),
            "judge": dict(self.judge),
            "quality": quality.to_dict() if quality else None,
            "true": song.scored.truth,
            "selection": {
                **{name: getattr(rule, name) for name in ("by", "over", "use")},
                "threshold": _rounded(self.threshold),
                "value": _rounded(song.value),
            },
            "demucs": demucs.__version__,
        }

    def is_there(self, song: Song) -> bool:
        """Whether the song is written, with the same sound."""
        there = read_facts(self.folder / song.name)
        return there is not None and _sound(there) == _sound(self.facts(song))

    def write(self, songs: Sequence[Song], done: Callable[[Song, bool], None]) -> int:
        """Writes the songs that are not there; returns how many were.

        Args:
            songs: what is kept; excerpts of one file are read in one go.
            done: told each song, and whether it is new.

        Raises:
            Interrupted: it was asked to stop; songs that are written stay.
            DatasetError: a file has changed since it was scored.
            AudioError: a file can no longer be read, or a song cannot be written.
        """
        new = 0
        ordered = sorted(songs, key=lambda one: (one.file.file, one.scored.excerpt.start))
        for _, group in groupby(ordered, key=lambda one: one.file.file):
            left = []
            for song in group:
                if self.is_there(song):
                    self._renew(song)
                    done(song, False)
                else:
                    left.append(song)
            for song, mixture in self._mixtures(left):
                if self.stop():
                    raise Interrupted
                self._write_one(song, mixture)
                new += 1
                done(song, True)
        return new

    def _mixtures(self, songs: Sequence[Song]) -> Iterator[tuple[Song, Tensor]]:
        """Songs of one file, with their mixtures."""
        if not songs:
            return
        file = songs[0].file
        if file_sha256(file.path) != songs[0].entry.sha256:
            raise DatasetError(f"{file.path} has changed since it was scored: score it again")
        audio = AudioSource(file.path, self.teacher.samplerate, self.teacher.channels)
        by_excerpt = {song.scored.excerpt: song for song in songs}
        for excerpt, mixture in cut(audio.blocks(), list(by_excerpt)):
            yield by_excerpt[excerpt], mixture

    def _write_one(self, song: Song, mixture: Tensor) -> None:
        """The folder appears when all is in it."""
        stems = self.teacher(mixture).cpu()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_stale(song)
        half = self.folder / f".{_half(song)}{socket.gethostname()}-{os.getpid()}"
        shutil.rmtree(half, ignore_errors=True)
        try:
            half.mkdir()
            waves = {MIXTURE: mixture, **dict(zip(self.teacher.sources, stems, strict=True))}
            # What does not fit into 16 bits is kept as floats: a gain would change the mixture.
            loud = any(peak_of(wave) > 1.0 for wave in waves.values())
            for name, wave in waves.items():
                path = half / f"{name}.wav"
                write_audio(path, wave, self.teacher.samplerate, float32=loud, clip="none")
            self._write_facts(half, self.facts(song))
            self._put(half, self.folder / song.name)
        finally:
            shutil.rmtree(half, ignore_errors=True)

    def _put(self, half: Path, place: Path) -> None:
        """Renames; a song of other settings gives way, one that another process wrote stays."""
        try:
            half.rename(place)
            return
        except OSError:
            there = read_facts(place)
            if there is None and place.exists():
                raise DatasetError(
                    f"{place} is in the way, and no song of tools.distil: move it elsewhere"
                ) from None
            mine = read_facts(half)
            if there is None or mine is None or _sound(there) == _sound(mine):
                return
        aside = half.with_name(f"{half.name}.old")
        place.rename(aside)
        half.rename(place)
        shutil.rmtree(aside, ignore_errors=True)

    def _renew(self, song: Song) -> None:
        """Another threshold or licence note is written down; the sound stays."""
        place = self.folder / song.name
        there, facts = read_facts(place), self.facts(song)
        if there is not None and {**there, "date": None} != {**facts, "date": None}:
            self._write_facts(place, facts)

    def _write_facts(self, folder: Path, facts: Mapping[str, Any]) -> None:
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with atomic_path(folder / FACTS) as temporary:
            text = json.dumps({**facts, "date": date}, ensure_ascii=True)
            temporary.write_text(text + "\n", encoding="utf-8")

    def _remove_stale(self, song: Song) -> None:
        for path in self.folder.glob(f".{_half(song)}*"):
            try:
                old = time.time() - path.stat().st_mtime > _STALE
            except OSError:
                continue
            if old:
                shutil.rmtree(path, ignore_errors=True)


def _half(song: Song) -> str:
    """How the name of its unfinished folder begins, after the dot."""
    return f"{song.file.key}-{song.scored.excerpt.number}.new-"


def _sound(facts: Mapping[str, Any]) -> list[Any]:
    """What the samples of a song depend on."""
    source = facts.get("source") or {}
    teacher = facts.get("teacher") or {}
    return [
        source.get("sha256"),
        teacher.get("weights_sha256"),
        facts.get("start"),
        facts.get("seconds"),
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


FORMAT = "demucs-distilled-1"
FACTS = LABELS_FILE


def read_facts(folder: Path) -> dict[str, Any] | None:
    """The `distilled.json` of a song; None where there is none, or a broken one."""
    try:
        content = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def check_others(folder: Path, kept: Sequence[str], *, prune: bool) -> list[str]:
    """Removes songs that are no longer selected, if that is wanted; returns their names.

    Raises:
        DatasetError: there are some, and nobody said that they may be removed; or there is a
            folder of something else.
    """
    if not folder.is_dir():
        return []
    names = set(kept)
    others = sorted(
        entry.name for entry in folder.iterdir() if entry.name[0] != "." and entry.name not in names
    )
    foreign = [name for name in others if read_facts(folder / name) is None]
    if foreign:
        raise DatasetError(
            f"{folder / foreign[0]} is no song of tools.distil: move it out of the folder"
        )
    if others and not prune:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if others[5:] else "")
        raise DatasetError(
            f"{folder} has songs that are no longer selected ({shown}): give another "
            "folder, or --prune if they may be removed"
        )
    for name in others:
        hidden = folder / f".{name[:80]}.gone-{os.getpid()}"
        (folder / name).rename(hidden)  # at once, so that nobody reads half a song
        shutil.rmtree(hidden)
    return others
