"""The evidence of a run: its configuration by key, its epochs, its evaluation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import yaml

from demucs.evaluation.results.published_rows import published
from demucs.experiment.record import RECENT
from demucs.experiment.run import finite_number
from demucs.report.published_table import is_musdb_test
from demucs.report.run_files import Run

# Of the keys that the checklist reads, in case a run has left its overrides only. They are those of
# conf/config.yaml, which never change.
DEFAULTS: Mapping[str, Any] = {
    "model": "demucs",
    "batch_size": 64,
    "continue_from": None,
    "continue_pretrained": None,
    "dset.segment": 11,
    "augment.remix.proba": 1,
    "augment.remix.group_size": 4,
    "augment.repitch.proba": 0.2,
    "svd.penalty": 0,
    "ema.epoch": [],
    "ema.batch": [],
    "test.metric": "loss",
    "test.best": True,
    "test.shifts": 1,
    "test.overlap": 0.25,
    "semi.refresh": False,
}
GROUPS = ("variant=", "dset=", "semi=")  # overrides that set other keys, too
OURS = "precision"  # a key that the public solver lacks


class UnknownError(Exception):
    """The files of a run do not say what a rule asks; the message says what is missing."""


@dataclass(frozen=True)
class Evidence:
    """A run, as rules ask for it.

    Args:
        run: as `demucs.report.run_files.find_run` reads it.
    """

    run: Run

    def __getitem__(self, key: str) -> Any:
        """The value of a key such as `augment.remix.proba`.

        Raises:
            UnknownError: there is neither a configuration nor an override that says it.
        """
        content: Any = self.run.config
        for part in key.split("."):
            if not isinstance(content, Mapping) or part not in content:
                break
            content = content[part]
        else:
            return content
        if key in self._typed:
            return self._typed[key]
        sets_others = any(word.startswith(GROUPS) for word in self.run.overrides)
        if not (self.run.config or self.run.overrides) or (not self.run.config and sets_others):
            raise UnknownError(f"no configuration that says {key}")
        return DEFAULTS[key]

    def number(self, key: str) -> float:
        """The value of a key that is a number.

        Raises:
            UnknownError: it is not known, or it is not a number.
        """
        value = _number(self[key])
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnknownError(f"{key}={value} is not a number")
        return float(value)

    @cached_property
    def _typed(self) -> dict[str, Any]:
        pairs = [word.partition("=") for word in self.run.overrides]
        return {key.lstrip("+"): _loaded(value) for key, sign, value in pairs if sign}

    @property
    def is_ours(self) -> bool | None:
        """Whether this project's solver trained it, or the public one; None if neither is sure."""
        if self.run.record is not None or OURS in self.run.config:
            return True
        return False if self.run.config else None

    @property
    def processes(self) -> int | None:
        """How many trained it, by its record or the logs that Dora's workers left."""
        if self.run.record is not None:
            return self.run.record.processes
        kept = self.run.kept.get("processes")
        if isinstance(kept, int):
            return kept
        workers = list(self.run.folder.glob("worker_*.log")) if self.run.folder else []
        return len(workers) + 1 if workers else None

    @property
    def best(self) -> tuple[int, Mapping[str, Any]] | None:
        """The epoch, from 1, of the best state so far, and its validation."""
        stages = [epoch.get("valid") for epoch in self.run.history]
        values = [finite_number(stage, "best") for stage in stages]
        if not values or values[-1] is None:
            return None
        number = values.index(values[-1]) + 1
        stage = stages[number - 1]
        return (number, stage) if isinstance(stage, Mapping) else None

    def penalties(self) -> list[float]:
        """Of each epoch that has one, exact where it is known; infinite where it is not finite."""
        values = []
        for epoch in self.run.history:
            for stage in ("valid", "train"):
                metrics = epoch.get(stage)
                value = metrics.get("penalty") if isinstance(metrics, Mapping) else None
                if isinstance(value, int | float):
                    values.append(float(value) if math.isfinite(value) else math.inf)
                    break
        return values

    @property
    def sdr(self) -> float | None:
        """SDR as papers have it (`sdr_med`), mean over the stems, in dB."""
        results = self.run.results
        column = results.aggregates().get("sdr_med") if results else None
        return column["mean"] if column else None

    @property
    def is_comparable(self) -> bool:
        """Whether its evaluation is of the songs and stems of the published rows."""
        results = self.run.results
        return (
            results is not None
            and is_musdb_test(self.run)
            and set(results.sources) == set(published()["sources"])
        )

    def seconds(self) -> tuple[float, float] | None:
        """Of an epoch's training and validation: means of the latest five that have both."""
        trained, validated = [], []
        for epoch in self.run.history[-RECENT:]:
            train = finite_number(epoch, "seconds", "train")
            valid = finite_number(epoch, "seconds", "valid")
            if train is not None and valid is not None:
                trained.append(train)
                validated.append(valid)
        return (fmean(trained), fmean(validated)) if trained else None


def _loaded(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _number(value: Any) -> Any:
    """YAML 1.1 takes 1e-05 for text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
