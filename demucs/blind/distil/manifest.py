"""One file that says of each source file what became of it, and why."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

import demucs
from demucs.blind.distil.candidates import Song, Survey
from demucs.blind.distil.entry import Entry
from demucs.blind.distil.song_writing import Writing
from demucs.blind.distil.sources import SourceFile
from demucs.files import atomic_path

FORMAT = "demucs-distilled-manifest-1"
FILE = "manifest.json"
_SAID = ("format", "source", "teacher", "judge", "demucs")  # of the file, or of all songs at once
_WINDOWS = ("windows", "active_windows")  # in the songs' own files: of all songs, they are large


def write_manifest(
    survey: Survey,
    writing: Writing,
    *,
    copies: Mapping[str, str],
    about: Mapping[str, Any],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Writes OUT/manifest.json; returns its summary.

    Args:
        survey: all files.
        writing: how songs were written.
        copies: files of the same bytes as another one, by `SourceFile.file`.
        about: of teacher, judge, settings and guard.
        warnings: what to know before one trains on it.
    """
    kept = {song.name for song in survey.kept}
    files = [_file(file, entry, survey, writing, kept) for file, entry in survey.files]
    known = {one["file"]: (one["sha256"], one["seconds"]) for one in files}
    for file, first in copies.items():
        sha256, seconds = known.get(first, (None, None))
        facts = {"file": file, "sha256": sha256, "seconds": seconds}
        files.append({**facts, "status": "skipped", "reason": f"the same file as {first}"})
    files.sort(key=lambda one: str(one["file"]))
    summary = _summary(files, survey)
    content = {
        "format": FORMAT,
        "demucs": demucs.__version__,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **about,
        "selection": {**survey.rule.to_dict(), "value_from": survey.selection.threshold},
        "warnings": list(warnings),
        "summary": summary,
        "files": files,
    }
    with atomic_path(writing.out / FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return summary


def read_manifest(out: Path) -> dict[str, Any]:
    """Reads OUT/manifest.json."""
    content: dict[str, Any] = json.loads((out / FILE).read_text(encoding="utf-8"))
    return content


def _file(
    file: SourceFile, entry: Entry, survey: Survey, writing: Writing, kept: set[str]
) -> dict[str, Any]:
    """One source file: `kept` if a part of it is, else `not selected` or `skipped`."""
    facts: dict[str, Any] = {
        "file": file.file,
        "sha256": entry.sha256,
        "seconds": entry.seconds,
        "notes": list(entry.notes),
    }
    if entry.skipped is not None:
        status = "refused" if entry.refused else "skipped"
        return {**facts, "status": status, "reason": entry.skipped}
    if file.file in survey.again:
        reason = f"the same samples as {survey.again[file.file]}"
        return {**facts, "status": "skipped", "reason": reason}
    songs = []
    for scored in entry.excerpts:
        name = scored.excerpt.name(file.name)
        if name in survey.songs:
            songs.append(_song(survey.songs[name], writing, name in kept))
        else:
            songs.append({"name": name, "status": "skipped", "reason": scored.skipped})
    states = {scored["status"] for scored in songs}
    status = next((s for s in ("kept", "not selected") if s in states), "skipped")
    content = {**facts, "status": status, "songs": songs}
    if status == "skipped":
        content["reason"] = songs[0]["reason"] if songs else "nothing of it could be judged"
    return content


def _song(song: Song, writing: Writing, kept: bool) -> dict[str, Any]:
    facts = writing.facts(song)
    for name in _SAID:
        facts.pop(name)
    if facts["quality"]:
        facts["quality"] = {k: v for k, v in facts["quality"].items() if k not in _WINDOWS}
    facts["status"] = "kept" if kept else "not selected"
    if not kept:
        facts["reason"] = _why(song, writing)
    return facts


def _why(song: Song, writing: Writing) -> str:
    """Why a song is not selected."""
    by = writing.rule.by
    if by == "random":
        return "not drawn"
    if song.value is None:
        if by == "oracle" and not song.scored.truth:
            return "no true stems beside it"
        return "no stem plays, or the quality of one that does is not known"
    threshold = writing.threshold
    if threshold is not None and song.value < threshold:
        return f"{song.value:.2f} dB is below {threshold:.2f} dB"
    budget = writing.rule.budget
    if budget is None or budget.kind == "songs":
        return "the budget was spent"
    return f"{song.seconds:.1f} s do not fit into what better songs leave of the budget"


def _summary(files: Sequence[Mapping[str, Any]], survey: Survey) -> dict[str, Any]:
    count = {
        status: sum(file["status"] == status for file in files)
        for status in ("kept", "not selected", "skipped", "refused")
    }
    values = [song.value for song in survey.kept if song.value is not None]
    return {
        "files": {"all": len(files), **count},
        "songs": {"kept": len(survey.kept), "not selected": len(survey.songs) - len(survey.kept)},
        "hours": {
            "kept": round(sum(song.seconds for song in survey.kept) / 3600, 4),
            "scored": round(sum(song.seconds for song in survey.songs.values()) / 3600, 4),
        },
        "mean value": round(float(np.mean(values)), 4) if values else None,
    }
