"""Loading of trained models by name: `get_model`."""

import os
from difflib import get_close_matches

from torch import nn

from demucs.apply.parameters import path_of
from demucs.errors import ConfigError, ModelNotFoundError, ReleaseError
from demucs.files import path_errors
from demucs.release import DEFAULT_FOLDER, ReleaseFolder, ReleaseInfo
from demucs.release.bag import assemble_bag
from demucs.release.bagfile import bag_of_name
from demucs.release.hub import load_hub
from demucs.release.hub_cache import is_hub
from demucs.release.remote import catalogue, is_remote, load_remote, remote_names


@path_errors()
def get_model(name: str, repo: str | os.PathLike[str] | None = None) -> nn.Module:
    """Loads the model or bag `name` from a folder of models, in evaluation mode.

    Args:
        name: as `tools.export` named it, by default the signature of the training run; or that of
            a file of the public Demucs, or of a bag (see `demucs.release.folder`). Or several
            names, `A,B`, for a bag of these, with weights `A:1:0,B:0:1` (a number a stem, or one
            for all). Or `hf://NAME`, `hf://NAMESPACE/NAME`: a model of the Hugging Face Hub.
        repo: the folder; if not given, `./release_models`, and then the published models, which
            are fetched once (see `demucs.release.remote`).

    Returns:
        The network, or bag of networks, with its description (`demucs.release.ReleaseInfo`) as
        attribute `release`, beside `sources`, `audio_channels`, `samplerate` (Hz) and `segment`
        (seconds).

    Raises:
        DownloadError: a published model cannot be fetched.
        ModelNotFoundError: there is no such model; the message says where it was looked for,
            which names are there, which are near, and how to make it.
        ReleaseError: the file is corrupted or of another format.
        PathError: the folder or a file may not be read, or the cache may not be written.
    """
    if not isinstance(name, str):
        raise ConfigError(f"model={name!r}: give the name of a model, such as 'htdemucs'.")
    folder = ReleaseFolder(DEFAULT_FOLDER if repo is None else path_of("repo", repo))
    names = (*folder.names(), *folder.bags())
    listed = None if name in names or is_hub(name) else bag_of_name(name)
    if is_hub(name):
        model, info = load_hub(name)
    elif listed is not None:
        model, info = assemble_bag(
            name, listed, lambda member: _load_one(member, folder, repo is None)
        )
    elif repo is None and name not in names and is_remote(name):
        model, info = load_remote(name)
    else:
        model, info = _load_local(name, folder, repo is None)
    model.release = info  # type: ignore[assignment]
    return model


def _load_one(name: str, folder: ReleaseFolder, remote: bool) -> tuple[nn.Module, ReleaseInfo]:
    """A sub-model of a bag, which is not a bag."""
    if not remote or name in (*folder.names(), *folder.bags()) or not is_remote(name):
        return folder.load_one(name)
    if name in catalogue()["bags"]:
        models = ", ".join(dict.fromkeys(catalogue()["bags"][name]["models"]))
        raise ReleaseError(f"{name} is a bag, and cannot be in another one; it has {models}")
    return load_remote(name)


def _load_local(name: str, folder: ReleaseFolder, remote: bool) -> tuple[nn.Module, ReleaseInfo]:
    try:
        return folder.load(name)
    except ModelNotFoundError as error:
        near = get_close_matches(name, remote_names(), n=3, cutoff=0.6) if remote else []
        hint = ""
        if remote and not near:
            hint = f" Published models: {', '.join(catalogue()['bags'])}."
        elif near:
            hint = f" Of the published models, did you mean {' or '.join(near)}?"
        if "/" in name:
            hint += f" For a model of the Hugging Face Hub, give hf://{name}"
        raise ModelNotFoundError(f"{error}{'.' * bool(hint)}{hint}") from None
