"""The content of a bag's file, or of its name. Imports no torch.

A bag is a YAML file beside its models, as the public Demucs has it:

    models: [9357e12e, e312f349]
    weights:                 # optional: a row for each model, a number for each stem
      - [1, 0, 0.5, 1]
      - [0, 1, 0.5, 1]
    segment: 44              # optional: seconds of a chunk, for all of them

or a name, which lists its models: `9357e12e,e312f349`, with weights `9357e12e:1:0:0.5:1,e312f349:2`
(one number is for all stems).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demucs.errors import ReleaseError
from demucs.files import check_readable
from demucs.release.names import HUB


@dataclass(frozen=True, kw_only=True)
class BagFile:
    """The content of a bag's file."""

    models: list[str]
    weights: list[list[float]] | None = None
    segment: float | None = None


def read_bag(path: Path) -> BagFile:
    """Reads a bag's file.

    Raises:
        ReleaseError: it is not YAML, or not that of a bag.
        PathError: it may not be read.
    """
    check_readable(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        if not isinstance(content, Mapping) or not content.get("models"):
            raise ValueError("it has no list `models`")
        names = yaml.load(text, Loader=yaml.BaseLoader)[
            "models"
        ]  # 01234567 is a name, not a number
        if not isinstance(names, list):
            raise ValueError(f"models={names} is not a list")
        unknown = set(content) - {"models", "weights", "segment"}
        if unknown:
            raise ValueError(f"it has {', '.join(map(repr, sorted(unknown)))}")
        segment = content.get("segment")
        if segment is not None and not float(segment) > 0:
            raise ValueError(f"segment={segment} is not above 0")
        weights = content.get("weights")
        return BagFile(
            models=[str(name) for name in names],
            weights=None if weights is None else [[float(x) for x in row] for row in weights],
            segment=None if segment is None else float(segment),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError) as error:
        raise ReleaseError(
            f"{path} is not a bag of models: {error}. It must have `models: [NAME, ...]`, and may "
            "have `weights` (one row per model, one number per stem) and `segment` (seconds)."
        ) from error


def bag_text(content: BagFile) -> str:
    """The YAML of a bag's file."""
    whole: dict[str, Any] = {"models": content.models}
    if content.weights is not None:
        whole["weights"] = content.weights
    if content.segment is not None:
        whole["segment"] = content.segment
    return yaml.safe_dump(whole, sort_keys=False, default_flow_style=None)


def bag_of_name(name: str) -> BagFile | None:
    """The bag that a name such as `A,B` or `A:1:0,B:0:1` lists; None if it lists none.

    Raises:
        ReleaseError: a model or a weight is missing, or not a number, or a model is a bag.

    >>> bag = bag_of_name("A:1:0,B:0:1")
    >>> bag.models, bag.weights
    (['A', 'B'], [[1.0, 0.0], [0.0, 1.0]])
    """
    if "," not in name:
        return None
    models, rows = [], []
    for part in name.split(","):
        if part.strip().startswith(HUB):
            raise ReleaseError(f"{part.strip()} is a bag of the hub, and cannot be in another one")
        model, *numbers = part.strip().split(":")
        if not model:
            raise ReleaseError(f"{name!r}: a comma without a model; give names such as A,B")
        models.append(model)
        rows.append([_number(name, number) for number in numbers])
    if not any(rows):
        return BagFile(models=models)
    if not all(rows):
        raise ReleaseError(
            f"{name!r} has weights for some of its models only: give all of them some, such as "
            f"{models[0]}:1,{models[1]}:0.5"
        )
    return BagFile(models=models, weights=rows)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ReleaseError(
            f"{name!r}: {text!r} is not a weight; give one number per stem, e.g. A:1:0.5,B:0:1"
        ) from None


def checked_weights(
    weights: Sequence[Sequence[float]] | None, models: int, sources: Sequence[str]
) -> list[list[float]]:
    """Weights of a bag, `[model][stem]`; one number in a row is for all stems, None: all alike.

    Raises:
        ReleaseError: their number does not fit, or some are negative, not finite, or all 0.

    >>> checked_weights([[1], [0.5]], 2, ["voice", "rest"])
    [[1.0, 1.0], [0.5, 0.5]]
    """
    if weights is None:
        return [[1.0] * len(sources) for _ in range(models)]
    rows = [[float(value) for value in row] for row in weights]
    rows = [row * len(sources) if len(row) == 1 else row for row in rows]
    if len(rows) != models or any(len(row) != len(sources) for row in rows):
        raise ReleaseError(
            f"the weights of a bag are {[len(row) for row in rows]} numbers a row: give "
            f"{models} rows (a model each) of {len(sources)} (a stem each)"
        )
    for value in (value for row in rows for value in row):
        if not 0 <= value < math.inf:
            what = "negative" if value < 0 else "not finite"
            raise ReleaseError(f"a weight of a bag is {what}, {value:g}: give 0 or more")
    for index, source in enumerate(sources):
        if not any(row[index] for row in rows):
            raise ReleaseError(f"no model of the bag has a weight for {source}: give one")
    return rows


def worst_seen(answers: Sequence[str | None]) -> str | None:
    """The worst `test_set_seen` that any model of a bag has."""
    for answer in answers:
        if answer is not None and answer != "no" and not answer.startswith("unknown"):
            return str(answer)
    unknown = [answer for answer in answers if answer != "no"]
    return unknown[0] if unknown else "no"
