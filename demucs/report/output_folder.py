"""Writing a folder of files so that nobody sees half of one, and nothing of others is lost."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demucs.errors import ConfigError
from demucs.report.sound import AUDIO, PICTURES

PAGE = "index.html"
MARK = "demucs-report-1"  # `<meta name="generator">` of our pages


def check_folder(folder: Path) -> None:
    """Raises ConfigError if no report can be written there: only an earlier one may be replaced."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"--out {folder} is not a folder: give the name of one, which may be new")
    if folder.is_dir():
        names = {path.name for path in folder.iterdir()}
        foreign = sorted(names - {PAGE, AUDIO, PICTURES})
        if names and (foreign or not _is_ours(folder / PAGE)):
            content = foreign[0] if foreign else "no report of this tool"
            raise ConfigError(
                f"--out {folder} holds something else ({content}): nothing of it is replaced. "
                "Give the name of a new folder, or of an earlier report"
            )
    parent = _nearest(folder.absolute().parent)
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigError(f"--out {folder}: {parent} cannot be written; give another folder")


def _nearest(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _is_ours(page: Path) -> bool:
    try:
        with page.open("rb") as file:
            return f'content="{MARK}"'.encode() in file.read(4096)
    except OSError:
        return False


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that takes the place of `folder` once the block succeeds.

    Whatever ends the block otherwise, an interrupt too, leaves what was there before.

    Raises:
        ConfigError: see `check_folder`.
        OSError: the folder cannot be written, or the disk is full.
    """
    check_folder(folder)
    folder = folder.absolute()
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.new-", dir=folder.parent))
    except OSError as error:
        raise ConfigError(
            f"--out {folder}: {folder.parent} cannot be written ({error.strerror}); "
            "give another folder"
        ) from error
    old = work.with_name(f"{work.name}.old")
    try:
        yield work
        umask = os.umask(0)
        os.umask(umask)
        work.chmod(0o777 & ~umask)  # mkdtemp gives 0700; a report is meant to be shared
        check_folder(folder)
        if folder.exists():
            folder.rename(old)
        try:
            work.rename(folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        for parent in made:
            try:
                parent.rmdir()
            except OSError:
                break
        raise
    shutil.rmtree(old, ignore_errors=True)
