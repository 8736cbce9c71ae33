"""The published models of the public Demucs, by name.

A model is fetched when it is first asked for, checked, and kept in a folder: $DEMUCS_CACHE, or
`demucs` in the user's cache. From then on no network is needed. $DEMUCS_MODELS is another address
to fetch from, such as a mirror.

Two are torchaudio's, at an address of their own. Their names have no checksum. That of
`hdemucs_high_trained` is the one that several public projects found; of `hdemucs_high_musdbhq_only`
none is known: it is checked by the sums inside the file, and the names and shapes of its weights.
"""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from demucs.errors import ReleaseError
from demucs.files import atomic_path
from demucs.release import public_licences as licences
from demucs.release.names import PLAIN

if TYPE_CHECKING:  # models are listed without torch
    from torch import nn

    from demucs.release.info import ReleaseInfo

logger = logging.getLogger(__name__)

CATALOGUE = Path(__file__).with_name("catalogue.json")


@cache
def catalogue() -> dict[str, Any]:
    """`root` (address), `files` (path: what it was trained on), `trained_on`, `bags`."""
    content: dict[str, Any] = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return content


def remote_names() -> list[str]:
    """Names of published bags, the usual ones first, then signatures of single models."""
    return [*catalogue()["bags"], *sorted(_files())]


def is_remote(name: str) -> bool:
    return name in catalogue()["bags"] or name in _files()


def cache_folder() -> Path:
    """Where fetched models are kept."""
    if os.environ.get("DEMUCS_CACHE"):
        return Path(os.environ["DEMUCS_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "demucs"


def load_remote(name: str, *, progress: bool = True) -> "tuple[nn.Module, ReleaseInfo]":
    """The published model or bag `name`, fetched if it is not there yet.

    Raises:
        DownloadError: it cannot be fetched; says where it is looked for and how to place it.
        ReleaseError, MissingToolError: as `ReleaseFolder.load`.
    """
    from demucs.release.folder import ReleaseFolder

    folder = cache_folder()
    bag = catalogue()["bags"].get(name)
    signatures = list(dict.fromkeys(bag["models"] if bag else [name]))
    for signature in signatures:
        _provide(signature, folder, progress=progress)
    if bag:
        text = yaml.safe_dump(bag, sort_keys=False)
        path = folder / f"{name}.yaml"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    try:
        model, info = ReleaseFolder(folder).load(name)
    except ReleaseError:
        if not _remove_damaged(signatures, folder):
            raise
        return load_remote(name, progress=progress)
    for part in getattr(model, "models", []):
        part.release = known(part.release, [part.release.signature])
    return model, known(info, bag["models"] if bag else [name])


def _provide(signature: str, folder: Path, *, progress: bool) -> None:
    """Fetches a single model unless it is there."""
    from demucs.release.download import download

    path = file_of(signature, folder)
    if not path.exists():
        download(url_of(signature), path, _checksum(path), progress=progress)


def _remove_damaged(signatures: Sequence[str], folder: Path) -> bool:
    """Whether there were files whose checksum is not the published one; they are to be fetched."""
    from demucs.release.provenance import file_sha256

    damaged = [
        path
        for path in (file_of(signature, folder) for signature in signatures)
        if not file_sha256(path).startswith(_checksum(path))
    ]
    for path in damaged:
        logger.warning("%s is damaged: it is removed, and fetched again", path)
        path.unlink()
    return bool(damaged)


def _checksum(path: Path) -> str:
    """The first digits of its sha256; empty where none is known."""
    known: str = catalogue().get("checksums", {}).get(path.name, path.stem.partition("-")[2])
    return known


@cache
def _files() -> dict[str, tuple[str, str]]:
    """By signature: the file's place under the root, or address, and what it was trained on."""
    files = {}
    for place, data in catalogue()["files"].items():
        name = place.rpartition("/")[2].rpartition(".")[0]
        files[name.partition("-")[0]] = (place, data)
    return files


def known(info: "ReleaseInfo", signatures: Sequence[str]) -> "ReleaseInfo":
    """With what is known of published models: their data, and whether the test set was in it."""
    trained_on, test_set_seen = facts_of(signatures)
    provenance = {**info.provenance, "test_set_seen": test_set_seen, "trained_on": trained_on}
    return replace(info, licence=licence_of(signatures[0]), provenance=provenance)


def facts_of(signatures: Sequence[str]) -> tuple[str, str]:
    """What published models were trained on, and whether the test set of MUSDB18 was in it."""
    kinds = {_files()[signature][1] for signature in signatures}
    seen = "yes: it was trained on the test songs of MUSDB18 too" if "extra" in kinds else "no"
    return "; ".join(catalogue()["trained_on"][kind] for kind in sorted(kinds)), seen


def licence_of(signature: str) -> str:
    """Of a published model."""
    return licences.TORCHAUDIO if _files()[signature][0].endswith(PLAIN) else licences.PUBLIC


def stems_of(signature: str) -> list[str]:
    """The stems of a published model, in the order of its output."""
    stems = catalogue()["stems"]
    return list(stems.get(signature, stems["usual"]))


def file_of(signature: str, folder: Path) -> Path:
    """The file of a published single model in the cache, once it is fetched."""
    return folder / _files()[signature][0].rpartition("/")[2]


def is_public_file(file: str) -> bool:
    """Whether a file has the name of a published one, checksum and all."""
    return file in {place.rpartition("/")[2] for place, _ in _files().values()}


def url_of(signature: str) -> str:
    """Where a published single model is fetched from."""
    place, mirror = _files()[signature][0], os.environ.get("DEMUCS_MODELS")
    if "://" not in place:
        return f"{(mirror or catalogue()['root']).rstrip('/')}/{place}"
    return f"{mirror.rstrip('/')}{urlsplit(place).path}" if mirror else place
