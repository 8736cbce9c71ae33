"""A folder of models by name, which `--repo` and `-n` choose from.

A model is a release of ours, `NAME.safetensors`; a file of the public Demucs, `NAME.th`,
`NAME-CHECKSUM.th` or `NAME.safetensors`; weights of torchaudio, `NAME.pt`; or a bag, `NAME.yaml`.
"""

import os
from pathlib import Path

from torch import nn

from demucs.errors import ModelNotFoundError, ReleaseError
from demucs.release.bag import load_bag
from demucs.release.info import ReleaseInfo
from demucs.release.names import (
    BAG_SUFFIX,
    CHECKSUM,
    DEFAULT_FOLDER,
    PICKLED,
    SUFFIXES,
    first_names,
    is_valid_name,
    model_files,
    name_of,
    nearest_names,
)
from demucs.release.package import load_release
from demucs.release.provenance import file_sha256
from demucs.release.published import is_published, load_published


class ReleaseFolder:
    """The models of one folder.

    Args:
        folder: need not exist yet; then it has no names.
    """

    def __init__(self, folder: str | os.PathLike[str] = DEFAULT_FOLDER) -> None:
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """The names of single models, sorted; files being written are not among them."""
        names = {name_of(file) for file in model_files(self.folder) if file.suffix != BAG_SUFFIX}
        return sorted(names)

    def bags(self) -> list[str]:
        """The names of bags, sorted."""
        return sorted(
            name_of(file) for file in model_files(self.folder) if file.suffix == BAG_SUFFIX
        )

    def path(self, name: str) -> Path:
        """Where the model or bag `name` is; a single model counts before a bag.

        Raises:
            ModelNotFoundError: it is not there, or `name` is not a plain name; the message lists
                the names that are there and how to make this one.
            ReleaseError: several files have that name.
        """
        if not is_valid_name(name):
            raise ModelNotFoundError(
                f"{name!r} is not the name of a model: give a name such as 53288a8c with -n, and "
                f"its folder with --repo. {self._present()}"
            )
        files = {
            file.suffix: file
            for file in model_files(self.folder)
            if name in (name_of(file), file.name[: -len(file.suffix)])
        }
        for suffix in SUFFIXES:
            if suffix in files:
                self._check_only(name, files[suffix])
                return files[suffix]
        raise ModelNotFoundError(
            f"There is no model {name!r} in {self.folder.absolute()}. "
            f"{nearest_names(name, [*self.names(), *self.bags()])}"
            f"{self._present()} Choose one of these with -n, or make "
            f"it from a training run: python3 -m tools.export {name} --out {self.folder}"
        )

    def load(self, name: str) -> tuple[nn.Module, ReleaseInfo]:
        """Builds the model or bag `name`, in evaluation mode, and reads its description.

        Raises:
            ModelNotFoundError: there is no such model, or one of the bag is missing.
            ReleaseError: a file is corrupted or of another format.
            MissingToolError: weights that need a package that is not installed.
        """
        path = self.path(name)
        return load_bag(path, self.load_one) if path.suffix == BAG_SUFFIX else self._load(path)

    def load_one(self, name: str) -> tuple[nn.Module, ReleaseInfo]:
        """A single model, for a bag.

        Raises: as `load`; ReleaseError also where `name` is a bag.
        """
        path = self.path(name)
        if path.suffix == BAG_SUFFIX:
            raise ReleaseError(f"{path} is a bag, and cannot be in another one")
        return self._load(path)

    def _load(self, path: Path) -> tuple[nn.Module, ReleaseInfo]:
        if not is_published(path):
            return load_release(path)
        match = CHECKSUM.search(path.stem)
        if path.suffix == PICKLED and match:
            checksum = file_sha256(path)[: len(match[1])]
            if checksum != match[1]:
                raise ReleaseError(
                    f"{path} is corrupted: its name says that its checksum begins with "
                    f"{match[1]}, and it begins with {checksum}. Copy or download it again."
                )
        return load_published(path, name_of(path))

    def _check_only(self, name: str, chosen: Path) -> None:
        """A checksum in the name lets one model have two files."""
        alike = [
            file.name
            for file in model_files(self.folder)
            if file.suffix == chosen.suffix and name_of(file) == name
        ]
        if len(alike) > 1:
            raise ReleaseError(
                f"{self.folder} has {' and '.join(alike)}, both called {name}: move all but one "
                "to another folder"
            )

    def _present(self) -> str:
        if not self.folder.is_dir():
            return f"The folder {self.folder.absolute()} does not exist."
        names = sorted({*self.names(), *self.bags()})
        if not names:
            return "There are no models in it."
        return f"Models in {self.folder}: {first_names(names)}."
