"""Rows of published models, to stand beside one's own; the numbers are in `published.json`."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from demucs.console import WIDTH, number, table

FILE = Path(__file__).with_name("published.json")
SINGLE, BAG = "single", "bag"
UNKNOWN = "not stated"


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A published model on the test songs of MUSDB18-HQ.

    Attributes:
        model: its name.
        network: its family, as the key `model` names it where it can: `hdemucs`, `htdemucs`, ...
        kind: `single` (one network gives all stems), `bag` (several are averaged), `one a stem`;
            None where the source does not say.
        data: what it was trained on.
        fine_tuned: whether it was, after the training; None where the source does not say.
        shifts: random shifts that were averaged when separating; None where the source does not
            say.
        source: the paper, with its table, or the issue.
        all: mean of SDR over the stems, in dB.
        stems: SDR of each stem, in the order of `published()["sources"]`; None where it is not
            known.
        estimate: it was not measured.
        note: what else to know of it.
    """

    model: str
    network: str
    kind: str | None
    data: str
    fine_tuned: bool | None
    shifts: int | None
    source: str
    all: float
    stems: list[float | None]
    estimate: bool = False
    note: str = ""

    @property
    def facts(self) -> str:
        """Kind, data, fine-tuning and shifts as one line."""
        tuned = {True: "fine-tuned", False: "not fine-tuned", None: ""}[self.fine_tuned]
        shifts = "" if self.shifts is None else f"shifts {self.shifts}"
        kind = self.kind or f"kind {UNKNOWN}"
        estimate = "an estimate" if self.estimate else ""
        return ", ".join(part for part in (kind, self.data, tuned, shifts, estimate) if part)


@cache
def published() -> dict[str, Any]:
    """`test_set`, `definition`, `sources`, `rows` (of `PublishedRow`), `first_epochs`."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def first_epochs() -> list[dict[str, Any]]:
    """The first epochs of a public run, in the form of a `history.json`."""
    epochs: list[dict[str, Any]] = published()["first_epochs"]["epochs"]
    return epochs


def published_rows(kind: str | None = SINGLE) -> list[PublishedRow]:
    """All rows, those of a kind first and the others in the order of the file."""
    rows = [PublishedRow(**row) for row in published()["rows"]]
    return sorted(rows, key=lambda row: row.kind != kind)


def kind_of(model: Mapping[str, Any]) -> str:
    """`bag` or `single`, of the model of an evaluation."""
    return BAG if int(model.get("members") or 1) > 1 else SINGLE


def only_bags(rows: Sequence[PublishedRow]) -> list[str]:
    """A sentence on each network and training set of which no measured single model is there."""
    groups: dict[tuple[str, str], list[PublishedRow]] = {}
    for row in rows:
        groups.setdefault((row.network, row.data), []).append(row)
    return [
        f"Of {network} trained on {data} only a bag was published ({_values(group)}): a single "
        "model reaches less"
        for (network, data), group in groups.items()
        if any(row.kind == BAG for row in group)
        and not any(row.kind == SINGLE and not row.estimate for row in group)
    ]


def _values(rows: Sequence[PublishedRow]) -> str:
    return ", ".join(number(row.all) for row in rows if row.kind == BAG)


def published_text(
    name: str, column: Mapping[str, Any], sources: Sequence[str], kind: str = SINGLE
) -> str:
    """Published rows, and under them the one of a model, with the definition.

    Args:
        name: the model's.
        column: its `sdr_med`, see `demucs.evaluation.results.aggregate.column`.
        sources: its stems; columns are in the order of the published ones.
        kind: of the model, `single` or `bag`: rows of the same kind are first.

    Returns:
        Empty where the stems are not the four of the published rows.
    """
    content = published()
    if set(sources) != set(content["sources"]):
        return ""
    rows = published_rows(kind)
    places = list(dict.fromkeys(row.source for row in rows))
    cells = [
        [row.model, row.kind or "–", _tuned(row.fine_tuned), _count(row.shifts),
         f"≈{row.all:.1f}" if row.estimate else number(row.all), *map(number, row.stems),
         f"[{places.index(row.source) + 1}]"]
        for row in rows
    ]  # fmt: skip
    own = [column["mean"], *(column["stems"][stem] for stem in content["sources"])]
    cells.append([name, kind, "", "", *map(number, own), "this evaluation"])
    head = ["model", "kind", "tuned", "shifts", "All", *content["sources"], "source"]
    notes = [
        f"Published rows: {content['test_set']}; {content['definition']}. Trained on MUSDB18-HQ "
        "alone unless the name says more; tuned: fine-tuned afterwards; shifts: averaged when "
        "separating; –: not stated.",
        *(f"{row.model}: {row.note}." for row in rows if row.note),
        *(f"{sentence}." for sentence in only_bags(rows)),
        "; ".join(f"[{index}] {place}" for index, place in enumerate(places, 1)),
    ]
    text = table(head, cells, numbers=True, rule_before_last=True)
    return "\n".join([text, *(line for note in notes for line in _wrapped(note))])


def _tuned(value: bool | None) -> str:
    return "–" if value is None else "yes" if value else "no"


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ")
