"""Calibration: from the scores of a song's stems to their quality in dB, with an interval.

A calibration file is JSON. It keeps the table of scores and truths that it was fitted on and the
settings, no weights and no pickle; `Calibration.load` fits again, which gives the same model. It
names the version of scikit-learn, and another one warns, since the last digits may differ then.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from demucs.blind.calibration.conformal import Intervals, intervals
from demucs.blind.calibration.regressors import Activity, Regressor
from demucs.blind.calibration.rows import (
    Rows,
    common_names,
    matrix,
    rows_from,
    rows_of,
    rows_plain,
)
from demucs.blind.quality import Array, Quality
from demucs.blind.records import Measures, Record
from demucs.errors import ConfigError, DatasetError
from demucs.files import atomic_path

logger = logging.getLogger(__name__)

FORMAT = "demucs-calibration-1"
MOST_WINDOWS = 8000  # rows that a calibration learns windows from


REGRESSOR = "signed_ridge"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """See `demucs.blind.calibration.calibration.Calibration.fit`."""

    sources: tuple[str, ...]
    names: tuple[str, ...]  # scores
    window: float  # seconds
    target: str
    coverage: float
    seed: int
    regressor: str
    apart: str


def check(settings: Settings, records: Sequence[Record]) -> None:
    """Refuses settings that cannot work.

    Raises:
        ConfigError: with the value and what is allowed.
        DatasetError: records whose windows differ in length.
    """
    if not 0 < settings.coverage < 1:
        raise ConfigError(f"coverage {settings.coverage:g}: give a share between 0 and 1, as 0.9")
    if settings.apart not in ("track", "family"):
        raise ConfigError(f"apart {settings.apart!r}: track or family")
    if not settings.names:
        raise ConfigError("there is no score that every record has: collect the records anew")
    other = [record for record in records if record.window != settings.window]
    if other:
        raise DatasetError(
            f"the record of {other[0].track} has windows of {other[0].window:g} s, another of "
            f"{settings.window:g} s: give records of one kind"
        )


@dataclass(frozen=True)
class Calibration:
    """Predicts a `Quality` from scores; made by `fit` or `load`."""

    settings: Settings
    rows: Rows  # of songs
    parts: Rows  # of windows
    whole: Regressor
    window: Regressor
    interval: Intervals
    activity: Activity

    @classmethod
    def fit(
        cls,
        records: Sequence[Record],
        *,
        target: str = "nsdr",
        coverage: float = 0.9,
        seed: int = 0,
        names: Sequence[str] | None = None,
        regressor: str = REGRESSOR,
        apart: str = "track",
    ) -> "Calibration":
        """Learns from labelled songs.

        Args:
            records: with truth, all of the same stems and windows.
            target: the truth to predict, `nsdr` or `sdr`.
            coverage: share of new songs whose truth the interval should hold, in (0, 1). Fewer
                than coverage/(1 − coverage) songs cannot vouch for it: the interval is infinite.
            seed: of the folds of songs behind the interval.
            names: scores to use; all of `score_track` that every record has, if None.
            regressor: see `demucs.blind.calibration.regressors.REGRESSORS`.
            apart: see `demucs.blind.calibration.conformal.intervals`.

        Raises:
            ConfigError: a coverage, regressor, score or `apart` that does not exist.
            DatasetError: no records, records without truth or of several kinds of stems, or a stem
                that never plays.
        """
        if not records:
            raise DatasetError("there are no records: collect some with tools.blind_scores")
        settings = Settings(
            sources=tuple(records[0].sources),
            names=tuple(common_names(records) if names is None else names),
            window=float(records[0].window),
            target=target,
            coverage=coverage,
            seed=seed,
            regressor=regressor,
            apart=apart,
        )
        check(settings, records)
        rows, parts = (
            rows_of(records, settings.sources, settings.names, target, windows=windows)
            for windows in (False, True)
        )
        return cls.of(settings, rows, thinned(parts, MOST_WINDOWS))

    @classmethod
    def of(cls, settings: Settings, rows: Rows, parts: Rows) -> "Calibration":
        """Fits on tables; the same tables always give the same calibration."""
        for number, name in enumerate(settings.sources):
            if not (rows.known & (rows.stem == number)).any():
                raise DatasetError(
                    f"{name} plays in no song with a true {settings.target}: give records of more "
                    "songs"
                )
        known, heard = rows.where(rows.known), parts.where(parts.known)
        both = [
            np.concatenate([getattr(rows, name), getattr(parts, name)])
            for name in ("values", "stem", "plays")
        ]
        songs = Regressor(settings.regressor, settings.names)
        seconds = Regressor(settings.regressor, settings.names)
        return cls(
            settings=settings,
            rows=rows,
            parts=parts,
            whole=songs.fit(known.values, known.stem, known.target),
            window=seconds.fit(heard.values, heard.stem, heard.target),
            interval=intervals(
                known,
                settings.regressor,
                settings.names,
                coverage=settings.coverage,
                seed=settings.seed,
                apart=settings.apart,
            ),
            activity=Activity(settings.names).fit(*both),
        )

    def predict(
        self, scores: Mapping[str, Measures], sources: Sequence[str], window: float
    ) -> Quality:
        """The quality of one song's stems, in the order of `sources`.

        Scores beyond those of the fit are left aside.

        Raises:
            ConfigError: a score of the fit is missing, a stem was not in the fit, or the windows
                have another length.
        """
        self._check(sources, window)
        stem = np.array([self.settings.sources.index(source) for source in sources])
        values = matrix(scores, self.settings.names)
        parts = matrix(scores, self.settings.names, windows=True)
        count = len(parts) // len(stem)
        which = np.repeat(stem, count)
        guess = self.whole.predict(values, stem)
        low, high = self.interval(values, stem)

        def seconds(values: Array) -> Array:
            return values.reshape(len(stem), count)

        return Quality(
            sources=tuple(sources),
            window=window,
            sdr=guess,
            low=np.fmin(low, guess),
            high=np.fmax(high, guess),
            active=self.activity.predict(values, stem),
            windows=seconds(self.window.predict(parts, which) if count else np.zeros(0)),
            active_windows=seconds(self.activity.predict(parts, which) if count else np.zeros(0)),
        )

    def _check(self, sources: Sequence[str], window: float) -> None:
        unknown = [source for source in sources if source not in self.settings.sources]
        if unknown:
            raise ConfigError(
                f"the calibration knows the stems {', '.join(self.settings.sources)}, not "
                f"{', '.join(unknown)}: fit one on records of these stems"
            )
        if window != self.settings.window:
            raise ConfigError(
                f"windows of {window:g} s, and the calibration knows windows of "
                f"{self.settings.window:g} s: score with these, or fit another calibration"
            )

    def save(self, path: str | Path) -> None:
        """Writes a JSON file, whole or not at all."""
        content = {
            "format": FORMAT,
            "scikit-learn": sklearn.__version__,
            "settings": asdict(self.settings),
            "songs": rows_plain(self.rows),
            "windows": rows_plain(self.parts),
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Calibration":
        """Reads a file of `save` and fits on its tables.

        Raises:
            DatasetError: it is no such file.
        """
        try:
            content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            settings = content["settings"]
            lists = {name: tuple(settings[name]) for name in ("sources", "names")}
            made = Settings(**{**settings, **lists})
            tables = [rows_from(content[name]) for name in ("songs", "windows")]
            version = content["scikit-learn"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path} is no calibration ({error}): fit one with studies.blind_study calibrate"
            ) from error
        if version != sklearn.__version__:
            logger.warning(
                "%s was fitted with scikit-learn %s, this is %s: its predictions may differ in "
                "their last digits", path, version, sklearn.__version__,
            )  # fmt: skip
        return cls.of(made, *tables)


def thinned(rows: Rows, most: int) -> Rows:
    """At most so many rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows.where(np.linspace(0, len(rows) - 1, most).round().astype(int))
