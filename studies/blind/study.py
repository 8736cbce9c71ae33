"""The study of blind scores: what each of them knows of the true quality, and what it does not.

Calibration sees the songs of the split `valid` of one kind of music. Four questions are asked on
songs of the split `test`, which it never saw: with the same teachers (`songs`), with a family of
teachers that it never saw (`family`: each family in turn is left out), with another kind of music
(`kind`), and with both new (`both`). A network's predictions that are among the scores are asked
in `family` and `both` only of families that it was not trained on.
"""

import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy
import sklearn

from demucs.blind.calibration.calibration import REGRESSOR, Calibration
from demucs.blind.calibration.rows import LOUDNESS, common_names, extra_names
from demucs.blind.quality import QUIET, Quality
from demucs.blind.records import Record
from demucs.blind.scores.song_scores import DEFINITIONS
from demucs.errors import DatasetError
from studies.blind.notes import chosen, notes, nothing
from studies.blind.regressor_choice import compared
from studies.blind.rows import predicted, predictors, sheet_of, without
from studies.blind.seeds import stability
from studies.blind.table_numbers import activity, calibrations, correlations, plain_tree, risks
from studies.blind.usefulness import BAD

FORMAT = "demucs-blind-study-1"
CALIBRATED = "calibration"
CONDITIONS = {
    "songs": "held-out songs, the kind of music and the teachers of calibration: those with songs "
    "in it (others of their families are in the comparison of seeds alone)",
    "family": "held-out songs and all teachers of a family that was left out of calibration, each "
    "family in turn",
    "kind": "a kind of music that calibration never saw, the teachers of calibration",
    "both": "a kind of music that calibration never saw, and all teachers of a family that was "
    "left out of it, each family in turn",
}
GOALS = {"songs": 0.9, "family": 0.8, "kind": 0.8, "both": 0.8}
WINDOW_DRAWS = 0.5  # of the resamples, since windows are many
METHODS = {
    "rows": "only stems that play: the true stem is louder than -60 dB below full scale",
    "sign": "scores of which low is good are turned round, so that more is better in all tables",
    "partial": f"Spearman's with the ranks of {', '.join(LOUDNESS)} of the estimate held constant",
    "within": "mean over teachers of the correlation among one teacher's songs",
    "kendall": "tau-b",
    "interval": "2.5 to 97.5 % of resamples of songs (kind and name: all its rows together)",
    "mean": "of the stems, resampled together",
    "excess": f"area under the share of bad stems (the worst {BAD:.0%}) among the kept, over all "
    "shares kept: 0 as the true order, 1 as a random one",
    "auc": "chance that a playing stem or second scores above a silent one",
}


def study(
    records: Sequence[Record],
    *,
    kind: str | None = None,
    families: Sequence[str] = (),
    targets: Sequence[str] = ("nsdr", "sdr"),
    regressor: str = REGRESSOR,
    coverage: float = 0.9,
    draws: int = 400,
    seed: int = 0,
    compare: bool = True,
    heard: Sequence[str] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """All numbers of the study, as plain JSON.

    Args:
        records: with truth; of the splits `valid` and `test`.
        kind: of music to calibrate on; the one with the most records of `valid`, if None.
        families: of teachers to calibrate on; all, if empty. Others are tested as never seen.
        targets: truths to predict; one that some record lacks is left out.
        regressor, coverage, seed: of the calibration.
        draws: resamples of songs for intervals; half as many for windows.
        compare: regressors too, on the songs of calibration.
        heard: families of teachers that the network behind scores beyond `DEFINITIONS` was
            trained on; all, if None.
        tell: gets a line on each step.

    Raises:
        DatasetError: there is nothing to calibrate on, or to test on.
    """
    home = kind or _usual_kind(records)
    fitted = [
        record for record in records
        if record.split == "valid" and record.kind == home
        and (not families or record.family in families)
    ]  # fmt: skip
    tests = [record for record in records if record.split == "test"]
    for split, rows in (("valid", fitted), ("test", tests)):
        if not rows:
            raise DatasetError(
                f"there are no records of the split {split} of the kind {home}: collect some with "
                "tools.blind_scores"
            )
    truths = [name for name in targets if all(name in each.truth for each in (*fitted, *tests))]
    if not truths:
        raise DatasetError(f"not all records have one of the truths {', '.join(targets)}")
    extras = extra_names([*fitted, *tests])
    known_to = sorted({record.family for record in records} if heard is None else set(heard))
    options: dict[str, Any] = {"regressor": regressor, "coverage": coverage, "seed": seed}
    result: dict[str, Any] = {
        "format": FORMAT,
        "settings": {**options, "kind": home, "draws": draws, "targets": truths,
                     "calibrated_on": sorted({record.family for record in fitted})},
        "sources": list(fitted[0].sources),
        "versions": {"python": platform.python_version(), "numpy": np.__version__,
                     "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
        "definitions": {"conditions": CONDITIONS, "goals": GOALS, "methods": METHODS,
                        "scores": DEFINITIONS, "silent_below_db": QUIET},
        "heard": known_to if extras else [],
        "notes": notes(extras, known_to, assumed=heard is None),
        "records": counted(records),
        "targets": {},
    }  # fmt: skip
    for target in truths:
        of_target = {"target": target, **options}
        parts = {
            name: part for name in CONDITIONS
            if (part := _condition(name, fitted, tests, home, of_target, draws, known_to, tell))
            is not None
        }  # fmt: skip
        result["targets"][target] = {"conditions": parts, "chosen": chosen(fitted, target)}
        if compare:
            tell(f"{target}: regressors")
            result["targets"][target]["regressors"] = compared(fitted, target, seed)
    return dict(plain_tree(result))


def _condition(
    name: str,
    fitted: Sequence[Record],
    tests: Sequence[Record],
    home: str,
    options: dict[str, Any],
    draws: int,
    heard: Sequence[str],
    tell: Callable[[str], None],
) -> dict[str, Any] | None:
    """One of the questions; None where there are no records for it."""
    apart = name in ("family", "both")
    records = [record for record in tests if (record.kind == home) == (name in ("songs", "family"))]
    seen, teachers = {record.family for record in fitted}, {record.teacher for record in fitted}
    if name == "songs":  # runs with other seeds too, for the comparison of seeds
        records = [record for record in records if record.family in seen]
    elif not apart:
        records = [record for record in records if record.teacher in teachers]
    elif len(seen) < 2:
        records = [record for record in records if record.family not in seen]
    asked = [record for record in records if apart or record.teacher in teachers]
    if not asked:
        return None
    tell(f"{options['target']}: {name}")
    families = sorted({record.family for record in records})
    names, extras = common_names([*fitted, *records]), extra_names([*fitted, *records])
    qualities: dict[str, list[Quality]] = {}
    for label, scores in (
        (CALIBRATED, names),
        *((f"{CALIBRATED}+{extra}", (*names, extra)) for extra in extras),
    ):
        by_family = predictors(
            fitted,
            lambda part, scores=scores: Calibration.fit(part, names=scores, **options),  # type: ignore[misc]
            families,
            apart=apart,
        )
        qualities[label] = predicted(records, by_family)
    shown = LOUDNESS if apart else (*names, *extras)
    result: dict[str, Any] = {
        "families": families,
        "kinds": sorted({record.kind for record in asked}),
    }
    learnt = [*extras, *(label for label in qualities if label != CALIBRATED)]
    sources = records[0].sources
    for level, windows in (("songs", False), ("windows", True)):
        every = sheet_of(
            records, [*dict.fromkeys((*shown, *extras))], options["target"], qualities,
            windows=windows,
        )  # fmt: skip
        sheet = every.where(np.isin(every.teacher, [record.teacher for record in asked]))
        sheet = without(sheet, learnt, heard) if apart else sheet
        count = max(1, round(draws * WINDOW_DRAWS)) if windows else draws
        table = correlations(sheet, sources, draws=count, seed=options["seed"])
        result[level] = {
            "rows": len(sheet),
            "playing": int(sheet.plays.sum()),
            "songs": len({(record.kind, record.track) for record in asked}),
            "correlations": table,
            "risk": risks(sheet, sources, [*qualities, *extras]),
            "calibration": {} if windows else calibrations(sheet, sources),
            "activity": activity(sheet, sources),
        }
        if name == "songs":
            result[level]["seeds"] = stability(
                correlations(every, sources, draws=0, seed=0),
                {record.teacher: record.family for record in records},
                sources,
            )
        if apart and set(families) <= set(heard):
            nothing(result[level], learnt)
    return result


def _usual_kind(records: Sequence[Record]) -> str:
    kinds = [record.kind for record in records if record.split == "valid"]
    if not kinds:
        raise DatasetError(
            "there are no records of the split valid to calibrate on: collect some with "
            "tools.blind_scores --split valid"
        )
    return max(sorted(set(kinds)), key=kinds.count)


def counted(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The number of songs of each teacher, kind and split."""
    groups: dict[tuple[str, str, str, str], int] = {}
    for record in records:
        key = (record.family, record.teacher, record.kind, record.split)
        groups[key] = groups.get(key, 0) + 1
    names = ("family", "teacher", "kind", "split")
    return [{**dict(zip(names, key, strict=True)), "songs": groups[key]} for key in sorted(groups)]
