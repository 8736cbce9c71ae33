"""The tables of the study: test songs with scores, and with predictions that never saw them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from demucs.blind.calibration.calibration import Calibration
from demucs.blind.calibration.rows import rows_of
from demucs.blind.quality import Array, Quality
from demucs.blind.records import Record

Columns = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """R rows, each a stem of a song or of a window.

    Attributes:
        stem: index, `[R]`; `teacher`, `family`: names, `[R]`.
        song: KIND/TRACK, `[R]`, since two kinds may have songs of the same name.
        truth: true quality in dB, `[R]`.
        plays: whether the true stem plays, `[R]`.
        columns: scores and predictions by name, `[R]` each.
        low, high: interval of each prediction by its name, `[R]` each; of songs alone.
        active: probability of playing by each calibration's name, `[R]` each.
    """

    stem: Array
    song: Array
    teacher: Array
    family: Array
    truth: Array
    plays: Array
    columns: Columns
    low: Columns
    high: Columns
    active: Columns

    def __len__(self) -> int:
        return len(self.stem)

    def where(self, chosen: Array) -> "Sheet":
        """The rows of a mask."""

        def cut(columns: Array | Columns) -> Array | Columns:
            if isinstance(columns, Mapping):
                return {name: values[chosen] for name, values in columns.items()}
            return columns[chosen]

        parts: dict[str, Array | Columns] = {
            column.name: cut(getattr(self, column.name)) for column in fields(self)
        }
        return Sheet(**parts)  # type: ignore[arg-type]


def sheet_of(
    records: Sequence[Record],
    names: Sequence[str],
    target: str,
    qualities: Mapping[str, Sequence[Quality]],
    *,
    windows: bool,
) -> Sheet:
    """The table of test records.

    Args:
        records: with truth.
        names: scores for columns.
        target: the truth.
        qualities: of each record, by the name of what predicted them.
        windows: rows of windows.
    """
    rows = rows_of(records, records[0].sources, names, target, windows=windows)

    def joined(name: str, attribute: str) -> Array:
        return np.concatenate([getattr(quality, attribute).ravel() for quality in qualities[name]])

    sizes = [(record.truth[target].windows if windows else record.truth[target].track).size
             for record in records]  # fmt: skip
    columns = {name: rows.values[:, n] for n, name in enumerate(names)}
    guess, active = ("windows", "active_windows") if windows else ("sdr", "active")
    columns.update({name: joined(name, guess) for name in qualities})
    ends = {} if windows else qualities
    return Sheet(
        stem=rows.stem,
        song=np.repeat([f"{record.kind}/{record.track}" for record in records], sizes),
        teacher=rows.teacher,
        family=rows.family,
        truth=np.where(rows.known, rows.target, np.nan),
        plays=rows.plays,
        columns=columns,
        low={name: joined(name, "low") for name in ends},
        high={name: joined(name, "high") for name in ends},
        active={name: joined(name, active) for name in qualities},
    )


def without(sheet: Sheet, names: Iterable[str], families: Iterable[str]) -> Sheet:
    """The same without the values of the columns `names` in the rows of `families`."""
    out, names = np.isin(sheet.family, sorted(families)), set(names)

    def cut(columns: Columns) -> Columns:
        return {
            name: np.where(out, np.nan, values) if name in names else values
            for name, values in columns.items()
        }

    return replace(
        sheet,
        columns=cut(sheet.columns),
        low=cut(sheet.low),
        high=cut(sheet.high),
        active=cut(sheet.active),
    )


def predictors(
    calibration: Sequence[Record],
    fit: Callable[[Sequence[Record]], Calibration],
    families: Iterable[str],
    *,
    apart: bool,
) -> dict[str, Calibration]:
    """A calibration for the teachers of each family: one for all, or each without its family."""
    if not apart:
        fitted = fit(calibration)
        return dict.fromkeys(families, fitted)
    return {
        family: fit(rest)
        for family in families
        if (rest := [record for record in calibration if record.family != family])
    }


def predicted(records: Sequence[Record], by_family: Mapping[str, Calibration]) -> list[Quality]:
    """The prediction for each record by the calibration of its family."""
    return [
        by_family[record.family].predict(record.scores, record.sources, record.window)
        for record in records
    ]
