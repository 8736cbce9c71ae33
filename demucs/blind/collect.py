"""Scores of labelled songs, with the truth beside them: what calibration and study learn from."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from demucs.blind.agreement import WINDOW, level
from demucs.blind.quality import Quality
from demucs.blind.records import Measures, Record
from demucs.blind.scores import score_track
from demucs.blind.teacher import Teacher
from demucs.data import Track
from demucs.errors import ConfigError
from demucs.evaluation.bss_scores import bss_scores
from demucs.evaluation.ratios import energy_ratios

logger = logging.getLogger(__name__)


def collect(
    teacher: Teacher,
    tracks: Sequence[Track],
    folder: Path,
    *,
    kind: str,
    split: str,
    family: str,
    members: Sequence[Teacher] = (),
    sdr: bool = False,
    show: Callable[[Iterable[Track]], Iterable[Track]] = iter,
) -> int:
    """Writes a `Record` of each track, FOLDER/TEACHER/KIND/SPLIT/TRACK.json; returns how many.

    A record that is there is kept, so an interrupted collection goes on. The song of the cycle's
    other stems is the next one of `tracks`, for every teacher the same.

    Args:
        teacher: whose stems are scored.
        tracks: songs with known stems.
        folder: of all records.
        kind, split, family: see `Record`.
        members: teachers whose estimates are compared with for the score `members`.
        sdr: measure the true SDR of BSS Eval too, which takes as long as all scores.
        show: wraps the tracks that are left, to show progress.

    Raises:
        ConfigError: the tracks have other stems, sample rate or channels than the teacher.
        AudioError: a file that cannot be read.
    """
    for one in tracks[:1]:
        check_kind(teacher, one)
    where = folder / teacher.name / kind / split
    paths = {track.name: where / f"{track.name}.json" for track in tracks}
    left = [track for track in tracks if not paths[track.name].exists()]
    for track in show(left):
        following = tracks[(list(tracks).index(track) + 1) % len(tracks)]
        mixture, references = track.load()
        estimates, scores = score_track(
            teacher,
            mixture,
            others=[teacher(following.load()[0])],
            members=[member(mixture) for member in members],
        )
        Record(
            track=track.name,
            kind=kind,
            split=split,
            teacher=teacher.name,
            family=family,
            seconds=mixture.shape[-1] / teacher.samplerate,
            sources=teacher.sources,
            window=WINDOW,
            scores=scores,
            truth=truth_of(references, estimates, teacher.samplerate, sdr=sdr),
        ).save(paths[track.name])
    return len(left)


def add_predictions(
    teacher: Teacher,
    tracks: Sequence[Track],
    folder: Path,
    *,
    kind: str,
    split: str,
    name: str,
    hear: Callable[[Tensor, Tensor], Quality],
    show: Callable[[Iterable[Track]], Iterable[Track]] = iter,
) -> int:
    """Adds predicted nSDR as the score `name` to the records of tracks that lack it.

    Args:
        hear: predicts from a mixture `[C, T]` and its estimates `[S, C, T]`.
        teacher, tracks, folder, kind, split, show: as of `collect`, which wrote the records.

    Returns:
        How many it was added to.

    Raises:
        DatasetError: there is no record of a track.
    """
    where = folder / teacher.name / kind / split
    found = {track.name: Record.load(where / f"{track.name}.json") for track in tracks}
    left = [track for track in tracks if name not in found[track.name].scores]
    for track in show(left):
        mixture = track.load()[0]
        quality = hear(mixture, teacher(mixture))
        predicted = Measures(track=quality.sdr, windows=quality.windows)
        record = found[track.name]
        more = replace(record, scores={**record.scores, name: predicted})
        more.save(where / f"{track.name}.json")
    return len(left)


def truth_of(
    references: Tensor, estimates: Tensor, samplerate: int, *, sdr: bool = False
) -> dict[str, Measures]:
    """`nsdr` in dB, the true stem's `level`, and `sdr` (BSS Eval v4) if wanted."""
    true, guess = references.numpy(), estimates.numpy()
    whole, parts = energy_ratios(true, guess, samplerate)["nsdr"]
    found = {"nsdr": Measures(track=whole, windows=parts), "level": level(references, samplerate)}
    if sdr:
        whole, parts = bss_scores(true, guess, samplerate)["sdr"]
        found["sdr"] = Measures(track=whole, windows=parts)
    return found


def check_kind(teacher: Teacher, track: Track) -> None:
    """Refuses songs that the teacher cannot be judged on.

    Raises:
        ConfigError: other stems, sample rate or channels; names both.
    """
    for what, has, wanted in (
        ("stems", track.sources, teacher.sources),
        ("sample rate in Hz", track.samplerate, teacher.samplerate),
        ("channels", track.channels, teacher.channels),
    ):
        if has != wanted:
            raise ConfigError(
                f"{teacher.name} has the {what} {wanted}, the songs have {has}: give songs of the "
                "teacher's kind"
            )
