"""The training set of a quality network: what several teachers make of labelled songs.

    OUT/teachers.json                            which weights each name stands for
    OUT/{train,valid}/SONG/TEACHER/STEM.flac     estimates, 16 bits, clipped at full scale
    OUT/{train,valid}/SONG/TEACHER/record.json   a `Record` with the truth about these files

A song is done once it has its record, so an interrupted collection resumes where it stopped.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from demucs.audio import write_audio
from demucs.blind.network.truth import truth_of
from demucs.blind.records import Record
from demucs.blind.scores.agreement import WINDOW
from demucs.blind.teacher import Teacher
from demucs.console import bar
from demucs.data import Track, find_tracks
from demucs.data.readers import WavFolder
from demucs.errors import ConfigError, DatasetError
from demucs.evaluation.metrics.definitions import window_count
from demucs.files import atomic_path
from demucs.pretrained import get_model

RECORD = "record.json"
TEACHERS = "teachers.json"
SPLITS = ("train", "valid")


@dataclass(frozen=True, kw_only=True)
class Collected:
    """How many estimates there are, and how many of them are new."""

    estimates: int
    new: int


def collect_estimates(
    out: Path,
    names: Sequence[str],
    *,
    songs: Path,
    splits: Sequence[str] = SPLITS,
    repo: str | os.PathLike[str] | None = None,
    kind: str = "music",
    limit: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Collected:
    """Separates labelled songs by several models, and stores stems and truth below `out`.

    Args:
        out: the folder.
        names: of the models, as `demucs.pretrained.get_model` takes them.
        songs: the dataset folder.
        splits: `train`, `valid` or both. Test songs are never taken.
        repo: folder of the models.
        kind: which kind of music, for the records.
        limit: at most so many songs of each split.
        device: where to compute.
        progress: show a bar.

    Raises:
        ConfigError: another split, no names, or a name that stood for other weights before.
        DatasetError, AudioError: songs that cannot be read, or not at the rate of a model.
        ModelNotFoundError, ReleaseError: a model that cannot be loaded.
    """
    wrong = [split for split in splits if split not in SPLITS]
    if wrong or not splits or not names:
        raise ConfigError(
            f"splits {list(splits)} and models {list(names)}: give at least one model, and splits "
            f"of {', '.join(SPLITS)} (the network must not see test songs)"
        )
    new = done = 0
    for name in names:
        teacher, family = _load(out, name, repo, device)
        jobs = list(_jobs(teacher, songs, splits, limit))
        for split, track in bar(jobs, title=name, show=progress, unit="song"):
            folder = out / split / track.name / name
            if not (folder / RECORD).exists():
                _store(folder, teacher, track, family=family, split=split, kind=kind)
                new += 1
            done += 1
    return Collected(estimates=done, new=new)


def _load(
    out: Path, name: str, repo: str | os.PathLike[str] | None, device: str
) -> tuple[Teacher, str]:
    """A teacher and its family, after checking that its name stands for the same weights."""
    model = get_model(name, repo)
    teacher = Teacher.of(model, name, device)
    path = out / TEACHERS
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        before = known.get(name)
    except (ValueError, AttributeError) as error:
        raise DatasetError(f"{path} is unreadable ({error}): collect into another folder") from None
    if before not in (None, teacher.weights):
        raise ConfigError(
            f"{out} has estimates of another model {name} (its weights differ): give the new model "
            "another name, or collect into another folder"
        )
    if before is None:
        with atomic_path(path) as temporary:
            text = json.dumps({**known, name: teacher.weights}, indent=2, sort_keys=True)
            temporary.write_text(text + "\n", encoding="utf-8")
    spec = getattr(model.release, "spec", None)
    return teacher, str(getattr(spec, "name", "bag"))


def _jobs(
    teacher: Teacher, songs: Path, splits: Sequence[str], limit: int | None
) -> Iterator[tuple[str, Track]]:
    for split in SPLITS:
        if split in splits:
            tracks = find_tracks(
                songs,
                split,  # type: ignore[arg-type]
                sources=teacher.sources,
                samplerate=teacher.samplerate,
                channels=teacher.channels,
            )
            yield from ((split, track) for track in tracks[:limit])


def _store(
    folder: Path, teacher: Teacher, track: Track, *, family: str, split: str, kind: str
) -> None:
    mixture, references = track.load()
    estimates = teacher(mixture).cpu()
    for source, estimate in zip(teacher.sources, estimates, strict=True):
        path = folder / f"{source}.flac"
        write_audio(path, estimate, teacher.samplerate, bits=16, clip="clamp")
    record = Record(
        track=track.name,
        kind=kind,
        split=split,
        teacher=teacher.name,
        family=family,
        seconds=track.frames / track.samplerate,
        sources=teacher.sources,
        window=WINDOW,
        scores={},
        truth=truth_of(references, read_stems(folder, teacher.sources), mixture, track.samplerate),
    )
    assert record.truth["level"].windows.shape[-1] == window_count(track.frames, track.samplerate)
    record.save(folder / RECORD)


def read_stems(
    folder: Path, sources: Sequence[str], start: int = 0, frames: int | None = None
) -> Tensor:
    """Estimates `[S, C, T]` of a folder, from a sample on."""
    reader = WavFolder(folder)
    missing = [source for source in sources if source not in reader.files]
    if missing:
        raise DatasetError(
            f"{folder} has no {', '.join(missing)}: move the folder away, and collect again"
        )
    return torch.stack([reader.read(source, start, frames) for source in sources])
