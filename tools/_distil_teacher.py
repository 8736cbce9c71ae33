"""Who separates and who judges in tools.distil, and what is to be said of them."""

import argparse
from typing import Any

from demucs.blind.agreement import WINDOW
from demucs.blind.distil.guard import Guard
from demucs.blind.distil.judge import CalibratedJudge, Judge, RawJudge
from demucs.blind.distil.licences import UNKNOWN
from demucs.blind.distil.songs import Survey
from demucs.blind.distil.writing import Writing
from demucs.blind.scores import DEFINITIONS, LOW_IS_GOOD, score_track
from demucs.blind.teacher import Teacher
from demucs.errors import ConfigError
from demucs.release.provenance import file_sha256


def make_judge(args: argparse.Namespace) -> Judge:
    """By --calibration or --by.

    Raises:
        ConfigError: an unknown score.
        DemucsError: a calibration that cannot be read.
    """
    if args.calibration is not None:
        from demucs.blind.calibration import Calibration

        calibration = Calibration.load(args.calibration)
        settings = {"calibration": file_sha256(args.calibration)}
        return CalibratedJudge(score_track, calibration, WINDOW, settings)
    if args.by not in DEFINITIONS:
        raise ConfigError(f"--by {args.by}: give one of {', '.join(DEFINITIONS)}")
    return RawJudge(score_track, args.by, WINDOW, -1 if args.by in LOW_IS_GOOD else 1)


def check_sources(teacher: Teacher, wanted: str | None) -> None:
    """Raises ConfigError if the student has other stems than the teacher, in whatever order."""
    if wanted is None:
        return
    names = [name.strip() for name in wanted.split(",")]
    if len(set(names)) == len(names) and set(names) == set(teacher.sources):
        return
    raise ConfigError(
        f"the student has the stems {', '.join(names)}, and the teacher {teacher.name} gives "
        f"{', '.join(teacher.sources)}: take a teacher with the same stems, or train a student "
        f"with dset.sources=[{','.join(teacher.sources)}]"
    )


def about_teacher(teacher: Teacher, weights: str, model: Any) -> dict[str, Any]:
    """What the manifest says of the teacher, its own record of the test set among it."""
    release = getattr(model, "release", None)
    provenance = getattr(release, "provenance", None) or {}
    return {
        "name": teacher.name,
        "weights_sha256": weights,
        "sources": list(teacher.sources),
        "samplerate": teacher.samplerate,
        "licence": getattr(release, "licence", None),
        "test_set_seen": provenance.get("test_set_seen"),
    }


def warnings_of(seen: Survey, writing: Writing, teacher: dict[str, Any], guard: Guard) -> list[str]:
    """What one should know before training on the songs."""
    found = []
    said = teacher["test_set_seen"]
    if said is None:
        found.append(
            f"nothing is recorded of what the teacher {teacher['name']} was trained on: it may "
            "have seen the test set, and hand it on"
        )
    elif said != "no":
        found.append(f"the teacher {teacher['name']} has perhaps seen the test set ({said})")
    if not guard.songs:
        found.append("no test songs to compare with: give --guard DATASET/test, or DEMUCS_MUSDB")
    unknown = {song.file.file for song in seen.kept if writing.licence(song) == UNKNOWN}
    if unknown:
        found.append(
            f"the licence of {len(unknown)} files is unknown: give --licence, or a licences.json"
        )
    if not seen.kept:
        found.append("nothing is kept: lower --threshold, or raise --budget")
    return found
