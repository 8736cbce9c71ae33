"""The scores of records as a table: a row for each stem of a song, or of each of its windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from demucs.blind.quality import QUIET, Array, from_plain, plain
from demucs.blind.records import Measures, Record
from demucs.blind.scores.song_scores import DEFINITIONS, LOW_IS_GOOD
from demucs.errors import ConfigError, DatasetError

LOUDNESS = ("level", "level_gap", "active_share")  # what every other score has to know more than
SPECTRAL = frozenset({"holes", "musical_noise", "bandwidth"})
UNDIRECTED = frozenset({*LOUDNESS, "residual", "bandwidth"})
DECIMALS = 4  # as in the files of records, so that a table that was saved gives the same fit


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table of R rows.

    Attributes:
        values: scores, `[R, F]`; NaN where a score has none.
        stem: index of the stem, `[R]`.
        track, teacher, family: names, `[R]`.
        target: true quality in dB, `[R]`; NaN where it has none.
        level: of the true stem, dBFS, `[R]`.
    """

    values: Array
    stem: Array
    track: Array
    teacher: Array
    family: Array
    target: Array
    level: Array

    def __len__(self) -> int:
        return len(self.stem)

    @property
    def plays(self) -> Array:
        """Whether the true stem plays: it is above −60 dBFS."""
        return np.asarray(self.level > QUIET)

    @property
    def known(self) -> Array:
        """Rows whose quality can be learnt: the stem plays, and the target is finite."""
        return np.asarray(self.plays & np.isfinite(self.target))

    def where(self, chosen: Array) -> "Rows":
        """The rows of a mask or of indices."""
        return Rows(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def rows_of(
    records: Sequence[Record],
    sources: Sequence[str],
    names: Sequence[str],
    target: str,
    *,
    windows: bool = False,
) -> Rows:
    """The table of records, stem by stem within a record, window by window within a stem.

    Raises:
        ConfigError: a record lacks one of `names`.
        DatasetError: it has no truth, or other stems than `sources`.
    """
    parts: list[tuple[Array, ...]] = []
    for record in records:
        check_truth(record, sources, target)
        values = matrix(record.scores, names, windows=windows)
        truth = [record.truth[name] for name in (target, "level")]
        goal, level = (each.windows if windows else each.track for each in truth)
        stems, *rest = goal.shape
        repeats = rest[0] if rest else 1
        facts = [np.repeat(np.array(fact), stems * repeats) for fact in
                 (record.track, record.teacher, record.family)]  # fmt: skip
        parts.append(
            (values, np.repeat(np.arange(stems), repeats), *facts, goal.ravel(), level.ravel())
        )
    if not parts:
        raise DatasetError("there are no records: collect some with tools.blind_scores")
    joined = [np.concatenate([part[n] for part in parts]) for n in range(len(parts[0]))]
    named = dict(zip((record.name for record in fields(Rows)), joined, strict=True))
    for name in ("target", "level"):
        named[name] = named[name].round(DECIMALS)
    return Rows(**named)


def matrix(scores: Mapping[str, Measures], names: Sequence[str], *, windows: bool = False) -> Array:
    """Scores by name as `[S, F]`, or `[S·N, F]` of windows, rounded to four decimals.

    Raises:
        ConfigError: some of `names` are missing.
    """
    missing = [name for name in names if name not in scores]
    if missing:
        raise ConfigError(
            f"the scores {', '.join(missing)} are missing, and the calibration was fitted with "
            f"them: compute them too, or fit a calibration on {', '.join(sorted(scores))}"
        )
    columns = [(scores[name].windows if windows else scores[name].track).ravel() for name in names]
    table: Array = np.stack(columns, axis=-1).astype(np.float64).round(DECIMALS)
    return table


def common_names(records: Sequence[Record]) -> tuple[str, ...]:
    """The scores of `DEFINITIONS` that every record has: what `score_track` gives for each."""
    return tuple(name for name in DEFINITIONS if all(name in record.scores for record in records))


def extra_names(records: Sequence[Record]) -> tuple[str, ...]:
    """Scores that every record has beyond `DEFINITIONS`, as a network's predictions."""
    first = records[0].scores if records else {}
    return tuple(
        name for name in first
        if name not in DEFINITIONS and all(name in record.scores for record in records)
    )  # fmt: skip


def meant(name: str) -> int:
    """1 if high values of a score should mean quality, −1 if low ones, 0 if neither is said."""
    return 0 if name in UNDIRECTED else -1 if name in LOW_IS_GOOD else 1


def sign(name: str) -> int:
    """`meant`, but 0 for spectral scores: weak networks smear, so what should be good is not."""
    return 0 if name in SPECTRAL else meant(name)


def check_truth(record: Record, sources: Sequence[str], target: str) -> None:
    """Refuses a record that nothing can be learnt from.

    Raises:
        DatasetError: no truth of that name, or other stems.
    """
    if tuple(record.sources) != tuple(sources):
        raise DatasetError(
            f"the record of {record.track} by {record.teacher} has the stems "
            f"{', '.join(record.sources)}, another has {', '.join(sources)}: give records of the "
            "same stems"
        )
    missing = [name for name in (target, "level") if name not in record.truth]
    if missing:
        raise DatasetError(
            f"the record of {record.track} by {record.teacher} lacks the truth "
            f"{', '.join(missing)}: collect it anew from labelled songs (for sdr, with --sdr)"
        )


NAMES = ("track", "teacher", "family")


def rows_plain(rows: Rows) -> dict[str, Any]:
    """Names as a list and indices into it, numbers with four decimals, null for NaN."""
    content: dict[str, Any] = {"stem": rows.stem.tolist()}
    for name in NAMES:
        values, index = np.unique(getattr(rows, name), return_inverse=True)
        content[name] = {"names": values.tolist(), "index": index.tolist()}
    for name in ("values", "target", "level"):
        content[name] = plain(getattr(rows, name))
    return content


def rows_from(content: Mapping[str, Any]) -> Rows:
    """The table that `rows_plain` wrote.

    Raises:
        ValueError: columns of different lengths.
    """
    stem = np.array(content["stem"], dtype=np.int64)
    named = {name: np.array(content[name]["names"])[content[name]["index"]] for name in NAMES}
    numbers = {name: from_plain(content[name]) for name in ("values", "target", "level")}
    if any(len(column) != len(stem) for column in (*named.values(), *numbers.values())):
        raise ValueError("its columns have different lengths")
    return Rows(
        values=numbers["values"],
        stem=stem,
        track=named["track"],
        teacher=named["teacher"],
        family=named["family"],
        target=numbers["target"],
        level=numbers["level"],
    )
