"""Bags: several models whose stems are averaged, with weights of their own for each stem."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from demucs.errors import ReleaseError
from demucs.nn import ModelSpec
from demucs.release.bagfile import BagFile, checked_weights, read_bag, worst_seen
from demucs.release.info import ReleaseInfo


class Bag(nn.Module):
    """Models that `demucs.apply.apply_model` runs one after the other.

    Args:
        models: with the same stems, sample rate and channels.
        weights: `[model][stem]`, not negative; None: all alike.
        segment: seconds of a chunk instead of the models' own, but never more than a model that
            separates as it was trained allows.
        names: of the models, for messages.

    Raises:
        ReleaseError: models that do not go together, or weights that do not fit them.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        weights: Sequence[Sequence[float]] | None = None,
        segment: float | None = None,
        names: Sequence[str] | None = None,
    ):
        super().__init__()
        first: Any = models[0] if models else None
        if first is None:
            raise ReleaseError("a bag needs at least one model")
        _check_alike(models, names or [f"model {k + 1}" for k in range(len(models))])
        model: Any
        for model in models:
            if segment is not None and not (
                getattr(model, "use_train_segment", False) and segment > model.segment
            ):
                model.segment = segment
        self.models = nn.ModuleList(models)
        self.sources: list[str] = list(first.sources)
        self.samplerate: int = first.samplerate
        self.audio_channels: int = first.audio_channels
        self.segment = min(float(model.segment) for model in models)  # type: ignore[arg-type]
        self.weights = checked_weights(weights, len(models), self.sources)

    def forward(self, mix: Tensor) -> Tensor:
        """Bags are for `apply_model`, which gives each model the chunks it wants."""
        raise NotImplementedError("separate with a bag by demucs.apply.apply_model")

    def with_networks(self, networks: Sequence[nn.Module]) -> "Bag":
        """A bag with the same weights, of other forms of the same networks, to separate with."""
        return Bag(networks, self.weights).eval()


def load_bag(
    path: Path, load_one: Callable[[str], tuple[nn.Module, ReleaseInfo]]
) -> tuple[Bag, ReleaseInfo]:
    """The bag of a file, its models by `load_one`, and what is known of it.

    Raises:
        ReleaseError: as `read_bag`; or a model of it is missing, broken, or does not fit.
    """
    return assemble_bag(path.name[: -len(path.suffix)], read_bag(path), load_one, str(path))


def assemble_bag(
    name: str,
    content: BagFile,
    load_one: Callable[[str], tuple[nn.Module, ReleaseInfo]],
    where: str | None = None,
) -> tuple[Bag, ReleaseInfo]:
    """A bag called `name`, its models by `load_one`, and what is known of it.

    Args:
        where: what to call it in a message, if not `name`.

    Raises:
        ReleaseError: a model of it is missing, broken, or does not fit.
    """
    loaded = {name: load_one(name) for name in dict.fromkeys(content.models)}
    models = [loaded[name][0] for name in content.models]
    try:
        bag = Bag(models, content.weights, content.segment, content.models)
    except ReleaseError as error:
        raise ReleaseError(f"{where or name}: {error}") from error
    infos = {name: info for name, (_, info) in loaded.items()}
    for model, info in loaded.values():
        model.release = info  # type: ignore[assignment]
    return bag.eval(), _describe(name, content, infos)


def _check_alike(models: Sequence[nn.Module], names: Sequence[str]) -> None:
    for k, model in enumerate(models):
        for attribute in ("sources", "samplerate", "audio_channels"):
            here, there = getattr(model, attribute), getattr(models[0], attribute)
            if here != there:
                raise ReleaseError(
                    f"{names[0]} and {names[k]} cannot be in one bag: {attribute} is {there} and "
                    f"{here}; order and number must be the same"
                )


def _describe(name: str, content: BagFile, infos: Mapping[str, ReleaseInfo]) -> ReleaseInfo:
    first = next(iter(infos.values()))
    kwargs = {"models": content.models, "weights": content.weights, "segment": content.segment}
    songs = {entry for info in infos.values() for entry in _data(info).get("songs") or ()}
    return ReleaseInfo(
        signature=name,
        spec=ModelSpec(name="bag", kwargs=kwargs),
        config=first.config,
        provenance={
            "models": {name: info.provenance for name, info in infos.items()},
            "test_set_seen": worst_seen(
                [entry.provenance.get("test_set_seen") for entry in infos.values()]
            ),
            "data": {**_data(first), "songs": sorted(songs)},
        },
        licence="; ".join(dict.fromkeys(info.licence for info in infos.values())),
    )


def _data(info: ReleaseInfo) -> dict[str, Any]:
    return dict(info.provenance.get("data") or {})
