"""Models of the Hugging Face Hub, by name: `hf://NAMESPACE/NAME`, or `hf://NAME` for the public.

The layout is that of the public Demucs 4.1.0: a repository for each bag, which holds `NAME.yaml`
and `SIGNATURE.safetensors` for each model in it. `htdemucs` is in the repository HTDemucs,
`htdemucs_ft` in HTDemucs-ft, any other in Demucs-NAME; `hf://NAME` is in the namespace adefossez.

The library `huggingface_hub` fetches, and resumes where a connection breaks. All files are those of
one commit, kept in the cache of this project with their checksums (`hub.json`), so that a folder
can be copied to a machine without a network; checksums are compared at each loading. $HF_ENDPOINT
is another address; the token of `hf auth login` opens private repositories.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from tqdm import tqdm

from demucs.errors import DemucsError, ModelNotFoundError, ReleaseError, explain_os_error
from demucs.files import atomic_path
from demucs.release.bagfile import read_bag
from demucs.release.download import AGENT, PATIENCE, DownloadError
from demucs.release.folder import ReleaseFolder
from demucs.release.hub_cache import RECORD, hub_folder, is_known, parse, read_record, repository
from demucs.release.info import ReleaseInfo
from demucs.release.names import SUFFIX, is_valid_name
from demucs.release.provenance import file_sha256
from demucs.release.remote import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub.hf_api import ModelInfo

ENDPOINT = "https://huggingface.co"


def load_hub(name: str, *, progress: bool = True) -> tuple[nn.Module, ReleaseInfo]:
    """The bag `name` of the hub, fetched if it is not there yet, and what is known of it.

    Raises:
        ModelNotFoundError: no such name, repository or file.
        DownloadError: it cannot be fetched, or is not what the hub says it is.
        ReleaseError, MissingToolError: as `ReleaseFolder.load`.
    """
    namespace, bag = parse(name)
    folder = hub_folder(namespace, bag)
    record = read_record(folder)
    if record is None:
        record = _fetch(namespace, bag, folder, progress=progress)
    for file, checksum in record["files"].items():
        if _digest_of(checksum)(folder / file) != checksum:
            raise ReleaseError(
                f"{folder / file} is corrupted: its checksum is not the one that it was fetched "
                f"with. Move {folder} away, and ask for {name} again."
            )
    model, info = ReleaseFolder(folder).load(bag)
    for member in getattr(model, "models", []):
        member.release = _described(member.release, [member.release.signature], namespace, record)
    members = info.spec.kwargs["models"]
    return model, _described(replace(info, signature=name), members, namespace, record)


def _described(
    info: ReleaseInfo, signatures: list[str], namespace: str, record: Mapping[str, Any]
) -> ReleaseInfo:
    """With where it comes from, its licence, and what is known of the public models' data."""
    provenance = {**info.provenance, "hub": record["repository"], "commit": record["commit"]}
    if is_known(namespace, signatures):
        provenance["trained_on"], provenance["test_set_seen"] = facts_of(signatures)
    return replace(info, provenance=provenance, licence=record["licence"] or info.licence)


def _fetch(namespace: str, bag: str, folder: Path, *, progress: bool) -> dict[str, Any]:
    """Fetches a bag and its models, and writes the record of them: last, once all are there."""
    name = repository(namespace, bag)
    with _explained(name, folder):
        info = _api().model_info(name, revision="main", files_metadata=True, timeout=PATIENCE)
        checksums = _checksums(info)
    commit = str(info.sha or "main")

    def fetch(file: str, progress: bool) -> None:
        if file not in checksums:
            raise ModelNotFoundError(
                f"{name} of the hub has no {file}: it is not the repository of a model called "
                f"{bag}. It has: {', '.join(sorted(checksums)[:20]) or 'nothing'}."
            )
        with _explained(name, folder):
            _fetch_file(name, commit, file, checksums[file], folder, progress)

    fetch(f"{bag}.yaml", False)
    files = [f"{bag}.yaml"]
    for signature in dict.fromkeys(read_bag(folder / f"{bag}.yaml").models):
        if not is_valid_name(signature):
            raise ReleaseError(
                f"{name} of the hub names a model {signature!r}, which is not a valid name"
            )
        fetch(f"{signature}{SUFFIX}", progress)
        files.append(f"{signature}{SUFFIX}")
    licence = (info.card_data or {}).get("license")
    record = {
        "repository": name,
        "commit": commit,
        "licence": f"{licence}, as {name} says on the hub" if licence else None,
        "files": {file: checksums[file] for file in files},
    }
    with atomic_path(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _fetch_file(
    name: str, commit: str, file: str, checksum: str, folder: Path, progress: bool
) -> None:
    from huggingface_hub import hf_hub_download

    path, digest = folder / file, _digest_of(checksum)
    if path.exists():
        if digest(path) == checksum:
            return
        path.unlink()  # of an earlier commit, or damaged
    hf_hub_download(
        name, file, revision=commit, local_dir=folder, endpoint=_endpoint(), user_agent=AGENT,
        etag_timeout=PATIENCE, tqdm_class=tqdm if progress else _NoBar,
    )  # fmt: skip
    sha = digest(path)
    if sha != checksum:
        path.unlink()
        raise DownloadError(
            f"{file} of {name} came with the checksum {sha} instead of {checksum}: it is "
            "removed. Try again; if that does not help, the file or the way to it was altered."
        )


class _NoBar(tqdm):  # type: ignore[type-arg]  # not generic when the program runs
    """A bar that is not shown."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": True})


def _api() -> Any:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    from huggingface_hub import HfApi

    return HfApi(endpoint=_endpoint(), user_agent=AGENT)


def _checksums(info: "ModelInfo") -> dict[str, str]:
    """By file: its sha256 where the hub stores it as a large one, else git's sha1 of it."""
    checksums = {}
    for file in info.siblings or []:
        checksum = str(file.lfs.sha256 if file.lfs else file.blob_id)
        if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", checksum):
            checksums[file.rfilename] = checksum
    return checksums


@contextmanager
def _explained(name: str, folder: Path) -> "Iterator[None]":
    """Turns what the library raises into one message with a remedy.

    Raises:
        ModelNotFoundError: no such repository, or it is not open to everybody.
        DownloadError: anything else.
    """
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
        return
    except DemucsError:
        raise
    except Exception as raised:  # of several HTTP libraries, and of answers that are not the hub's
        error = raised if isinstance(raised, HfHubHTTPError) else raised.__cause__ or raised
    if isinstance(error, HfHubHTTPError):
        status = getattr(error.response, "status_code", None)
        if status in (401, 403, 404):
            raise ModelNotFoundError(
                f"The hub has no public repository {name} ({_endpoint()}: {status}). Names are "
                "hf://NAME, or hf://NAMESPACE/NAME, such as hf://htdemucs_ft; `hf auth login` "
                "opens private ones."
            )
        reason = f"the server says {status}"
    elif isinstance(error, ValueError | TypeError | LookupError | AttributeError):
        raise DownloadError(
            f"{_endpoint()} does not answer like the Hugging Face Hub "
            f"({type(error).__name__}: {error}). Check HF_ENDPOINT."
        )
    else:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        explained = explain_os_error(error) if isinstance(error, OSError) else None
        if explained is not None and getattr(error, "filename", None):
            raise DownloadError(
                f"{explained}. Models are kept in {folder}: DEMUCS_CACHE=FOLDER in the "
                "environment chooses another folder"
            ) from error
    raise DownloadError(
        f"{name} cannot be fetched from {_endpoint()}: {reason}. Without a network, copy the "
        f"folder {folder} from a machine that has fetched it, or give a folder of models with "
        "--repo. If HF_ENDPOINT or HF_HUB_OFFLINE is set, check it."
    )


def _digest_of(checksum: str) -> Callable[[Path], str]:
    return git_sha1 if len(checksum) == 40 else file_sha256


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def git_sha1(path: Path) -> str:
    """The name that git gives to a file's content."""
    content = path.read_bytes()
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
