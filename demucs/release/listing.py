"""The list of all models that `-n` accepts, on this machine or not, with their metadata.

Nothing is fetched, and of a file only the header is read. A file that is broken is listed as such.
"""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from demucs.errors import DemucsError, message_of
from demucs.release.bagfile import BagFile, checked_weights, read_bag, worst_seen
from demucs.release.header import Header, read_header
from demucs.release.hub_cache import (
    fetched_names,
    hub_folder,
    is_known,
    parse,
    read_record,
)
from demucs.release.names import BAG_SUFFIX, DEFAULT_FOLDER, SUFFIXES, model_files, name_of
from demucs.release.remote import (
    cache_folder,
    catalogue,
    facts_of,
    file_of,
    licence_of,
    remote_names,
    stems_of,
)

Place = Literal["local", "fetched", "published"]


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model or bag; what is not known is None.

    Attributes:
        name: as `-n` takes it.
        kind: "single" or "bag".
        place: "local" (a folder of the user's), "fetched" (the cache), or "published": it is
            fetched when it is first asked for.
        path: of its file; None where it is not here.
        size: bytes, of a bag those of all its models; None unless all of it is here.
        stems: in the order of the model's output.
        licence: of the weights.
        trained_on: in words.
        test_set_seen: "no", "yes: ..." or "unknown: ..."; see `demucs.release.provenance_of`.
        models: of a bag.
        weights: of a bag, `[model][stem]`.
        here: how many models of a bag are here.
        problem: why it cannot be used.
    """

    name: str
    kind: Literal["single", "bag"]
    place: Place
    path: str | None = None
    size: int | None = None
    stems: list[str] | None = None
    licence: str | None = None
    trained_on: str | None = None
    test_set_seen: str | None = None
    models: list[str] | None = None
    weights: list[list[float]] | None = None
    here: int | None = None
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def list_entries(repo: str | os.PathLike[str] | None = None) -> list[ModelEntry]:
    """The models of a folder; without one, of `./release_models`, the cache and the catalogue.

    Bags come before single models, and local ones before others. A local name hides a published
    one, as it does in `demucs.pretrained.get_model`.
    """
    entries = _in_folder(Path(DEFAULT_FOLDER if repo is None else repo))
    if repo is None:
        names = {entry.name for entry in entries}
        entries += [_of_hub(name) for name in fetched_names()]
        entries += [_published(name) for name in remote_names() if name not in names]
    places = ("local", "fetched", "published")
    return sorted(entries, key=lambda entry: (entry.kind != "bag", places.index(entry.place)))


def _in_folder(folder: Path, place: Place = "local") -> list[ModelEntry]:
    files: dict[str, list[Path]] = {}
    for file in model_files(folder):
        files.setdefault(name_of(file), []).append(file)
    singles = {}
    for name, alike in files.items():
        if any(file.suffix != BAG_SUFFIX for file in alike):
            singles[name] = _single(name, alike, place)
    bags = [
        _bag(name, alike[-1], singles, place)
        for name, alike in files.items()
        if name not in singles
    ]
    return [*bags, *singles.values()]


def _single(name: str, files: list[Path], place: Place) -> ModelEntry:
    path = min(files, key=lambda file: SUFFIXES.index(file.suffix))
    entry = ModelEntry(name=name, kind="single", place=place, path=str(path))
    alike = [file.name for file in files if file.suffix == path.suffix]
    if len(alike) > 1:
        return replace(entry, problem=f"several files have this name: {', '.join(alike)}")
    try:
        return replace(_with(entry, read_header(path)), size=path.stat().st_size)
    except (DemucsError, OSError) as error:
        return replace(entry, problem=message_of(error).replace(f"{path} ", ""))


def _with(entry: ModelEntry, header: Header) -> ModelEntry:
    return replace(
        entry,
        stems=header.stems,
        licence=header.licence,
        trained_on=header.trained_on,
        test_set_seen=header.test_set_seen,
    )


def _bag(name: str, path: Path, singles: dict[str, ModelEntry], place: Place) -> ModelEntry:
    """A bag of a folder, with the metadata of its models."""
    entry = ModelEntry(name=name, kind="bag", place=place, path=str(path))
    try:
        content = read_bag(path)
    except DemucsError as error:
        return replace(entry, problem=str(error).replace(f"{path} ", ""))
    entry = replace(entry, models=content.models, weights=content.weights)
    models = {model: _member(model, singles) for model in content.models}
    problem = _problem(content, models)
    good = [model for model in models.values() if model is not None and model.problem is None]
    entry = replace(entry, here=len(good), problem=problem)
    if problem is not None:
        return entry
    return replace(
        entry,
        size=sum(model.size or 0 for model in good),
        stems=good[0].stems,
        licence=_joined([model.licence for model in good]),
        trained_on=_joined([model.trained_on for model in good]),
        test_set_seen=worst_seen([model.test_set_seen for model in good]),
    )


def _member(name: str, singles: dict[str, ModelEntry]) -> ModelEntry | None:
    """A model of a bag; a public one may be called by its whole file's name."""
    entries = [entry for entry in singles.values() if entry.path and Path(entry.path).stem == name]
    return singles.get(name) or (entries[0] if entries else None)


def _problem(content: BagFile, models: dict[str, ModelEntry | None]) -> str | None:
    first = models[content.models[0]]
    for name, model in models.items():
        if model is None:
            return f"its model {name} is not in the folder"
        if model.problem is not None:
            return f"its model {name}: {model.problem}"
        if first is not None and model.stems != first.stems:
            return f"the stems of {first.name} and {name} differ: {first.stems} and {model.stems}"
    try:
        checked_weights(content.weights, len(content.models), (first and first.stems) or [])
    except DemucsError as error:
        return str(error)
    return None


def _of_hub(name: str) -> ModelEntry:
    """A bag that was fetched from the hub."""
    namespace, bag = parse(name)
    folder = hub_folder(namespace, bag)
    entries = [entry for entry in _in_folder(folder, "fetched") if entry.name == bag]
    record = read_record(folder) or {}
    if not entries:
        return ModelEntry(
            name=name, kind="bag", place="fetched", problem=f"{folder} is not complete"
        )
    entry = replace(entries[0], name=name, licence=record.get("licence") or entries[0].licence)
    if is_known(namespace, entry.models or []):
        trained_on, test_set_seen = facts_of(entry.models or [])
        entry = replace(entry, trained_on=trained_on, test_set_seen=test_set_seen)
    return entry


def _published(name: str) -> ModelEntry:
    """A model of the catalogue, and how much of it is in the cache."""
    bag = catalogue()["bags"].get(name)
    models = list(bag["models"]) if bag else [name]
    paths = {signature: file_of(signature, cache_folder()) for signature in models}
    there = {signature: path for signature, path in paths.items() if path.is_file()}
    complete = len(there) == len(paths)
    trained_on, test_set_seen = facts_of(models)
    entry = ModelEntry(
        name=name,
        kind="bag" if bag else "single",
        place="fetched" if complete else "published",
        path=_path_of(name, paths) if complete else None,
        size=sum(path.stat().st_size for path in there.values()) if complete else None,
        stems=stems_of(models[0]),
        licence=licence_of(models[0]),
        trained_on=trained_on,
        test_set_seen=test_set_seen,
        models=models if bag else None,
        weights=bag.get("weights") if bag else None,
        here=len(there) if bag else None,
    )
    for signature, path in there.items():
        try:
            read_header(path)
        except DemucsError as error:
            what = f"its model {signature}: {error}" if bag else str(error)
            return replace(entry, place="fetched", problem=f"{what}; move {path} away")
    return entry


def _path_of(name: str, paths: dict[str, Path]) -> str | None:
    """Of a single model; of a bag if its file was written, which is when it is loaded."""
    path = paths.get(name, cache_folder() / f"{name}{BAG_SUFFIX}")
    return str(path) if path.is_file() else None


def _joined(values: list[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(value for value in values if value is not None)) or None
