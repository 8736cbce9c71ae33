"""The start of a run: its own checkpoint, another run's weights, or random ones."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demucs.errors import CheckpointError, ConfigError, ModelNotFoundError
from demucs.experiment.record import CHECKPOINTS, PUBLIC_CHECKPOINT, with_checkpoint
from demucs.nn import torchaudio_network
from demucs.pretrained import get_model
from demucs.release.checkpoint import newest_checkpoint
from demucs.release.public_run import ORIGIN as PUBLIC
from demucs.training.monitor.reference import Reference
from demucs.training.online_teacher import load_teacher
from demucs.training.optim.optimizer import load_optimiser
from demucs.training.run_config import RunConfig
from demucs.training.state import TrainingState
from demucs.training.transfer import load_matching

logger = logging.getLogger(__name__)

_NO_MATTER = ("misc.", "dora.", "slurm.")
_FOLDERS = ("dset.musdb", "dset.metadata")


def start_from(state: TrainingState, run: RunConfig, folder: Path) -> Mapping[str, Any] | None:
    """Brings `state` to where this run continues from.

    The newest good checkpoint in `folder` comes first; without one, `continue_from` or
    `continue_pretrained`.

    Returns:
        The checkpoint in `folder`; None without one.

    Raises:
        CheckpointError: the checkpoints there are corrupted or of another model.
        ConfigError, ModelNotFoundError, ReleaseError: what to continue from does not exist or fit.
    """
    content = newest_checkpoint(folder)
    if content is not None:
        public = content.get("origin") == PUBLIC
        changed = differences(content["config"], run.plain, shared=public)
        if changed:
            logger.warning("since the checkpoint was written, these keys changed: %s", changed)
        state.restore(content)
        if public:
            _say_public(folder, state)
        logger.info("resuming after %s", _progress(state))
    elif run.options.continue_from is not None:
        _continue_from(state, run, folder.parent / run.options.continue_from)
    elif run.options.continue_pretrained is not None:
        name, repo = run.options.continue_pretrained, run.options.pretrained_repo
        release = get_model(name, repo)
        sources = list(release.sources)  # type: ignore[arg-type]
        load_matching(state.model, release.state_dict(), f"the release {name}", sources)
    if state.teacher is not None:
        state.teacher.begin(state.model)
    return content


def check_start(run: RunConfig, folder: Path) -> None:
    """Refuses what a run cannot start from, or be compared with, before it looks at any song.

    A run that resumes from its own checkpoint in `folder` needs no other origin any more.

    Raises:
        ConfigError: `misc.reference` cannot be read, or `semi.teacher` has other stems.
        MissingToolError: `model=torch_hdemucs` without torchaudio.
        ModelNotFoundError, ReleaseError: `continue_from`, `continue_pretrained` or `semi.teacher`
            does not exist.
    """
    options = run.options
    if run.spec.name == "torch_hdemucs":
        torchaudio_network()
    if options.misc.reference is not None:
        Reference.load(options.misc.reference)
    if any((folder / name).exists() for name in CHECKPOINTS):
        return
    if options.continue_from is not None:
        _check_origin(folder.parent / options.continue_from)
    if options.continue_pretrained is not None:
        get_model(options.continue_pretrained, options.pretrained_repo)
    if options.semi.has_teacher and options.semi.teacher is not None:
        load_teacher(options)


def _check_origin(folder: Path) -> None:
    there = with_checkpoint(folder.parent)
    if folder.name not in there:
        raise ModelNotFoundError(
            f"continue_from={folder.name}: there is no checkpoint in {folder}; experiments that "
            f"have one: {', '.join(there) or 'none'}"
        )


def _continue_from(state: TrainingState, run: RunConfig, folder: Path) -> None:
    """The weights, and with `continue_opt` the optimiser's state, of another experiment."""
    origin = f"the experiment {folder.name}"
    _check_origin(folder)
    content = newest_checkpoint(folder)
    assert content is not None
    best = content["best"] if run.options.continue_best else None
    weights = content["model"] if best is None else best["state"]
    sources = content["spec"]["kwargs"]["sources"]
    transfer = load_matching(state.model, weights, origin, sources)
    if not run.options.continue_opt:
        return
    if not transfer.complete:
        raise ConfigError(
            f"continue_opt=true, but {origin} has another model ({transfer.report()}): its "
            "optimiser's state does not fit; set continue_opt=false"
        )
    try:
        load_optimiser(state.optimiser, content["optimiser"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"the optimiser's state of {origin} does not fit: {error}") from error


def _progress(state: TrainingState) -> str:
    inside = f" and {state.batch} batches" if state.batch else ""
    if "train" in state.pending:
        inside = " and the next one's training"
        inside += " and validation" if "valid" in state.pending else ""
    return f"{state.epoch} epochs{inside}"


def _say_public(folder: Path, state: TrainingState) -> None:
    """Says what a checkpoint of the public Demucs had, and what it did not."""
    logger.info(
        "%s was trained by the public Demucs: weights, moving averages, the optimiser's moments, "
        "history and best state are taken over; it has no random states and no place inside an "
        "epoch, so that epoch %d begins with examples in our order. Its checkpoint stays as %s",
        folder.name, state.epoch + 1, PUBLIC_CHECKPOINT,
    )  # fmt: skip


def differences(old: Mapping[str, Any], new: Mapping[str, Any], *, shared: bool = False) -> str:
    """What differs between two configurations, as `key: old → new`, but for keys without effect.

    Args:
        old, new: the configurations.
        shared: compare only keys that both have, and no folders of datasets.
    """
    before, after = _flat(old), _flat(new)
    absent = "(absent)"
    keys = {*before} & {*after} - set(_FOLDERS) if shared else {*before, *after}
    return ", ".join(
        f"{key}: {before.get(key, absent)} → {after.get(key, absent)}"
        for key in sorted(keys)
        if not key.startswith(_NO_MATTER) and before.get(key, absent) != after.get(key, absent)
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
