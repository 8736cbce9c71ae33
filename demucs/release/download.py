"""Download of a file: resumed after an interruption, checked, complete or not at all."""

import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from demucs import __version__
from demucs.errors import DemucsError, explain_os_error
from demucs.process.lock import lock
from demucs.release.provenance import file_sha256

logger = logging.getLogger(__name__)

BLOCK = 1 << 18  # bytes
TRIES = 4
PATIENCE = 30.0  # seconds without a byte
AGENT = f"demucs/{__version__}"


class DownloadError(DemucsError):
    """A file could not be fetched."""


def download(
    url: str,
    path: Path,
    checksum: str,
    *,
    progress: bool = True,
) -> None:
    """Fetches `url` to `path`; an interrupted attempt is resumed from `PATH.part`.

    Of several processes, one fetches and the others wait for it.

    Args:
        url: http or https.
        path: the file to make; folders are created.
        checksum: the first digits of its sha256; empty if it is not known.
        progress: show a bar.

    Raises:
        DownloadError: no network, no such file, another checksum, or a folder that cannot be
            written; the message says what to do.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent):
            if not path.exists():  # another process may have fetched it meanwhile
                _fetch_whole(url, path, checksum, progress)
    except OSError as error:
        explained = explain_os_error(error)
        if explained is None:
            raise
        raise DownloadError(
            f"{explained}. Models are kept in {path.parent}: DEMUCS_CACHE=FOLDER in the "
            "environment chooses another folder"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits while another process, e.g. of the same SLURM job, fetches into the folder."""
    try:
        opened = (folder / ".lock").open("w")
    except PermissionError:
        if not os.access(folder, os.W_OK):
            raise
        logger.debug(
            "the lock in %s belongs to another user", folder
        )  # in a folder of several users
        yield
        return
    with opened as file:
        outcome = lock(file)
        if outcome == "held":
            logger.warning("another process fetches into %s: waiting for it", folder)
            lock(file, wait=True)
        elif outcome == "unsupported":
            logger.debug("%s has no file locks", folder)
        yield


def _fetch_whole(
    url: str,
    path: Path,
    checksum: str,
    progress: bool,
) -> None:
    part = path.with_name(f"{path.name}.part")
    for attempt in range(TRIES):
        try:
            _fetch(url, part, progress=progress)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == TRIES - 1:
                raise DownloadError(_advice(url, path, f"the server says {error.code}")) from None
        except (
            http.client.HTTPException,
            urllib.error.URLError,
            TimeoutError,
            ConnectionError,
        ) as error:
            if attempt == TRIES - 1:
                reason = getattr(error, "reason", None) or error
                raise DownloadError(
                    _advice(url, path, str(reason) or type(error).__name__)
                ) from None
        except ValueError:
            raise DownloadError(
                f"{url} is not an address: it must begin with http://, https://, or file:/// for a "
                "folder"
            ) from None
        time.sleep(0.5 * 2**attempt)
    sha256 = file_sha256(part)
    if not sha256.startswith(checksum):
        part.unlink()
        raise DownloadError(
            f"{url} came with the checksum {sha256[: len(checksum)]} instead of {checksum}: it is "
            f"removed. Try again; if that does not help, the file or the way to it was altered."
        )
    os.replace(part, path)


def _fetch(url: str, part: Path, *, progress: bool) -> None:
    """Appends to `part` what is missing.

    Raises ConnectionError if the connection ends before the file does.
    """
    present = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": AGENT} | ({"Range": f"bytes={present}-"} if present else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing, or what is there is of another file
            if error.headers.get("Content-Range", "").endswith(f"/{present}"):
                return
            part.unlink()
            raise ConnectionError("what an earlier attempt left does not fit the file") from None
        raise
    with answer:
        if answer.status != 206:  # it sends all of it
            present = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else present + int(length)
        with (
            part.open("ab" if present else "wb") as file,
            tqdm(total=total, initial=present, unit="B", unit_scale=True, unit_divisor=1024,
                 desc=part.name.removesuffix(".part"), disable=not progress) as bar,
        ):  # fmt: skip
            while block := answer.read(BLOCK):
                file.write(block)
                bar.update(len(block))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"the connection ended after {part.stat().st_size} of {total} bytes")


def _advice(url: str, path: Path, reason: str) -> str:
    return (
        f"{url} cannot be fetched: {reason}. Without a network, fetch it on another machine and "
        f"put it into {path.parent}, under its own name; or give a folder that has it with --repo."
    )
