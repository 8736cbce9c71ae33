"""Releases: one safetensors file with weights, specification, configuration and provenance."""

from demucs.release.bag import Bag
from demucs.release.folder import DEFAULT_FOLDER, SUFFIX, ReleaseFolder, is_valid_name
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
