"""Trained models by name."""

import os

from torch import nn

from demucs.release import DEFAULT_FOLDER, ReleaseFolder


def get_model(name: str, repo: str | os.PathLike[str] | None = None) -> nn.Module:
    """Loads the model or bag `name` from a folder of models, in evaluation mode.

    Args:
        name: as `tools.export` named it, by default the signature of the training run; or that of
            a file of the public Demucs, or of a bag (see `demucs.release.folder`).
        repo: the folder; `./release_models` if not given.

    Returns:
        The network, or bag of networks, with its description (`demucs.release.ReleaseInfo`) as
        attribute `release`, beside `sources`, `audio_channels`, `samplerate` (Hz) and `segment`
        (seconds).

    Raises:
        ModelNotFoundError: there is no such model; the message says where it was looked for,
            which names are there, which are near, and how to make it.
        ReleaseError: the file is corrupted or of another format.
    """
    model, info = ReleaseFolder(DEFAULT_FOLDER if repo is None else repo).load(name)
    model.release = info  # type: ignore[assignment]
    return model
