"""The checklist of a run as text for a terminal."""

import textwrap
from collections.abc import Sequence
from typing import Any

from demucs.console import WIDTH, duration, number, table
from demucs.evaluation.results.published_rows import published
from demucs.report.expect.checklist import Item, checklist, expectation
from demucs.report.run_files import Run


def expectation_text(run: Run) -> str:
    """What a run is, its first epochs and its SDR beside public ones, and the checklist."""
    facts, items = expectation(run), checklist(run)
    applying = [item for item in items if item.applies]
    parts = [
        _head(facts),
        _first_epochs(facts),
        _reached(facts),
        _list(f"{len(applying)} of {len(items)} causes of a low number apply; their figures do "
              "not simply add up:", applying),
        _unknown([item for item in items if item.applies is None]),
        _wrapped("Do not apply: " + "; ".join(
            f"{item.cause.name} ({item.reason})" for item in items if item.applies is False)),
        *(_wrapped(f"note: {problem}") for problem in facts["problems"]),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _head(facts: dict[str, Any]) -> str:
    done = f"{facts['epoch']} of {facts['epochs'] if facts['epochs'] is not None else '?'} epochs"
    parts = [str(facts["model"] or "model not known"), done]
    if facts["valid_nsdr"] is not None:
        parts.append(f"valid nSDR {facts['valid_nsdr']:.2f} dB")
    lines = [f"{facts['name']}: {', '.join(parts)}"]
    cost = facts["seconds_per_epoch"]
    if cost:
        text = (
            f"An epoch costs {duration(cost['train'])} of training and {duration(cost['valid'])} "
            "of validation (mean of the latest five)"
        )
        if facts["seconds_left"]:
            text += f": {duration(facts['seconds_left'])} for those left"
        lines.append(_wrapped(f"{text}."))
    return "\n".join(lines)


def _first_epochs(facts: dict[str, Any]) -> str:
    rows = facts["first_epochs"]["rows"]
    if all(row["nsdr"] is None for row in rows):
        return ""
    cells = [
        [str(row["epoch"]), number(row["nsdr"]), number(row["public"]),
         "–" if row["difference"] is None else f"{row['difference']:+.2f}"]
        for row in rows
    ]  # fmt: skip
    text = table(["epoch", "this run", "public run", "difference"], cells, numbers=True)
    source, songs = facts["first_epochs"]["source"], published()["test_set"].partition(",")[0]
    note = (
        f"Validation nSDR in dB; the public run is that of {source}. To be compared with trainings "
        f"on {songs} only."
    )
    return f"{text}\n{_wrapped(note)}"


def _reached(facts: dict[str, Any]) -> str:
    rows = [row for row in facts["published"] if row["facts"].startswith("single")]
    beside = "; ".join(f"{_value(row)} {row['model']} ({row['source']})" for row in rows)
    if facts["sdr_med"] is None:
        own = "No SDR of an evaluation is here yet."
    elif facts["comparable"]:
        own = f"SDR (median over songs): {facts['sdr_med']:.2f} dB."
    else:
        own = (
            f"SDR (median over songs): {facts['sdr_med']:.2f} dB, of other songs or stems than "
            f"{published()['test_set']}: not comparable."
        )
    return _wrapped(f"{own} Single models on {published()['test_set']}: {beside}.")


def _value(row: dict[str, Any]) -> str:
    return f"≈{row['all']:.1f}" if row["estimate"] else number(row["all"])


def _list(head: str, items: Sequence[Item]) -> str:
    lines = [_wrapped(head)]
    for item in items:
        lines.append(f"  * {item.cause.name}: {item.cause.cost}")
        lines += _indented(f"{item.reason}; key: {item.cause.key}; source: {item.cause.source}")
    return "\n".join(lines) if items else "No cause of a low number applies."


def _unknown(items: Sequence[Item]) -> str:
    if not items:
        return ""
    lines = ["Not known, because its files do not have:"]
    for item in items:
        lines.append(f"  ? {item.cause.name}: {item.cause.cost}")
        lines += _indented(f"{item.reason}; key: {item.cause.key}")
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, WIDTH, subsequent_indent="  "))
