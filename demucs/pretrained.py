"""Trained models by name."""

import os
from difflib import get_close_matches

from torch import nn

from demucs.errors import ModelNotFoundError
from demucs.release import DEFAULT_FOLDER, ReleaseFolder
from demucs.release.remote import catalogue, is_remote, load_remote, remote_names


def get_model(name: str, repo: str | os.PathLike[str] | None = None) -> nn.Module:
    """Loads the model or bag `name` from a folder of models, in evaluation mode.

    Args:
        name: as `tools.export` named it, by default the signature of the training run; or that of
            a file of the public Demucs, or of a bag (see `demucs.release.folder`).
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
    """
    folder = ReleaseFolder(DEFAULT_FOLDER if repo is None else repo)
    if repo is None and is_remote(name) and name not in (*folder.names(), *folder.bags()):
        model, info = load_remote(name)
    else:
        try:
            model, info = folder.load(name)
        except ModelNotFoundError as error:
            near = get_close_matches(name, remote_names(), n=3, cutoff=0.6) if repo is None else []
            if not near and repo is None:
                published = ", ".join(catalogue()["bags"])
                raise ModelNotFoundError(f"{error} Published models: {published}.") from None
            if not near:
                raise
            raise ModelNotFoundError(
                f"{error} Of the published models, did you mean {' or '.join(near)}?"
            ) from None
    model.release = info  # type: ignore[assignment]
    return model
