"""Scores of labelled songs, with the truth beside them: what calibration and study learn from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from demucs.blind.quality import Quality
from demucs.blind.records import Measures, Record
from demucs.blind.scores.agreement import WINDOW, level
from demucs.blind.scores.song_scores import score_track
from demucs.blind.teacher import Teacher
from demucs.data import Track
from demucs.errors import ConfigError
from demucs.evaluation.metrics.bss_scores import bss_scores
from demucs.evaluation.metrics.ratios import energy_ratios

NETWORK = "network"  # the score that is a quality network's prediction


def collect(
    teacher: Teacher,
    tracks: Sequence[Track],
    folder: Path,
    *,
    kind: str,
    split: str,
    family: str,
    members: Sequence[Teacher] = (),
    show: Callable[[Iterable[Track]], Iterable[Track]] = iter,
) -> int:
    """Writes a `Record` of each track, FOLDER/TEACHER/KIND/SPLIT/TRACK.json; returns how many.

    A record that is there is kept, so an interrupted collection resumes. The song of the cycle's
    other stems is the next one of `tracks`, for every teacher the same.

    Args:
        teacher: whose stems are scored.
        tracks: songs with known stems.
        folder: of all records.
        kind, split, family: see `Record`.
        members: teachers whose estimates are compared with for the score `members`.
        show: wraps the tracks that are left, to show progress.

    Raises:
        ConfigError: the tracks have other stems, sample rate or channels than the teacher, or a
            record is of other weights of that name.
        AudioError: a file that cannot be read.
    """
    for one in tracks[:1]:
        check_kind(teacher, one)
    where = folder / teacher.name / kind / split
    paths = {track.name: where / f"{track.name}.json" for track in tracks}
    for path in paths.values():
        if path.exists():
            check_weights(teacher, Record.load(path), path)
    left = [track for track in tracks if not paths[track.name].exists()]
    following = dict(zip(paths, [*tracks[1:], *tracks[:1]], strict=True))
    ahead: dict[str, Tensor] = {}  # the next song's stems: for this one's cycle, and then its own
    for track in show(left):
        other = following[track.name]
        mixture, references = track.load()
        known = ahead.get(track.name)
        ahead = {other.name: teacher(other.load()[0])}
        estimates, scores = score_track(
            teacher,
            mixture,
            estimates=known,
            others=[ahead[other.name]],
            members=[member(mixture) for member in members],
        )
        Record(
            track=track.name,
            kind=kind,
            split=split,
            teacher=teacher.name,
            family=family,
            weights=teacher.weights,
            seconds=mixture.shape[-1] / teacher.samplerate,
            sources=teacher.sources,
            window=WINDOW,
            scores=scores,
            truth=truth_of(references, estimates, teacher.samplerate),
        ).save(paths[track.name])
    return len(left)


def extend(
    teacher: Teacher,
    tracks: Sequence[Track],
    folder: Path,
    *,
    kind: str,
    split: str,
    hear: Callable[[Tensor, Tensor], Quality] | None = None,
    sdr: bool = False,
    show: Callable[[Iterable[Track]], Iterable[Track]] = iter,
) -> int:
    """Adds to the records of tracks what they lack; returns to how many.

    Args:
        hear: predicts quality from a mixture `[C, T]` and its estimates `[S, C, T]`; the nSDR that
            it predicts becomes the score `network`.
        sdr: the truth gets the SDR of BSS Eval.
        teacher, tracks, folder, kind, split, show: as of `collect`, which wrote the records.

    Raises:
        DatasetError: there is no record of a track.
    """
    where = folder / teacher.name / kind / split
    records = {track.name: Record.load(where / f"{track.name}.json") for track in tracks}

    def lacks(record: Record) -> bool:
        heard = hear is None or NETWORK in record.scores
        return not heard or (sdr and "sdr" not in record.truth)

    left = [track for track in tracks if lacks(records[track.name])]
    for track in show(left):
        record = records[track.name]
        mixture, references = track.load()
        estimates = teacher(mixture)
        scores = dict(record.scores)
        if hear is not None:
            quality = hear(mixture, estimates)
            scores[NETWORK] = Measures(track=quality.sdr, windows=quality.windows)
        truth = dict(record.truth)
        if sdr:
            truth["sdr"] = sdr_of(references, estimates, teacher.samplerate)
        more = replace(record, scores=scores, truth=truth)
        more.save(where / f"{track.name}.json")
    return len(left)


def truth_of(references: Tensor, estimates: Tensor, samplerate: int) -> dict[str, Measures]:
    """`nsdr` in dB, and the true stem's `level`, of stems `[S, C, T]`."""
    whole, parts = energy_ratios(references.numpy(), estimates.numpy(), samplerate)["nsdr"]
    return {"nsdr": Measures(track=whole, windows=parts), "level": level(references, samplerate)}


def sdr_of(references: Tensor, estimates: Tensor, samplerate: int) -> Measures:
    """The SDR of BSS Eval v4 in dB, of stems `[S, C, T]`."""
    truth, guess = references.numpy(), estimates.numpy()
    whole, parts = bss_scores(truth, guess, samplerate, wanted=["sdr"])["sdr"]
    return Measures(track=whole, windows=parts)


def check_weights(teacher: Teacher, record: Record, path: Path) -> None:
    """Refuses to continue with records of another model.

    Raises:
        ConfigError: the record was made with other weights of the teacher's name.
    """
    if record.weights and record.weights != teacher.weights:
        raise ConfigError(
            f"{path} was made by another model called {teacher.name} (weights "
            f"{record.weights[:8]}, now {teacher.weights[:8]}): give the model another name, or "
            f"move the folder {path.parents[2]} away"
        )


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
