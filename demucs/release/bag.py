"""Bags: several models whose stems are averaged, with weights of their own for each stem.

A bag is a YAML file beside its models, as the public Demucs has it:

    models: [9357e12e, e312f349]
    weights:                 # optional: a row for each model, a number for each stem
      - [1, 0, 0.5, 1]
      - [0, 1, 0.5, 1]
    segment: 44              # optional: seconds of a chunk, for all of them
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, nn

from demucs.errors import ReleaseError
from demucs.nn import ModelSpec
from demucs.release.info import ReleaseInfo

BAG_SUFFIX = ".yaml"


class Bag(nn.Module):
    """Models that `demucs.apply.apply_model` runs one after the other.

    Args:
        models: with the same stems, sample rate and channels.
        weights: `[model][stem]`, not negative; None: all alike.
        segment: seconds of a chunk instead of the models' own, but never more than a model that
            separates as it was trained allows.

    Raises:
        ReleaseError: models that do not go together, or weights that do not fit them.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        weights: Sequence[Sequence[float]] | None = None,
        segment: float | None = None,
    ):
        super().__init__()
        first: Any = models[0] if models else None
        if first is None:
            raise ReleaseError("a bag needs at least one model")
        one: Any
        for one in models:
            for name in ("sources", "samplerate", "audio_channels"):
                here, there = getattr(one, name), getattr(first, name)
                if here != there:
                    raise ReleaseError(
                        f"the models of a bag differ: {name} is {there} and {here}; order and "
                        "number must be the same"
                    )
            if segment is not None and not (
                getattr(one, "use_train_segment", False) and segment > one.segment
            ):
                one.segment = segment
        self.models = nn.ModuleList(models)
        self.sources: list[str] = list(first.sources)
        self.samplerate: int = first.samplerate
        self.audio_channels: int = first.audio_channels
        self.segment = min(float(one.segment) for one in models)  # type: ignore[arg-type]
        self.weights = _checked(weights, len(models), self.sources)

    def forward(self, mix: Tensor) -> Tensor:
        """Bags are for `apply_model`, which gives each model the chunks it wants."""
        raise NotImplementedError("separate with a bag by demucs.apply.apply_model")


def _checked(
    weights: Sequence[Sequence[float]] | None, models: int, sources: Sequence[str]
) -> list[list[float]]:
    if weights is None:
        return [[1.0] * len(sources) for _ in range(models)]
    rows = [[float(value) for value in row] for row in weights]
    if len(rows) != models or any(len(row) != len(sources) for row in rows):
        raise ReleaseError(
            f"the weights of a bag are {[len(row) for row in rows]} numbers a row: give "
            f"{models} rows (a model each) of {len(sources)} (a stem each)"
        )
    if any(value < 0 for row in rows for value in row):
        raise ReleaseError("a weight of a bag is negative: give 0 or more")
    for index, source in enumerate(sources):
        if not any(row[index] for row in rows):
            raise ReleaseError(f"no model of the bag has a weight for {source}: give one")
    return rows


@dataclass(frozen=True, kw_only=True)
class BagFile:
    """What a bag's file says."""

    models: list[str]
    weights: list[list[float]] | None = None
    segment: float | None = None


def read_bag(path: Path) -> BagFile:
    """Reads a bag's file.

    Raises:
        ReleaseError: it is no YAML, or not of a bag.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, Mapping) or not content.get("models"):
            raise ValueError("it has no list `models`")
        unknown = set(content) - {"models", "weights", "segment"}
        if unknown:
            raise ValueError(f"it has {', '.join(map(repr, sorted(unknown)))}")
        segment = content.get("segment")
        if segment is not None and not float(segment) > 0:
            raise ValueError(f"segment={segment} is not above 0")
        weights = content.get("weights")
        return BagFile(
            models=[str(name) for name in content["models"]],
            weights=None if weights is None else [[float(x) for x in row] for row in weights],
            segment=None if segment is None else float(segment),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError) as error:
        raise ReleaseError(
            f"{path} is no bag of models: {error}. It must have `models: [NAME, ...]`, and may "
            "have `weights` (a row a model, a number a stem) and `segment` (seconds)."
        ) from error


def load_bag(
    path: Path, load_one: Callable[[str], tuple[nn.Module, ReleaseInfo]]
) -> tuple[Bag, ReleaseInfo]:
    """The bag of a file, its models by `load_one`, and what is known of it.

    Raises:
        ReleaseError: as `read_bag`; or a model of it is missing, broken, or does not fit.
    """
    content = read_bag(path)
    loaded = {name: load_one(name) for name in dict.fromkeys(content.models)}
    try:
        bag = Bag([loaded[name][0] for name in content.models], content.weights, content.segment)
    except ReleaseError as error:
        raise ReleaseError(f"{path}: {error}") from error
    infos = {name: info for name, (_, info) in loaded.items()}
    for model, info in loaded.values():
        model.release = info  # type: ignore[assignment]
    return bag.eval(), _describe(path.name[: -len(BAG_SUFFIX)], content, infos)


def _describe(name: str, content: BagFile, infos: Mapping[str, ReleaseInfo]) -> ReleaseInfo:
    first = next(iter(infos.values()))
    kwargs = {"models": content.models, "weights": content.weights, "segment": content.segment}
    songs = {one for info in infos.values() for one in _data(info).get("songs") or ()}
    return ReleaseInfo(
        signature=name,
        spec=ModelSpec(name="bag", kwargs=kwargs),
        config=first.config,
        provenance={
            "models": {name: info.provenance for name, info in infos.items()},
            "test_set_seen": _seen(infos.values()),
            "data": {**_data(first), "songs": sorted(songs)},
        },
        licence="; ".join(dict.fromkeys(info.licence for info in infos.values())),
    )


def _data(info: ReleaseInfo) -> dict[str, Any]:
    return dict(info.provenance.get("data") or {})


def _seen(infos: Any) -> str | None:
    """The worst that any model of the bag says."""
    said = [info.provenance.get("test_set_seen") for info in infos]
    for one in said:
        if one is not None and one != "no" and not one.startswith("unknown"):
            return str(one)
    unknown = [one for one in said if one != "no"]
    return unknown[0] if unknown else "no"
