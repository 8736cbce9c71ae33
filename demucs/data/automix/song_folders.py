"""Folders of new songs: made whole, recognised by their plan, replaced whole.

OUT/SPLIT/NAME/{STEM}.wav, maybe mixture.wav, and automix.json, which says what the song was made
from.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from demucs.data.automix.analysis import Analysis
from demucs.data.automix.match import Plan, knots
from demucs.data.automix.warp import Samples, follow
from demucs.data.repitch import VOICES, Engine
from demucs.data.tracks import MIXED_FILE, Track
from demucs.errors import DatasetError
from demucs.files import atomic_path

VERSION = 1  # raise it when the same plan comes to give another song
FACTS_FILE = MIXED_FILE
PEAK = 0.98  # of the mixture and of each stem, at most
FULL_SCALE = 32768  # of 16-bit samples
_PARTIAL = ".automix-partial"  # suffix of folders in the making; they also start with a dot
_STALE_SECONDS = 3600.0  # after which such a folder belongs to nobody


@dataclass(frozen=True, kw_only=True)
class Job:
    """A song to write: its plan, the folder, and the songs that the plan names."""

    plan: Plan
    folder: Path
    tracks: Mapping[str, Track]
    analyses: Mapping[str, Analysis]
    engine: Engine
    mixture: bool

    @property
    def files(self) -> list[str]:
        return [part.stem for part in self.plan.parts] + ["mixture"] * self.mixture

    @property
    def recipe(self) -> dict[str, Any]:
        """What the song depends on, but for the engine, as JSON gives it back."""
        plan: dict[str, Any] = json.loads(json.dumps(asdict(self.plan)))
        return {"version": VERSION, "mixture": self.mixture, **plan}


def write_song(job: Job) -> Path:
    """Makes a song in a folder beside, then renames that to its own.

    Raises:
        AudioError: a stem cannot be read or stretched.
        OSError, soundfile.SoundFileError: the song cannot be written.
    """
    stems, gain = _render(job)
    samplerate = next(iter(job.tracks.values())).samplerate
    partial = _hidden(job.folder)
    try:
        for name, samples in stems.items():
            soundfile.write(str(partial / f"{name}.wav"), samples, samplerate, "PCM_16")
        frames = len(stems[job.plan.parts[0].stem])
        facts = {
            "recipe": job.recipe,
            "frames": frames,
            "gain": round(gain, 4),
            "engine": job.engine.describe(),
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (partial / FACTS_FILE).write_text(text + "\n", encoding="utf-8")
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o777 & ~umask)  # a temporary folder is private; songs are to be read
        if job.folder.exists():
            _remove(job.folder)
        partial.rename(job.folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return job.folder


def complete(job: Job) -> bool:
    """Whether the folder holds the song of this plan, with all its files at full length."""
    facts = _facts(job.folder)
    try:
        infos = [soundfile.info(str(job.folder / f"{name}.wav")) for name in job.files]
    except (OSError, soundfile.SoundFileError):
        return False
    same = facts.get("recipe") == job.recipe
    return same and all(info.frames == facts.get("frames") for info in infos)


def check_names(jobs: list[Job]) -> None:
    """Refuses to replace what automix did not make.

    Raises:
        DatasetError: a folder with the name of a new song is not one.
    """
    for job in jobs:
        if job.folder.exists() and not (job.folder / FACTS_FILE).is_file():
            raise DatasetError(
                f"{job.folder} has no {FACTS_FILE}, so it is not a song of automix and is not "
                "replaced: move it away, or give another folder"
            )


def sweep(folder: Path) -> None:
    """Removes what killed runs left half made."""
    for entry in folder.glob(f".*{_PARTIAL}"):
        if time.time() - entry.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)


def write_manifest(folder: Path, manifest: Path) -> int:
    """Writes a line of JSON for each song of automix in `folder`, by name; how many."""
    lines = []
    for song in sorted(folder.iterdir()):
        facts = {} if song.name.startswith(".") else _facts(song)
        if facts:
            lines.append(json.dumps({"song": song.name, **facts}, ensure_ascii=False) + "\n")
    with atomic_path(manifest) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _render(job: Job) -> tuple[dict[str, NDArray[np.int16]], float]:
    """The stems, and maybe their sum, as 16-bit `[T, C]`; and the gain that made them fit."""
    plan, host = job.plan, job.analyses[job.plan.host]
    stems: dict[str, Samples] = {}
    for part in plan.parts:
        track, analysis = job.tracks[part.song], job.analyses[part.song]
        source, target = knots(host, plan.start, plan.beats, analysis, part)
        wav = follow(
            track.read(part.stem).numpy().T,
            track.samplerate,
            source,
            target,
            semitones=part.semitones,
            engine=job.engine,
            speech=part.stem in VOICES,
        )
        stems[part.stem] = wav * np.float32(part.gain)
    peak = max(float(np.abs(wav).max()) for wav in (*stems.values(), sum(stems.values())))
    gain = min(1.0, PEAK / max(peak, 1e-9))
    scale = np.float32(gain * FULL_SCALE)
    rounded = {name: np.rint(wav * scale).astype(np.int16) for name, wav in stems.items()}
    if job.mixture:  # the sum of what is written, not of what was meant
        rounded["mixture"] = np.sum(list(rounded.values()), axis=0, dtype=np.int16)
    return rounded, gain


def _facts(folder: Path) -> dict[str, Any]:
    """What is written in a song's folder; empty if it is no song of automix."""
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _remove(folder: Path) -> None:
    """At once, so that nobody sees half a song."""
    hidden = _hidden(folder)
    folder.rename(hidden / "old")
    shutil.rmtree(hidden)


def _hidden(folder: Path) -> Path:
    """A new folder beside, which readers of datasets pass over."""
    name = tempfile.mkdtemp(prefix=f".{folder.name[:80]}.", suffix=_PARTIAL, dir=folder.parent)
    return Path(name)
