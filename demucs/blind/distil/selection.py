"""Selection of excerpts for training: by quality, by chance, or by the truth."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from demucs.blind.distil.entry import Scored
from demucs.blind.quality import QUIET, Array
from demucs.errors import ConfigError

WAYS = {
    "score": "the best by what the judge says",
    "random": "any, by the seed; for experiments",
    "all": "everything",
    "oracle": "the best by true nSDR, where the folder has true stems; for experiments only",
}
ACTIVE = 0.5  # probability from which a stem counts as playing
_UNITS = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}


@dataclass(frozen=True)
class Budget:
    """How much is kept at most.

    Attributes:
        amount: seconds, a share (0 to 1) of all seconds, or songs.
        kind: "seconds", "share" or "songs".
    """

    amount: float
    kind: str

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """`10h`, `90m`, `30s`, `50%` or `200` songs.

        Raises:
            ConfigError: none of these, or nothing.
        """
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(h|m|min|s|%|)\s*", text.lower())
        amount = float(match[1]) if match else 0.0
        unit = match[2] if match else ""
        whole = unit or amount == int(amount)
        if not match or amount <= 0 or not whole or (unit == "%" and amount > 100):
            raise ConfigError(f"a budget of {text!r}: give 10h, 90m, 50% or a number of songs")
        if unit == "%":
            return cls(amount / 100, "share")
        return cls(amount * _UNITS[unit], "seconds") if unit else cls(amount, "songs")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How to select.

    Attributes:
        by: of `WAYS`.
        threshold: smallest value in dB; None is no limit.
        budget: taken best first.
        over: "min", the worst of the stems that play, or their "mean".
        use: "sdr", what is predicted, or "low", the lower end of its interval.
        seed: of "random".

    Raises:
        ConfigError: a combination that cannot be.
    """

    by: str = "score"
    threshold: float | None = None
    budget: Budget | None = None
    over: str = "min"
    use: str = "sdr"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("--select", self.by, tuple(WAYS)),
            ("--over", self.over, ("min", "mean")),
            ("--use", self.use, ("sdr", "low")),
        ):
            if value not in known:
                raise ConfigError(f"{name} {value}: give one of {', '.join(known)}")
        ranked = self.by in ("score", "oracle")
        if ranked and self.threshold is None and self.budget is None:
            raise ConfigError(f"--select {self.by} needs --threshold DB or --budget 10h|50%|200")
        if not ranked and self.threshold is not None:
            raise ConfigError(f"--threshold has no meaning with --select {self.by}: leave it out")
        if self.by == "random" and self.budget is None:
            raise ConfigError("--select random needs --budget 10h|50%|200")
        if self.by == "all" and self.budget is not None:
            raise ConfigError("--budget has no meaning with --select all: leave it out")
        if self.threshold is not None and not np.isfinite(self.threshold):
            raise ConfigError(f"--threshold {self.threshold}: give a number of dB")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, for the manifest."""
        budget = self.budget and {"amount": self.budget.amount, "kind": self.budget.kind}
        rest = {name: getattr(self, name) for name in ("by", "threshold", "over", "use", "seed")}
        return {**rest, "budget": budget}


@dataclass(frozen=True)
class Candidate:
    """A song that could be written."""

    name: str
    seconds: float
    value: float | None


@dataclass(frozen=True)
class Selection:
    """What is kept.

    Attributes:
        kept: names of songs, the best first.
        threshold: the value from which songs are kept: the rule's own, or where a budget ended;
            None where values did not count.
    """

    kept: tuple[str, ...]
    threshold: float | None


def value_of(scored: Scored, rule: Rule) -> float | None:
    """The quality that decides, dB; None where it is not known, or no stem plays."""
    if rule.by == "oracle":
        truth = scored.truth
        if not truth:
            return None
        values, plays = _array(truth, "nsdr"), _array(truth, "level") > QUIET
    elif scored.quality is None:
        return None
    else:
        values = scored.quality.sdr if rule.use == "sdr" else scored.quality.low
        plays = np.nan_to_num(scored.quality.active) >= ACTIVE
    playing = values[plays]
    if not len(playing) or not np.isfinite(playing).all():
        return None
    return float(playing.min() if rule.over == "min" else playing.mean())


def select(candidates: Sequence[Candidate], rule: Rule) -> Selection:
    """Selects; the order of `candidates` makes no difference."""
    songs = sorted(candidates, key=lambda song: song.name)
    if rule.by == "random":
        random.Random(rule.seed).shuffle(songs)
    elif rule.by != "all":
        known = [(song.value, song) for song in songs if song.value is not None]
        known.sort(key=lambda pair: -pair[0])
        songs = [song for value, song in known if rule.threshold is None or value >= rule.threshold]
    songs = _fitting(songs, sum(song.seconds for song in candidates), rule.budget)
    values = [song.value for song in songs if song.value is not None]
    threshold = rule.threshold
    if rule.by in ("score", "oracle") and rule.budget is not None and values:
        threshold = max(min(values), -np.inf if threshold is None else threshold)
    return Selection(tuple(song.name for song in songs), threshold)


def _fitting(songs: Sequence[Candidate], total: float, budget: Budget | None) -> list[Candidate]:
    """The first songs within the budget; one that does not fit is passed over."""
    if budget is None:
        return list(songs)
    if budget.kind == "songs":
        return list(songs[: int(budget.amount)])
    left = budget.amount * (total if budget.kind == "share" else 1.0) + 1e-6
    kept = []
    for song in songs:
        if song.seconds <= left:
            left -= song.seconds
            kept.append(song)
    return kept


def _array(truth: Mapping[str, Sequence[float | None]], name: str) -> Array:
    return np.array([np.nan if value is None else value for value in truth[name]], dtype=np.float64)
