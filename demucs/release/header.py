"""The metadata of a model's file, without its weights. Imports torch for `.th` files only.

Of a file of 334 MB, some kilobytes are read; whether it is complete is checked, its bytes are not.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from demucs.errors import ReleaseError
from demucs.files import check_readable
from demucs.release import public_licences as licences
from demucs.release.names import PICKLED, PLAIN, name_of
from demucs.release.remote import (
    catalogue,
    facts_of,
    is_public_file,
    licence_of,
    stems_of,
)


@dataclass(frozen=True, kw_only=True)
class Header:
    """Each None where it is not known.

    Attributes:
        stems: in the order of the model's output.
        network: `hdemucs`, `htdemucs`, ...
        licence: of the weights.
        trained_on: data set and number of songs.
        test_set_seen: see `demucs.release.provenance_of`.
    """

    stems: list[str] | None = None
    network: str | None = None
    licence: str | None = None
    trained_on: str | None = None
    test_set_seen: str | None = None


def read_header(path: Path) -> Header:
    """Reads the metadata of the file of a single model.

    Raises:
        ReleaseError: it is damaged, or not a model; the message is the reason alone.
        PathError: it may not be read.
    """
    if path.exists():
        check_readable(path)
    try:
        return _of_pickle(path) if path.suffix in (PICKLED, PLAIN) else _of_safetensors(path)
    except (SafetensorError, zipfile.BadZipFile, OSError) as error:
        raise ReleaseError(f"damaged, cut short, or not a model ({error})") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReleaseError(f"not a model that is known here ({error!r})") from None


def _of_safetensors(path: Path) -> Header:
    with safe_open(path, framework="np") as file:  # checks that the file has its full length
        metadata = dict(file.metadata() or {})
    if "info" in metadata:
        return _of_release(json.loads(metadata["info"]))
    if "klass" not in metadata:
        raise ReleaseError("safetensors of something else: neither a release nor a public model")
    return _of_arguments(
        metadata["klass"], json.loads(metadata["args"]), json.loads(metadata["kwargs"])
    )


def _of_release(info: Mapping[str, Any]) -> Header:
    spec, provenance = info["spec"], info["provenance"]
    seen = provenance.get("test_set_seen")
    return Header(
        stems=[str(stem) for stem in spec["kwargs"]["sources"]],
        network=str(spec["name"]),
        licence=str(info["licence"]),
        trained_on=provenance.get("trained_on") or _data(provenance, info.get("config") or {}),
        test_set_seen=None if seen is None else str(seen),
    )


def _data(provenance: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """The data sets' names, and how many songs there were."""
    data = provenance.get("data") or {}
    without = () if (config.get("dset") or {}).get("use_musdb", True) else ("musdb",)
    names = [str(data[key]) for key in ("musdb", "wav", "wav2") if data.get(key)]
    names = [name for name in names if name not in {data.get(key) for key in without}]
    songs = len(data.get("songs") or ())
    return ", ".join([*names, *([f"{songs} songs"] if songs else [])]) or None


def _of_arguments(klass: str, args: Any, kwargs: Any) -> Header:
    """Of a public file: what its network is called with; stems are the first argument."""
    stems = kwargs["sources"] if "sources" in kwargs else args[0]
    return Header(stems=[str(stem) for stem in stems], network=klass.rpartition(".")[2].lower())


def _of_pickle(path: Path) -> Header:
    if is_public_file(path.name):
        _check_zip(path)
        trained_on, test_set_seen = facts_of([name_of(path)])
        return Header(
            stems=stems_of(name_of(path)),
            licence=licence_of(name_of(path)),
            trained_on=trained_on,
            test_set_seen=test_set_seen,
        )
    if path.suffix == PLAIN:  # weights alone, always of the same network
        _check_zip(path)
        usual = list(catalogue()["stems"]["usual"])
        return Header(stems=usual, network="hdemucs", licence=licences.TORCHAUDIO)
    from demucs.release.unpickle import unpickle

    content = unpickle(path)
    return _of_arguments(content["klass"].name, content["args"], content["kwargs"])


def _check_zip(path: Path) -> None:
    """Raises BadZipFile if it is cut short: its table is at the end."""
    with zipfile.ZipFile(path):
        pass
