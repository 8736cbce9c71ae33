"""A folder of releases, by name: what `--repo` and `-n` mean."""

import os
from difflib import get_close_matches
from pathlib import Path

from torch import nn

from demucs.errors import ModelNotFoundError
from demucs.release.info import ReleaseInfo
from demucs.release.package import load_release

SUFFIX = ".safetensors"
DEFAULT_FOLDER = "release_models"


def is_valid_name(name: str) -> bool:
    """Whether `name` can name a release: one file name, visible, nothing that leads elsewhere."""
    return (
        0 < len(name) <= 200
        and not name.startswith((".", "-"))
        and name == name.strip()
        and name.isprintable()
        and not any(letter in name for letter in '/\\:*?"<>|')
    )


class ReleaseFolder:
    """The releases of one folder: `NAME.safetensors` each.

    Args:
        folder: need not exist yet; then it has no names.
    """

    def __init__(self, folder: str | os.PathLike[str] = DEFAULT_FOLDER) -> None:
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """The names of the releases that are there, sorted; files being written are not."""
        try:
            files = list(self.folder.iterdir())
        except OSError:
            return []
        stems = [file.name[: -len(SUFFIX)] for file in files if file.name.endswith(SUFFIX)]
        return sorted(stem for stem in stems if is_valid_name(stem))

    def path(self, name: str) -> Path:
        """Where release `name` is.

        Raises:
            ModelNotFoundError: it is not there, or `name` is not a plain name; the message lists
                the names that are there and how to make this one.
        """
        if not is_valid_name(name):
            raise ModelNotFoundError(
                f"{name!r} is not the name of a model: give a name such as 53288a8c with -n, and "
                f"its folder with --repo. {self._present()}"
            )
        path = self.folder / f"{name}{SUFFIX}"
        if not path.is_file():
            raise ModelNotFoundError(
                f"There is no model {name!r} in {self.folder.absolute()}. {self._nearest(name)}"
                f"{self._present()} Choose one of these with -n, or make "
                f"it from a training run: python3 -m tools.export {name} --out {self.folder}"
            )
        return path

    def load(self, name: str) -> tuple[nn.Module, ReleaseInfo]:
        """Builds the model `name`, in evaluation mode, and reads its description.

        Raises:
            ModelNotFoundError: there is no such release.
            ReleaseError: the file is corrupted or of another format.
        """
        return load_release(self.path(name))

    def _present(self) -> str:
        if not self.folder.is_dir():
            return f"The folder {self.folder.absolute()} does not exist."
        names = self.names()
        if not names:
            return "There are no models in it."
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        return f"Models in {self.folder}: {', '.join(names[:20])}{more}."

    def _nearest(self, name: str) -> str:
        near = get_close_matches(name, self.names(), n=3, cutoff=0.5)
        return f"Did you mean {' or '.join(near)}? " if near else ""
