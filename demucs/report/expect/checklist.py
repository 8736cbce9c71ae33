"""The checklist of a run: each cause of a low number, whether it applies, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demucs.evaluation.results.published_rows import first_epochs, published, published_rows
from demucs.experiment.run import finite_number
from demucs.report.expect.causes import CAUSES, Cause
from demucs.report.expect.evidence import Evidence, UnknownError
from demucs.report.run_files import Run


@dataclass(frozen=True)
class Item:
    """A cause, whether it applies to a run (None: the files do not say), and why."""

    cause: Cause
    applies: bool | None
    reason: str


def checklist(run: Run) -> list[Item]:
    """All causes, in the order of the table."""
    evidence = Evidence(run)
    items = []
    for cause in CAUSES:
        try:
            applies, reason = cause.rule(evidence)
            items.append(Item(cause, applies, reason))
        except UnknownError as error:
            items.append(Item(cause, None, str(error)))
    return items


def beside_public(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The first epochs of a run and of a public one: `epoch`, `nsdr`, `public`, `difference`."""
    rows = []
    for number, public in enumerate(first_epochs(), 1):
        epoch = history[number - 1] if number <= len(history) else {}
        value, there = finite_number(epoch, "valid", "nsdr"), public["valid"]["nsdr"]
        difference = None if value is None else value - there
        rows.append({"epoch": number, "nsdr": value, "public": there, "difference": difference})
    return rows


def expectation(run: Run) -> dict[str, Any]:
    """All that is said of a run, as plain JSON."""
    evidence = Evidence(run)
    best, seconds, history = evidence.best, evidence.seconds(), run.history
    goal, done = _goal(evidence), len(history) or run.provenance.get("epochs") or 0
    return {
        "name": run.name,
        "folder": str(run.folder) if run.folder else None,
        "model": _known(evidence, "model"),
        "epoch": done,
        "epochs": goal,
        "valid_nsdr": finite_number(history[-1], "valid", "nsdr") if history else None,
        "best_epoch": best[0] if best else None,
        "seconds_per_epoch": {"train": seconds[0], "valid": seconds[1]} if seconds else None,
        "seconds_left": None if not seconds or goal is None
        else max(0, goal - done) * sum(seconds),
        "sdr_med": evidence.sdr,
        "comparable": evidence.is_comparable,
        "first_epochs": {
            "source": published()["first_epochs"]["source"], "rows": beside_public(history),
        },
        "published": [
            {"model": row.model, "facts": row.facts, "all": row.all, "source": row.source,
             "estimate": row.estimate}
            for row in published_rows() if row.network in ("hdemucs", "demucs")
        ],
        "checklist": [
            {"cause": item.cause.name, "decibels": item.cause.decibels,
             "estimate": item.cause.estimate, "key": item.cause.key,
             "source": item.cause.source, "applies": item.applies, "reason": item.reason}
            for item in checklist(run)
        ],
        "problems": [*run.notes, *(run.missing[part] for part in ("history", "config")
                                   if part in run.missing)],
    }  # fmt: skip


def _known(evidence: Evidence, key: str) -> Any:
    try:
        return evidence[key]
    except UnknownError:
        return None


def _goal(evidence: Evidence) -> int | None:
    """The number of epochs that it is to have."""
    if evidence.run.record is not None:
        return evidence.run.record.epochs
    value = evidence.run.config.get("epochs")
    return value if isinstance(value, int) else None
