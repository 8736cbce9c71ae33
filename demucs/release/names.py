"""Names of models and of their files. Imports no torch, so that listing is fast."""

import os
import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

from demucs.files import list_folder, path_errors

SUFFIX = ".safetensors"
PICKLED = ".th"
PLAIN = ".pt"  # weights alone, of torchaudio
BAG_SUFFIX = ".yaml"
SUFFIXES = (SUFFIX, PICKLED, PLAIN, BAG_SUFFIX)  # in this order, where several have a name
DEFAULT_FOLDER = "release_models"
HUB = "hf://"  # before the name of a model of the Hugging Face Hub
CHECKSUM = re.compile(r"-([0-9a-f]{8,})$")


def is_valid_name(name: str) -> bool:
    """Whether `name` can name a release: one file name, visible, nothing that leads elsewhere.

    >>> is_valid_name("53288a8c"), is_valid_name("../secret")
    (True, False)
    """
    return (
        0 < len(name) <= 200
        and not name.startswith((".", "-"))
        and name == name.strip()
        and name.isprintable()
        and not any(letter in name for letter in '/\\:*?"<>|')
    )


def model_files(folder: Path) -> list[Path]:
    """The files of models and bags in a folder, sorted; none if it does not exist.

    Raises:
        PathError: it is a file, or may not be read.
    """
    with path_errors():
        if not folder.exists():
            return []
    files = list_folder(folder)
    return [file for file in files if file.suffix in SUFFIXES and is_valid_name(file.stem)]


def name_of(file: Path) -> str:
    """The name of a file's model: a public pickle has its checksum behind it.

    >>> name_of(Path("955717e8-8726e21a.th"))
    '955717e8'
    """
    return CHECKSUM.sub("", file.stem) if file.suffix == PICKLED else file.stem


def folder_name(name: str) -> str:
    """A model's name as that of a folder or file: of the hub and of bags, it has other letters.

    >>> folder_name("hf://someone/htdemucs_ft"), folder_name("a:1:0,b:0:1")
    ('someone--htdemucs_ft', 'a=1=0,b=0=1')
    """
    plain = name.removeprefix(HUB).replace("/", "--").replace(":", "=")
    if is_valid_name(name) or len(plain) <= 120:
        return plain
    return f"{plain[:60]}-{sha256(os.fsencode(name)).hexdigest()[:8]}"


def first_names(names: Sequence[str], most: int = 20) -> str:
    """The names for a message, at most `most` of them.

    >>> first_names(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def nearest_names(name: str, names: Collection[str]) -> str:
    """A hint at the names that are spelt nearly like `name`; nothing if there are none.

    >>> nearest_names("htdemucs_tf", ["htdemucs_ft", "mdx"])
    'Did you mean htdemucs_ft? '
    """
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}? " if near else ""
