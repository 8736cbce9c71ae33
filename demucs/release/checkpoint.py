"""Checkpoints: one atomic file with a checksum, and the one before it.

    magic line · SHA-256 of the rest, in hexadecimal · newline · what torch.save writes

The payload is a dictionary of plain containers and tensors, which torch's weights-only unpickler
reads; nothing else is ever unpickled. Checkpoints of the public Demucs are read as well
(`demucs.release.public_run`); where a run continues from one, it is kept as `checkpoint.public.th`.
"""

import hashlib
import io
import logging
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from demucs.errors import CheckpointError, explain_os_error
from demucs.experiment.record import (
    CHECKPOINT,
    PREVIOUS_CHECKPOINT,
    PUBLIC_CHECKPOINT,
    is_public_checkpoint,
)
from demucs.files import atomic_path
from demucs.release.public_run import read_public_run

logger = logging.getLogger(__name__)

NAME = CHECKPOINT
PREVIOUS_NAME = PREVIOUS_CHECKPOINT
PUBLIC_NAME = PUBLIC_CHECKPOINT
VERSION = 1
MAGIC = b"demucs-checkpoint\n"
_DIGEST_SIZE = 64
_HEADER_SIZE = len(MAGIC) + _DIGEST_SIZE + 1


class _HashingWriter:
    """Writes to a file, and hashes what is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.error: OSError | None = None  # torch turns it into a RuntimeError without the reason

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def save_checkpoint(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Writes `content` to `path`; the file that was there becomes `checkpoint.prev.th` beside it.

    One of the public Demucs becomes `checkpoint.public.th`, and is never written over.

    Raises:
        CheckpointError: it cannot be written (disk full, no permission). The files that were
            there are untouched.
    """
    path = Path(path)
    before = path.exists()
    try:
        with atomic_path(path) as temporary:
            _write(temporary, {"version": VERSION, **content})
            if before:
                _keep(path, path.with_name(_name_of_old(path)))
    except OSError as error:
        rest = (
            "the checkpoint before it is intact, and the same command continues from it"
            if before
            else "there is none before it: the same command starts from the beginning"
        )
        raise CheckpointError(
            f"{path} could not be written ({error}): make room or allow writing there; {rest}"
        ) from error


def _name_of_old(path: Path) -> str:
    public = is_public_checkpoint(path) and not path.with_name(PUBLIC_NAME).exists()
    return PUBLIC_NAME if public else PREVIOUS_NAME


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with open(path, "wb") as file:
        file.write(bytes(_HEADER_SIZE))
        writer = _HashingWriter(file)
        try:
            torch.save(content, writer)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise writer.error or error from error
        file.seek(0)
        file.write(_header(writer.digest.hexdigest()))
        file.flush()
        os.fsync(file.fileno())


def _header(digest: str) -> bytes:
    return MAGIC + digest.encode() + b"\n"


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a checkpoint that `save_checkpoint` or the public Demucs wrote, tensors on the CPU.

    Raises:
        CheckpointError: there is none, it is corrupted, or it is of another format.
        PathError: it may not be read. Nothing is known of its content then, so that the one before
            it does not take its place.
    """
    path = Path(path)
    if is_public_checkpoint(path):
        return read_public_run(path)
    try:
        data = path.read_bytes()
    except PermissionError as error:
        raise explain_os_error(error) or error from error
    except FileNotFoundError:
        raise CheckpointError(
            f"there is no checkpoint {path}: has this experiment trained for an epoch?"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not data.startswith(MAGIC):
        raise CheckpointError(
            f"{path} is neither a checkpoint of this project nor one of the public Demucs, or lost "
            "its beginning"
        )
    payload = memoryview(data)[_HEADER_SIZE:]
    if _header(hashlib.sha256(payload).hexdigest()) != data[:_HEADER_SIZE]:
        raise CheckpointError(
            f"{path} is corrupted: its checksum does not fit its {len(data)} bytes"
        )
    try:
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and plain containers, and is not loaded: no version "
            "of this project wrote it"
        ) from error
    if content["version"] != VERSION:
        raise CheckpointError(
            f"{path} has format {content['version']}, and this version of the project reads "
            f"{VERSION}: use the version that wrote it"
        )
    return dict(content)


def newest_checkpoint(folder: str | os.PathLike[str], *, skip: int = 0) -> dict[str, Any] | None:
    """The newest good checkpoint of an experiment's folder; None if it has none at all.

    A corrupted one is passed over for the one before it, and the log says so.

    Args:
        folder: of the experiment.
        skip: 1 for the one before, if there are two.

    Raises:
        CheckpointError: there are checkpoints, and all are corrupted.
    """
    folder = Path(folder)
    if skip and (folder / PREVIOUS_NAME).exists():
        return load_checkpoint(folder / PREVIOUS_NAME)
    newest = newest_checkpoint_file(folder)
    return None if newest is None else newest[1]


def newest_checkpoint_file(folder: str | os.PathLike[str]) -> tuple[Path, dict[str, Any]] | None:
    """As `newest_checkpoint`, with the file it is from."""
    folder = Path(folder)
    names = (NAME, PREVIOUS_NAME, PUBLIC_NAME)
    paths = [folder / name for name in names if (folder / name).exists()]
    errors = [] if (folder / NAME) in paths or not paths else [f"{folder / NAME} is missing"]
    for path in paths:
        try:
            content = load_checkpoint(path)
        except CheckpointError as error:
            errors.append(str(error).rstrip("."))
            continue
        if errors:
            logger.warning("%s; using the one before it, %s", "; ".join(errors), path)
        return path, content
    if errors:
        raise CheckpointError(
            f"{'; '.join(errors)}. No good checkpoint is left in {folder}, and nothing there was "
            f"changed: bring {NAME} back from a backup{_copies(folder)}, or begin another "
            "experiment with dummy=2"
        )
    return None


def _copies(folder: Path) -> str:
    """The copies that `save_every` kept, as a remedy; empty without."""
    copies = sorted(path.name for path in folder.glob("checkpoint_*.th"))
    return f" or from {', '.join(copies)}" if copies else ""


def _keep(path: Path, previous: Path) -> None:
    """Gives `path` the name `previous` as well, so that at any time one of the two is there."""
    second = previous.with_name(f".{previous.name}.{os.getpid()}")
    try:
        os.link(path, second)
    except OSError:  # a file system without hard links
        os.replace(path, previous)
    else:
        os.replace(second, previous)
