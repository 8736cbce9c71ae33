"""The best state of a training run, from its checkpoint or from a copy of it that was kept."""

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor

from demucs.errors import CheckpointError, ConfigError, ModelNotFoundError, ReleaseError
from demucs.experiment.record import with_checkpoint
from demucs.nn import ModelSpec, build_model
from demucs.release import (
    DEFAULT_LICENCE,
    ReleaseInfo,
    file_sha256,
    is_valid_name,
    provenance_of,
    weights_sha256,
)
from demucs.release.checkpoint import NAME, load_checkpoint, newest_checkpoint_file

logger = logging.getLogger(__name__)


def find_checkpoint(signature: str, dora_dir: Path, epoch: int | None = None) -> Path:
    """The checkpoint of run `signature`, or the copy that `save_every` kept after `epoch`.

    Raises:
        ModelNotFoundError: there is no such run, it has saved nothing yet, or kept no such copy.
    """
    folder = dora_dir / "xps"
    if epoch is not None:
        return _copy_of(find_checkpoint(signature, dora_dir), epoch)
    path = folder / signature / NAME
    if is_valid_name(signature) and path.is_file():
        return path
    there = with_checkpoint(folder)
    if is_valid_name(signature) and (folder / signature).is_dir():
        problem = f"The run {signature} has no {NAME} in {folder / signature} yet."
    else:
        problem = f"There is no training run {signature!r} in {folder.absolute()}."
    near = get_close_matches(signature, there, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    runs = f"Runs with a checkpoint: {', '.join(there[:20])}." if there else "No run has one."
    raise ModelNotFoundError(
        f"{problem}{hint} {runs} Give another folder with --dora_dir, or train first."
    )


def _copy_of(checkpoint: Path, epoch: int) -> Path:
    copy = checkpoint.with_name(f"{checkpoint.stem}_{epoch}{checkpoint.suffix}")
    if copy.is_file():
        return copy
    numbers = sorted(
        int(path.stem.rpartition("_")[2])
        for path in checkpoint.parent.glob(f"{checkpoint.stem}_*{checkpoint.suffix}")
        if path.stem.rpartition("_")[2].isdigit()
    )
    raise ModelNotFoundError(
        f"{checkpoint.parent} has no copy of the checkpoint after epoch {epoch}; it has those of "
        f"{', '.join(map(str, numbers)) or 'none'} (save_every=N keeps one every N epochs)."
    )


def release_of(
    signature: str, checkpoint_path: Path, *, half: bool = False, licence: str = DEFAULT_LICENCE
) -> tuple[dict[str, Tensor], ReleaseInfo]:
    """The best state of a checkpoint and its description, checked to fit each other.

    Raises:
        CheckpointError: the file is corrupted, or no epoch has been validated yet.
        ReleaseError: the weights are not finite, or do not fit half precision.
    """
    if checkpoint_path.name == NAME:  # or the one before it, if it is broken
        found = newest_checkpoint_file(checkpoint_path.parent)
        assert found is not None
        checkpoint_path, checkpoint = found
    else:
        checkpoint = load_checkpoint(checkpoint_path)
    best = checkpoint.get("best") or {}
    if not best.get("state"):
        raise CheckpointError(
            f"{checkpoint_path} has no best state: train at least one epoch with validation first."
        )
    state = _precision(best["state"], half, checkpoint_path)
    spec = ModelSpec.from_dict(checkpoint["spec"])
    try:
        build_model(spec).load_state_dict(state)
    except (ConfigError, RuntimeError) as error:
        raise CheckpointError(
            f"{checkpoint_path}: its best state does not fit its model: {error}"
        ) from error
    provenance = provenance_of(checkpoint, file_sha256(checkpoint_path))
    provenance["precision"] = "float16" if half else "float32"
    if half and "quantised" in provenance:
        logger.warning("--half rounds the quantised weights once more: leave it out to keep them")
    provenance["weights_sha256"] = weights_sha256(state)
    info = ReleaseInfo(
        signature=str(checkpoint.get("signature") or signature),
        spec=spec,
        config=dict(checkpoint["config"]),
        provenance=provenance,
        licence=licence,
    )
    return state, info


def _precision(state: Mapping[str, Any], half: bool, path: Path) -> dict[str, Tensor]:
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise ReleaseError(
                f"{path}: the weights {name} hold NaN or infinity, so the run has diverged: "
                "train again from an earlier state."
            )
        stored[name] = tensor.half() if half and tensor.is_floating_point() else tensor
        if not stored[name].isfinite().all():
            raise ReleaseError(
                f"{path}: the weights {name} are too large for float16: export without --half."
            )
    return stored
