"""Models of the HuggingFace hub, by name: `hf://NAMESPACE/NAME`, or `hf://NAME` for the public.

The layout is that of the public Demucs 4.1.0: a repository for each bag, which holds `NAME.yaml`
and `SIGNATURE.safetensors` for each model in it. `htdemucs` is in the repository HTDemucs,
`htdemucs_ft` in HTDemucs-ft, any other in Demucs-NAME; `hf://NAME` is in the namespace adefossez.

All files are those of one commit, each is checked by the hub's own checksum, and they are kept in
the cache with these (`hub.json`). Then no network is needed. $HF_ENDPOINT is another address.
"""

import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import Any

from torch import nn

from demucs.errors import ModelNotFoundError, ReleaseError
from demucs.files import atomic_path
from demucs.release.bagfile import read_bag
from demucs.release.download import AGENT, PATIENCE, DownloadError, download
from demucs.release.folder import ReleaseFolder
from demucs.release.hub_cache import RECORD, hub_folder, is_known, parse, read_record, repository
from demucs.release.info import ReleaseInfo
from demucs.release.names import SUFFIX, is_valid_name
from demucs.release.provenance import file_sha256
from demucs.release.remote import facts_of

ENDPOINT = "https://huggingface.co"
NO_NETWORK = (
    "copy the folder {} from a machine that has fetched it, or give a folder of models with --repo"
)


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
    _check(folder, record["files"], name)
    model, info = ReleaseFolder(folder).load(bag)
    for one in getattr(model, "models", []):
        one.release = _described(one.release, [one.release.signature], namespace, record)
    members = info.spec.kwargs["models"]
    return model, _described(replace(info, signature=name), members, namespace, record)


def _check(folder: Path, files: Mapping[str, str], name: str) -> None:
    for file, checksum in files.items():
        if _digest_of(checksum)(folder / file) != checksum:
            raise ReleaseError(
                f"{folder / file} is corrupted: its checksum is not the one that it was fetched "
                f"with. Remove {folder}, and ask for {name} again."
            )


def _digest_of(checksum: str) -> Callable[[Path], str]:
    return git_sha1 if len(checksum) == 40 else file_sha256


def _described(
    info: ReleaseInfo, signatures: list[str], namespace: str, record: Mapping[str, Any]
) -> ReleaseInfo:
    """With where it comes from, its licence, and what is known of the public models' data."""
    provenance = {**info.provenance, "hub": record["repository"], "commit": record["commit"]}
    if is_known(namespace, signatures):
        provenance["trained_on"], provenance["test_set_seen"] = facts_of(signatures)
    return replace(info, provenance=provenance, licence=record["licence"] or info.licence)


def _fetch(namespace: str, bag: str, folder: Path, *, progress: bool) -> dict[str, Any]:
    """Fetches a bag and its models, and writes down what they are: last, once all are there."""
    where = repository(namespace, bag)
    told = _ask(where, folder)
    files = _checksums(told)
    commit = str(told.get("sha") or "main")

    def fetch(file: str, progress: bool) -> None:
        if file not in files:
            raise ModelNotFoundError(
                f"{where} of the hub has no {file}: it is no repository of a model called {bag}. "
                f"It has: {', '.join(sorted(files)[:20]) or 'nothing'}."
            )
        path = folder / file
        digest = _digest_of(files[file])
        if path.exists():
            if digest(path) == files[file]:
                return
            path.unlink()  # of an earlier commit, or damaged
        url = f"{_endpoint()}/{where}/resolve/{commit}/{urllib.parse.quote(file)}"
        download(url, path, files[file], progress=progress, digest=digest,
                 instead=NO_NETWORK.format(folder))  # fmt: skip

    fetch(f"{bag}.yaml", False)
    wanted = [f"{bag}.yaml"]
    for signature in dict.fromkeys(read_bag(folder / f"{bag}.yaml").models):
        if not is_valid_name(signature):
            raise ReleaseError(f"{where} of the hub names a model {signature!r}, which is no name")
        fetch(f"{signature}{SUFFIX}", progress)
        wanted.append(f"{signature}{SUFFIX}")
    record = {
        "repository": where,
        "commit": commit,
        "licence": _licence(told, where),
        "files": {file: files[file] for file in wanted},
    }
    with atomic_path(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _ask(where: str, folder: Path) -> dict[str, Any]:
    """What the hub says of a repository: its commit, its files with checksums, its licence."""
    url = f"{_endpoint()}/api/models/{where}/revision/main?blobs=true"
    try:
        request = urllib.request.Request(url, headers={"User-Agent": AGENT})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            told = json.loads(answer.read(1 << 24))
        if not isinstance(told, dict):
            raise ValueError("no description of a repository")
        return told
    except urllib.error.HTTPError as error:
        if error.code in (401, 403, 404):
            raise ModelNotFoundError(
                f"The hub has no public repository {where} ({url}: {error.code}). Names are "
                "hf://NAME, or hf://NAMESPACE/NAME, such as hf://htdemucs_ft."
            ) from None
        reason = f"the server says {error.code}"
    except (http.client.HTTPException, OSError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or error) or type(error).__name__
    raise DownloadError(
        f"{url} cannot be asked: {reason}. Without a network, {NO_NETWORK.format(folder)}."
    )


def _checksums(told: Mapping[str, Any]) -> dict[str, str]:
    """By file: its sha256 where the hub stores it as a large one, else git's sha1 of it."""
    found = {}
    try:
        for one in told.get("siblings") or []:
            checksum = (one.get("lfs") or {}).get("sha256") or one.get("blobId")
            if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", str(checksum)):
                found[str(one["rfilename"])] = str(checksum)
    except (AttributeError, KeyError, TypeError) as error:
        raise DownloadError(
            f"{_endpoint()} does not answer as the HuggingFace hub does ({error}): its list of "
            "files cannot be read. Look at HF_ENDPOINT."
        ) from None
    return found


def _licence(told: Mapping[str, Any], where: str) -> str | None:
    said = (told.get("cardData") or {}).get("license")
    return f"{said}, as {where} says on the hub" if said else None


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def git_sha1(path: Path) -> str:
    """The name that git gives to a file's content."""
    content = path.read_bytes()
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
