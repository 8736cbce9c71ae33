"""What the MUSDB18 authors fixed: the validation songs and the order of streams in a stem file.

Both are read from the configuration file inside the `musdb` package. The package itself is not
imported for it, because its import needs ffmpeg, which a folder of wav files does not.
"""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import yaml

from demucs.errors import MissingToolError


@lru_cache(maxsize=1)
def _musdb_config() -> dict[str, Any]:
    spec = importlib.util.find_spec("musdb")
    if spec is None or not spec.submodule_search_locations:
        raise MissingToolError(
            "The Python package musdb, which holds the official MUSDB18 split, is not installed: "
            "pip install musdb"
        )
    path = Path(spec.submodule_search_locations[0]) / "configs" / "mus.yaml"
    if not path.is_file():
        raise MissingToolError(
            f"The installed musdb package has no {path}: pip install --force-reinstall musdb"
        )
    return cast(dict[str, Any], yaml.safe_load(path.read_text(encoding="utf-8")))


def validation_names() -> frozenset[str]:
    """Names of the songs of `train` that MUSDB18 sets aside for validation.

    Raises:
        MissingToolError: the musdb package is not installed.
    """
    return frozenset(_musdb_config()["validation_tracks"])


def stem_streams() -> dict[str, int]:
    """Number of the audio stream that holds each source (and `mixture`) in a `.stem.mp4`.

    Raises:
        MissingToolError: the musdb package is not installed.
    """
    return dict(_musdb_config()["stem_ids"])
