"""The teacher and the judge of tools.distil, and their description."""

import argparse
from typing import TYPE_CHECKING, Any

from demucs.blind.distil.candidates import Survey
from demucs.blind.distil.guard import Guard
from demucs.blind.distil.licences import UNKNOWN
from demucs.blind.distil.quality_judge import (
    PREDICTED,
    CalibratedJudge,
    Judge,
    NetworkJudge,
    RawJudge,
)
from demucs.blind.distil.song_writing import Writing
from demucs.blind.scores.agreement import WINDOW
from demucs.blind.scores.song_scores import DEFINITIONS, score_track
from demucs.blind.teacher import Teacher
from demucs.errors import ConfigError
from demucs.release.provenance import file_sha256

if TYPE_CHECKING:
    from demucs.blind.calibration.calibration import Calibration

# Scores that rank songs by themselves: dB of agreement, of which more is better.
QUALITIES = (
    "reseparation", "reseparation_gap", "polarity", "swap", "shift", "speed", "noise", "self_cycle",
    "members",
)  # fmt: skip

_WITHOUT = "give a calibration that was fitted without this score"


def make_judge(args: argparse.Namespace) -> Judge:
    """By --calibration, --network or --by.

    Raises:
        ConfigError: a score that is no quality, or a calibration of something else than nSDR.
        DemucsError: a file that cannot be read.
    """
    if args.calibration is not None:
        from demucs.blind.calibration.calibration import Calibration

        calibration = Calibration.load(args.calibration)
        target = calibration.settings.target
        if target != "nsdr":
            raise ConfigError(
                f"{args.calibration} predicts {target}, and nSDR is wanted: make one with "
                "`python3 -m studies.blind_study calibrate --targets nsdr`"
            )
        settings = {"calibration": file_sha256(args.calibration)}
        about = {"kind": "calibration", "unit": PREDICTED, **settings, **_fitted_on(calibration)}
        return CalibratedJudge(score_track, calibration, WINDOW, settings, about)
    if args.network is not None:
        from demucs.blind.network import load_network, predict

        trained = load_network(args.network)
        return NetworkJudge(
            lambda mixture, stems, rate, names: predict(
                trained, mixture, stems, rate, sources=names
            ),
            {"network": file_sha256(args.network)},
            tuple(trained.network.sources),
        )
    if args.by not in QUALITIES:
        raise ConfigError(
            f"--by {args.by}: a song is not the better for more of it; give one of "
            f"{', '.join(QUALITIES)}"
            if args.by in DEFINITIONS
            else f"--by {args.by}: give one of {', '.join(QUALITIES)}"
        )
    return RawJudge(score_track, args.by, WINDOW)


def _fitted_on(calibration: "Calibration") -> dict[str, Any]:
    """What a calibration predicts, of what, and whose songs it was fitted on."""
    settings, rows = calibration.settings, calibration.rows
    return {
        "target": settings.target,
        "coverage": settings.coverage,
        "sources": list(settings.sources),
        "scores": list(settings.names),
        "teachers": sorted({str(name) for name in rows.teacher}),
        "families": sorted({str(name) for name in rows.family}),
    }


def check_judge(judge: Judge, teacher: Teacher) -> None:
    """Refuses a judge that could not judge this teacher, before it has separated anything.

    Raises:
        ConfigError: other stems than the judge knows, or a score that the teacher does not have.
    """
    about = judge.about
    kind, stems = about["kind"], about.get("sources", teacher.sources)
    unknown = set(teacher.sources) - set(stems)
    if unknown or (kind == "network" and set(stems) != set(teacher.sources)):
        raise ConfigError(
            f"the {kind} knows the stems {', '.join(stems)}, and {teacher.name} gives "
            f"{', '.join(teacher.sources)}: take one that was made for these"
        )
    scores = about.get("scores", [about.get("by")])
    if "members" in scores and not teacher.members:
        raise ConfigError(
            f"members: {teacher.name} is no bag of two models or more; "
            + ("give another score, as --by self_cycle" if kind == "score" else _WITHOUT)
        )
    if "cycle" in scores:
        raise ConfigError(f"cycle: nothing is mixed with other songs here; {_WITHOUT}")


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


def about_teacher(teacher: Teacher, model: Any) -> dict[str, Any]:
    """What the manifest says of the teacher, its own record of the test set among it."""
    release = getattr(model, "release", None)
    provenance = getattr(release, "provenance", None) or {}
    return {
        "name": teacher.name,
        "weights_sha256": teacher.weights,
        "sources": list(teacher.sources),
        "samplerate": teacher.samplerate,
        "licence": getattr(release, "licence", None),
        "test_set_seen": provenance.get("test_set_seen"),
    }


def warnings_of(seen: Survey, writing: Writing, teacher: dict[str, Any], guard: Guard) -> list[str]:
    """What one should know before training on the songs."""
    lines = []
    said = teacher["test_set_seen"]
    if said is None:
        lines.append(
            f"nothing is recorded of what the teacher {teacher['name']} was trained on: it may "
            "have seen the test set, and hand it on"
        )
    elif said != "no":
        lines.append(f"the teacher {teacher['name']} has perhaps seen the test set ({said})")
    if not guard.songs:
        lines.append("no test songs to compare with: give --guard DATASET/test, or DEMUCS_MUSDB")
    unknown = {song.file.file for song in seen.kept if writing.licence(song) == UNKNOWN}
    if unknown:
        lines.append(
            f"the licence of {len(unknown)} files is unknown: give --licence, or a licences.json"
        )
    if not seen.kept:
        lines.append("nothing is kept: lower --threshold, or raise --budget")
    return lines
