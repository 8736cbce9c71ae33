"""The best weights of a training run, from its checkpoint: for `demucs -s SIG` and `tools.export`.

The checkpoint is read as plain data, so neither the solver nor a data set is needed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from demucs.errors import CheckpointError, ConfigError, ModelNotFoundError
from demucs.experiment.record import outputs_folder, with_checkpoint
from demucs.nn import ModelSpec, build_model
from demucs.release.checkpoint import NAME, load_checkpoint, newest_checkpoint_file
from demucs.release.names import first_names, is_valid_name, nearest_names


@dataclass(frozen=True, kw_only=True)
class BestModel:
    """The best model of a checkpoint.

    Attributes:
        path: the file it was read from.
        checkpoint: the whole content of that file.
        spec: of the network.
        state: the weights as they are stored.
        network: with these weights, in evaluation mode.
    """

    path: Path
    checkpoint: dict[str, Any]
    spec: ModelSpec
    state: dict[str, Tensor]
    network: nn.Module


def load_experiment(signature: str) -> nn.Module:
    """The best model so far of a run in `outputs_folder()`, in evaluation mode.

    Raises:
        ModelNotFoundError: see `find_checkpoint`.
        CheckpointError: see `read_best`.
    """
    return read_best(find_checkpoint(signature, outputs_folder())).network


def find_checkpoint(signature: str, dora_dir: Path, epoch: int | None = None) -> Path:
    """The checkpoint of run `signature`, or the copy that `save_every` kept after `epoch`.

    Raises:
        ModelNotFoundError: there is no such run, it has saved nothing yet, or kept no such copy.
    """
    folder = dora_dir / "xps"
    path = folder / signature / NAME
    if not is_valid_name(signature) or not path.is_file():
        signatures = with_checkpoint(folder)
        problem = f"There is no training run {signature!r} in {folder.absolute()}."
        if is_valid_name(signature) and path.parent.is_dir():
            problem = f"The run {signature} has no {NAME} in {path.parent} yet."
        runs = (
            f"There are: {first_names(signatures)}." if signatures else "No run has a checkpoint."
        )
        raise ModelNotFoundError(
            f"{problem} {nearest_names(signature, signatures)}{runs} Train it with `dora run`, or "
            "set DEMUCS_OUTPUTS to the folder of its runs (--dora_dir of tools.export)."
        )
    return path if epoch is None else _copy_after(epoch, path)


def _copy_after(epoch: int, checkpoint: Path) -> Path:
    copy = checkpoint.with_name(f"{checkpoint.stem}_{epoch}{checkpoint.suffix}")
    if copy.is_file():
        return copy
    epochs = sorted(
        int(path.stem.rpartition("_")[2])
        for path in checkpoint.parent.glob(f"{checkpoint.stem}_*{checkpoint.suffix}")
        if path.stem.rpartition("_")[2].isdigit()
    )
    raise ModelNotFoundError(
        f"{checkpoint.parent} has no copy of the checkpoint after epoch {epoch}; it has those of "
        f"{', '.join(map(str, epochs)) or 'none'} (save_every=N keeps one every N epochs)."
    )


def read_best(path: Path) -> BestModel:
    """The best model of a checkpoint; if the newest one is corrupted, of the one before it.

    Raises:
        CheckpointError: the file is corrupted, no epoch has been validated yet, or its weights do
            not fit its network.
    """
    checkpoint: dict[str, Any] | None = None
    if path.name == NAME:
        newest = newest_checkpoint_file(path.parent)
        path, checkpoint = newest or (path, None)
    checkpoint = checkpoint or load_checkpoint(path)
    remedy = f"`dora run -f {path.parent.name}` resumes the training."
    state = (checkpoint.get("best") or {}).get("state")
    if not state:
        raise CheckpointError(
            f"{path} has no best state: train at least one epoch with validation. {remedy}"
        )
    try:
        spec = ModelSpec.from_dict(checkpoint["spec"])
        network = build_model(spec).eval()
        network.load_state_dict(state)
    except (ConfigError, RuntimeError, LookupError, TypeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise CheckpointError(
            f"The best state in {path} does not fit its model, or is of another version "
            f"({type(error).__name__}: {reason}). {remedy}"
        ) from error
    return BestModel(path=path, checkpoint=checkpoint, spec=spec, state=state, network=network)
