"""Reading the pickles in which models were published, without running what they hold.

A pickle is a program. PyTorch's weights-only unpickler interprets only the part of that language
which builds tensors and plain containers, and refuses every name that is not on a list. Ours has
the few that published models need, and each is replaced by a marker class of this module, which
does nothing: even a name that is allowed leads to no code of ours or of other packages.
"""

import pickle
import re
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from demucs.errors import ModelNotFoundError, ReleaseError
from demucs.files import check_readable

NETWORKS = {
    "demucs.demucs.Demucs": "demucs",
    "demucs.hdemucs.HDemucs": "hdemucs",
    "demucs.htdemucs.HTDemucs": "htdemucs",
    "demucs.train.TorchHDemucsWrapper": "torch_hdemucs",
}
QUANTISERS = ("diffq.diffq.DiffQuantizer", "diffq.uniform.UniformQuantizer")
FRACTION = re.compile(r"-?[0-9]{1,40}(/[0-9]{1,40})?")
LARGEST_PROGRAM = 64 * 2**20  # bytes of a pickle beside its tensors; published ones have some KB


class Named:
    """Stands for a class that a pickle names; `name` is what it is called there."""

    name = ""


def marker(full: str) -> type[Named]:
    """The class that stands for the name `full`."""
    return type(full.rpartition(".")[2], (Named,), {"name": full})


def fraction(*parts: Any) -> Fraction:
    """A number, from two integers or a text such as 39/5; not 1e999999999, which takes for ever."""
    for part in parts:
        small = type(part) is int and part.bit_length() < 128
        if not small and not (type(part) is str and FRACTION.fullmatch(part)):
            raise ValueError("a fraction of something that is not a number")
    return Fraction(*parts)


MARKERS = {full: marker(full) for full in (*NETWORKS, *QUANTISERS)}
PUBLISHED: Sequence[tuple[Any, str]] = [
    *((stand_in, full) for full, stand_in in MARKERS.items()),
    (fraction, "fractions.Fraction"),
]


def unpickle(
    path: Path, allowed: Sequence[tuple[Any, str]] = PUBLISHED, kind: str = "published model"
) -> Any:
    """The content of a file that `torch.save` made, its classes as subclasses of `Named`.

    Args:
        path: of the file.
        allowed: the names that it may have, each with what stands for it.
        kind: of file, for messages.

    Raises:
        ModelNotFoundError: there is no such file.
        ReleaseError: it is damaged, not such a file, or names anything that is not on the list; the
            message has the name.
    """
    if not path.is_file():
        raise ModelNotFoundError(f"There is no model file {path}.")
    _check_container(path)
    try:
        with torch.serialization.safe_globals(list(allowed)):
            refused = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
            if refused:
                names = printable(", ".join(sorted(refused)[:5]))
                raise ReleaseError(
                    f"{path} is refused: it names {names}, which no {kind} needs, and "
                    "which could run code. Nothing of it was run."
                )
            return torch.load(path, map_location="cpu", weights_only=True)
    except ReleaseError:
        raise
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReleaseError(
            f"{path} is refused: it holds more than tensors and plain values "
            f"({printable(reason)}). Nothing of it was run."
        ) from None
    except Exception as error:  # a damaged file raises anything
        raise ReleaseError(
            f"{path} cannot be read: damaged, or not a model file ({type(error).__name__}: "
            f"{printable(str(error))}). Copy or download it again."
        ) from None


def printable(text: str) -> str:
    """`text` of a file that is not trusted, without what a terminal would obey."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def check_sums(path: Path) -> None:
    """Compares the parts of such a file with the sums beside them, which PyTorch does not do.

    Raises:
        ReleaseError: a part is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        damaged = str(error)
    if damaged:
        raise ReleaseError(f"{path} is damaged ({damaged}): copy or download it again.")


def _check_container(path: Path) -> None:
    """Only the zip files of PyTorch: older formats are read by other, wider readers."""
    check_readable(path)
    try:
        with zipfile.ZipFile(path) as file:
            programs = [member for member in file.infolist() if member.filename.endswith(".pkl")]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ReleaseError(
            f"{path} cannot be read: damaged, cut short, or not a model file of PyTorch ({error}). "
            "Copy or download it again."
        ) from None
    if len(programs) != 1 or not programs[0].filename.endswith("data.pkl"):
        raise ReleaseError(
            f"{path} is not a model file of PyTorch: it has {len(programs)} pickles."
        )
    if programs[0].file_size > LARGEST_PROGRAM:
        raise ReleaseError(
            f"{path} is refused: its description takes {programs[0].file_size / 2**20:.0f} MiB, "
            "and that of a model some KiB."
        )
