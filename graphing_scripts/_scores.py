"""Reads the scores of an evaluation from JSON, logs or a history, in one shape.

That is the JSON of tools.test_pretrained (and of the training's test stage), the dictionary that
the public Demucs' tools.test_pretrained printed into a log, or the test stages of a training.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _logs import ANSI
from _runs import Run, in_words, read_text

SCHEMAS = ("demucs-evaluation-1", "demucs-evaluation-2")
METRICS = ("nsdr", "sdr", "isr", "sir", "sar", "si_sdr", "l1_freq", "bleedless", "fullness",
           "log_wmse")  # fmt: skip
REMEDY = "give results (JSON) of tools.test_pretrained, or a log with its printed dictionary"

_KEY = re.compile(rf"({'|'.join(METRICS)})(_med)?(?:_(\w+))?")
_PAIR = re.compile(
    r"['\"](\w+)['\"]\s*:\s*(?:(?:np|numpy)\.float\d+\(|tensor\()?\s*"
    r"([-+]?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf))(?=[\s,)}])",
    re.I,
)
_EPOCHS = (re.compile(r"(\d+)_epoch"), re.compile(r"epoch[_-]?(\d+)"))
_SIGNATURE = re.compile(r"(?<![0-9a-z])(?=\d*[a-f]|[a-f]*\d)[0-9a-f]{8}(?![0-9a-z])")


@dataclass
class Scores:
    """An evaluation.

    Attributes:
        name: of the model.
        path: the file it was read from.
        epoch: how many epochs the model was trained for, where that is known.
        sources: the stems, in order.
        tracks: by track, metric and stem; None where there is no value. Empty where only the
            aggregates are known.
        aggregates: by key and stem, or `mean` over stems: `sdr` is the mean over tracks, `sdr_med`
            the median.
        notes: what is missing, printed with the figure.
        data: which songs, as the results say; empty where they do not.
        members: networks whose stems are averaged; 1 where the results say nothing of a bag.
    """

    name: str
    path: Path
    epoch: int | None = None
    sources: list[str] = field(default_factory=list)
    tracks: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    aggregates: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    members: int = 1

    def values(self, metric: str, stem: str) -> dict[str, float]:
        """The values by track, without tracks that have none."""
        values = {name: track.get(metric, {}).get(stem) for name, track in self.tracks.items()}
        return {name: value for name, value in values.items() if value is not None}

    def metrics(self) -> list[str]:
        """Those that some track or aggregate has, in the usual order."""
        measured = {key.removesuffix("_med") for key in self.aggregates}
        measured |= {metric for track in self.tracks.values() for metric in track}
        return [metric for metric in METRICS if metric in measured]


def read_scores(path: Path) -> Scores:
    """Reads one evaluation.

    Raises:
        ValueError: nothing can be read from `path`; says why, and what to give.
    """
    path = Path(path)
    text = read_text(path, REMEDY)
    if path.suffix == ".json":
        return _read_results(path, text)
    return _read_printed(path, text)


def scores_of_run(run: Run) -> list[Scores]:
    """The test stages of a training, in the order of epochs; maybe none."""
    checkpoints = []
    for number, epoch in enumerate(run.epochs, 1):
        if epoch.get("test"):
            scores = Scores(run.name, run.path, number)
            _take_flat(scores, epoch["test"].items())
            if scores.aggregates:
                checkpoints.append(scores)
    return checkpoints


def epoch_in(name: str) -> int | None:
    """The 282 of a file name such as `hdemucs_test3_53288a8c_after_282_epoches.out`."""
    for pattern in _EPOCHS:
        if match := pattern.search(name):
            return int(match[1])
    return None


def _read_results(path: Path, text: str) -> Scores:
    try:
        content = json.loads(text)
        if content["schema"] not in SCHEMAS:
            raise ValueError(f"its schema is {content['schema']!r}, not {SCHEMAS[-1]!r}")
        model = content["model"]
        scores = Scores(str(model["name"]), path, _epoch_of(model, path))
        scores.sources = [str(stem) for stem in content["sources"]]
        scores.members = int(model.get("members") or 1)
        scores.data = {**_data_of(content), "tracks": len(content["tracks"])}
        for name, track in content["tracks"].items():
            if track.get("failed") is None:
                scores.tracks[name] = _plain_track(track["values"])
        for key, column in content["aggregates"].items():
            values = {**column["stems"], "mean": column["mean"]}
            scores.aggregates[key] = {
                stem: float(value) for stem, value in values.items() if _is_finite(value)
            }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not the results of an evaluation ({error!r}): {REMEDY}"
        ) from None
    failed = content.get("failed") or {}
    if failed:
        listed = ", ".join(sorted(failed)[:3]) + (", …" if len(failed) > 3 else "")
        scores.notes.append(f"{len(failed)} tracks could not be measured: {listed}")
    if content.get("complete") is False:
        scores.notes.append("the evaluation is not complete: tracks are missing")
    if not scores.tracks:
        scores.notes.append("no track was measured")
    return scores


def _epoch_of(model: Mapping[str, Any], path: Path) -> int | None:
    """The epoch of a release SIG_N (`tools.export SIG --epoch N`), or that in the file's name."""
    name, signature = str(model["name"]), str(model.get("signature") or "")
    words = name.removeprefix(f"{signature}_")
    if signature and words != name and words.isdigit():
        return int(words)
    return epoch_in(path.stem)


def _data_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Name and split of the data set, in the newer and the older format."""
    settings = content.get("settings") or {}
    older = {"name": settings.get("data_set"), "split": settings.get("data_split"),
             "tracks_in_split": settings.get("tracks_in_split")}  # fmt: skip
    data = older | (content.get("data") or {})
    return {key: value for key, value in data.items() if value is not None}


def _plain_track(values: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    return {
        metric: {
            stem: float(value) if _is_finite(value) else None for stem, value in row.items()
        }
        for metric, row in values.items()
    }  # fmt: skip


def _read_printed(path: Path, text: str) -> Scores:
    """The last dictionary with metrics in a log."""
    dictionaries = []
    blocks = ANSI.sub("", text).split("{")[1:]
    for block in blocks:
        inside, closed, _ = block.partition("}")
        pairs = [(key, value) for key, value in _PAIR.findall(inside + closed) if _KEY.match(key)]
        if pairs:
            dictionaries.append((pairs, bool(closed)))
    if not dictionaries:
        raise ValueError(f"{path} has no dictionary of metrics in it: {REMEDY}")
    pairs, closed = dictionaries[-1]
    signature = _SIGNATURE.search(path.stem)
    name = signature[0] if signature else re.split(r"_(?:after_)?\d+_epoch", path.stem)[0]
    scores = Scores(name, path, epoch_in(path.stem))
    _take_flat(scores, ((key, float(value)) for key, value in pairs))
    if not closed:
        scores.notes.append("the printed dictionary is cut short: metrics may be missing")
    if len(dictionaries) > 1:
        scores.notes.append(f"{len(dictionaries)} dictionaries are in the log: the last is drawn")
    return scores


def _take_flat(scores: Scores, values: Iterable[tuple[str, Any]]) -> None:
    """Adds aggregates by flat keys: `nsdr`, `sdr_drums`, `sdr_med_drums`, …"""
    bad = []
    for key, value in values:
        parts = _KEY.fullmatch(key)
        if parts is None or not isinstance(value, int | float):
            continue
        metric, median, stem = parts.groups()
        if stem and stem not in scores.sources:
            scores.sources.append(stem)
        if math.isfinite(value):
            column = scores.aggregates.setdefault(metric + (median or ""), {})
            column[stem or "mean"] = float(value)
        else:
            bad.append(key)
    if bad:
        listed = ", ".join(bad[:3]) + (" and others" if len(bad) > 3 else "")
        where = f" in {in_words([scores.epoch])}" if scores.epoch else ""
        scores.notes.append(f"not finite, so not drawn: {listed}{where}")
    usual = ["drums", "bass", "other", "vocals"]
    scores.sources.sort(key=lambda stem: usual.index(stem) if stem in usual else len(usual))


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
