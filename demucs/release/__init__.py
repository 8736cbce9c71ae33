"""Releases: one safetensors file with weights, specification, configuration and provenance.

What needs torch is imported when it is first asked for, so that names can be listed without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from demucs.release.names import DEFAULT_FOLDER, SUFFIX, is_valid_name

if TYPE_CHECKING:
    from demucs.release.bag import Bag
    from demucs.release.folder import ReleaseFolder
    from demucs.release.info import DEFAULT_LICENCE, ReleaseInfo
    from demucs.release.package import (
        load_release,
        read_release,
        read_release_info,
        save_release,
        weights_sha256,
    )
    from demucs.release.provenance import file_sha256, provenance_of

__all__ = [
    "DEFAULT_FOLDER",
    "DEFAULT_LICENCE",
    "SUFFIX",
    "Bag",
    "ReleaseFolder",
    "ReleaseInfo",
    "file_sha256",
    "is_valid_name",
    "load_release",
    "provenance_of",
    "read_release",
    "read_release_info",
    "save_release",
    "weights_sha256",
]

_PLACES = {
    "bag": ["Bag"],
    "folder": ["ReleaseFolder"],
    "info": ["DEFAULT_LICENCE", "ReleaseInfo"],
    "package": [
        "load_release", "read_release", "read_release_info", "save_release", "weights_sha256",
    ],
    "provenance": ["file_sha256", "provenance_of"],
}  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"demucs.release.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
