"""Reads a training run from a history, a folder or logs, in one shape.

That is a `history.json` of Dora, an experiment's folder, or a log: of this project's training or of
the public Demucs, as SLURM kept it, with colours, progress and the lines of all processes.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _logs import LogReader

from demucs.experiment.record import RunRecord
from demucs.experiment.run import HISTORY, LOGS, finite_number, parse_history, read_config, setting

STAGES = ("train", "valid", "test", "seconds")
REMEDY = "give a history.json, an experiment's folder, or a training log (.out, .log)"


@dataclass
class Run:
    """A training.

    Attributes:
        name: signature of the experiment where it is known, or the file's name.
        path: the file or folder it was read from.
        epochs: one entry an epoch, from the first: `train`, `valid` (with `main` and `ema_*` where
            they are known), `test`, `seconds`, each values by name; empty where a log lacks it.
        notes: what is missing or unusual, printed with the figure.
        facts: what else is known of: `signature`, `model`, `device`, `processes`, `threads`,
            `batch_size` (global), `channels`, `segment` (seconds), `planned` (epochs), `batches`
            (an epoch), `rates` (iterations per second by epoch, from the progress lines of a log),
            `chosen_only` (a log with only the chosen state of each epoch).
    """

    name: str
    path: Path
    epochs: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def series(self, *names: str) -> tuple[list[int], list[float]]:
        """Epochs, from 1, and finite values of e.g. `"valid", "main", "nsdr"`."""
        values = [(n, finite_number(epoch, *names)) for n, epoch in enumerate(self.epochs, 1)]
        finite = [(n, value) for n, value in values if value is not None]
        return [n for n, _ in finite], [value for _, value in finite]


def read_run(path: Path) -> Run:
    """Reads one run.

    Raises:
        ValueError: nothing can be read from `path`; says why, and what to give.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    text = read_text(path, REMEDY)
    if path.suffix == ".json" or re.match(r"\s*\[\s*[]{]", text):
        return _read_history(path, text)
    return _from_logs(path, [text])


def join_logs(paths: Sequence[Path]) -> Run:
    """One run whose log is in several files, as a requeued job leaves them.

    Raises:
        ValueError: a file cannot be read, is not a log, or is of another experiment.
    """
    parts = []
    for path in paths:
        text = read_text(path, REMEDY)
        if path.suffix == ".json":
            raise ValueError(f"{path} is a history, which holds all of a run: give it alone")
        parts.append((LogReader.first_time(text), text))
    names = {name for _, text in parts if (name := LogReader.read([text]).facts.get("signature"))}
    if len(names) > 1:
        raise ValueError(
            f"these logs are of different experiments, {', '.join(sorted(names))}: "
            "draw them with --together"
        )
    if all(time for time, _ in parts):
        parts.sort(key=lambda part: part[0])
    return _from_logs(Path(paths[0]), [text for _, text in parts])


def read_text(path: Path, remedy: str) -> str:
    """A text file, whatever its encoding.

    Raises:
        ValueError: it is not there, empty, or no text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): {remedy}") from None
    if b"\0" in raw[:65536]:
        raise ValueError(f"{path} is not a text: {remedy}")
    if not raw.strip():
        raise ValueError(f"{path} is empty: {remedy}")
    return raw.decode("utf-8", errors="replace")


def _read_folder(path: Path) -> Run:
    """From the history; from a log where there is none with an epoch in it."""
    problems = []
    for name in (HISTORY, *LOGS):
        if (path / name).is_file():
            try:
                return read_run(path / name)
            except ValueError as error:
                problems.append(str(error))
    raise ValueError(
        "; ".join(problems) or f"{path} has no history.json and no train.log: {REMEDY}"
    )


def _read_history(path: Path, text: str) -> Run:
    try:
        history = parse_history(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} cannot be read as a Dora history ({error}): {REMEDY}") from None
    except ValueError:
        raise ValueError(
            f"{path} is not a Dora history, which is a list with one entry an epoch: {REMEDY}"
        ) from None
    if not history:
        raise ValueError(f"{path} has no epoch yet: nothing to draw; wait for the first to end")
    run = Run(path.absolute().parent.name, path, [_clean(epoch, top=True) for epoch in history])
    run.facts = _facts_beside(path.parent)
    run.notes += _gaps(run)
    return run


def _from_logs(path: Path, texts: list[str]) -> Run:
    log = LogReader.read(texts)
    if not log.epochs:
        why = "no epoch has ended in it" if log.facts else "it has no line of a training"
        raise ValueError(f"{path}: {why}: nothing to draw; {REMEDY}")
    name = log.facts.get("signature") or path.stem
    run = Run(name, path, log.list_epochs(), log.notes, log.facts)
    run.notes += _gaps(run)
    return run


def _clean(entry: dict[str, Any], *, top: bool = False) -> dict[str, Any]:
    """The metrics of an entry; at the top, a stage is not a number."""
    metrics: dict[str, Any] = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            metrics[key] = _clean(value)
        elif key in STAGES and top:
            continue
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            metrics[key] = value
    return metrics


def _gaps(run: Run) -> list[str]:
    """Notes on what the figure lacks."""
    notes = []
    broken: dict[str, list[int]] = {}
    for number, epoch in enumerate(run.epochs, 1):
        for key, value in _numbers(epoch):
            if not math.isfinite(value):
                broken.setdefault(key, []).append(number)
    if broken:
        epochs = sorted({number for numbers in broken.values() for number in numbers})
        listed = ", ".join(list(broken)[:3]) + (" and others" if len(broken) > 3 else "")
        notes.append(f"not finite, so not drawn: {listed}, in {in_words(epochs)}")
    missing = [n for n, epoch in enumerate(run.epochs, 1) if not epoch.get("train")]
    if missing and len(missing) < len(run.epochs):
        notes.append(f"no training values of {in_words(missing)}")
    missing = [n for n, epoch in enumerate(run.epochs, 1) if not epoch.get("valid")]
    if missing:
        notes.append(f"no validation of {in_words(missing)}")
    return notes


def in_words(epochs: Sequence[int]) -> str:
    """`epoch 3`, `epochs 1-4, 9`."""
    spans: list[list[int]] = []
    for number in epochs:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in spans]
    shown = ", ".join(words[:6]) + (", …" if len(words) > 6 else "")
    return f"epoch{'s' if len(epochs) > 1 else ''} {shown}"


def _numbers(entry: dict[str, Any], place: str = "") -> Iterator[tuple[str, float]]:
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{place}{key}.")
        elif isinstance(value, int | float):
            yield f"{place}{key}", float(value)


def _facts_beside(folder: Path) -> dict[str, Any]:
    """From the log, the record of the run and the configuration that lie beside a history."""
    facts: dict[str, Any] = {}
    for name in LOGS:
        if (folder / name).is_file():
            try:
                facts |= LogReader.read([read_text(folder / name, "")]).facts
            except ValueError:
                continue
    facts.pop("chosen_only", None)  # the history has all
    facts |= _configured(read_config(folder))
    record = RunRecord.read(folder)
    if record is not None:
        facts |= {"processes": record.processes, "planned": record.epochs}
    return facts


def _configured(text: str) -> dict[str, Any]:
    """The few values that figures use."""
    facts: dict[str, Any] = {}
    model = setting(text, "model")
    texts = {
        "batch_size": setting(text, "batch_size"),
        "planned": setting(text, "epochs"),
        "channels": setting(text, f"{model}.channels") if model else None,
    }
    facts |= {name: int(value) for name, value in texts.items() if value and value.isdigit()}
    segment = setting(text, "dset.segment")
    if segment and re.fullmatch(r"[\d.]+", segment):
        facts["segment"] = float(segment)
    return facts | ({"model": model} if model else {})
