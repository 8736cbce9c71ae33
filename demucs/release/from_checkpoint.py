"""The model of an experiment trained on this machine, from its checkpoint (`demucs -s SIG`).

The checkpoint is read as plain data: separating needs neither the solver nor the data sets.
"""

import os

from torch import nn

from demucs.errors import CheckpointError, ModelNotFoundError
from demucs.experiment.record import outputs_folder, with_checkpoint
from demucs.nn import ModelSpec, build_model
from demucs.release.checkpoint import NAME, newest_checkpoint


def load_experiment(signature: str) -> nn.Module:
    """The best model so far of the experiment `signature`, in evaluation mode.

    Raises:
        ModelNotFoundError: no such experiment, or it has not finished an epoch.
        CheckpointError: its checkpoint is corrupted.
    """
    folder = outputs_folder() / "xps"
    path = folder / signature / NAME
    if os.sep in signature or not path.is_file():
        known = ", ".join(with_checkpoint(folder)) or "none"
        raise ModelNotFoundError(
            f"No checkpoint of experiment {signature!r} in {folder}. There are: {known}. "
            "Train it with `dora run`, or name a release with -n."
        )
    state = newest_checkpoint(path.parent)
    assert state is not None
    try:
        model = build_model(ModelSpec.from_dict(state["spec"]))
        model.load_state_dict(state["best"]["state"])
    except (RuntimeError, LookupError, TypeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise CheckpointError(
            f"{path} has no best model yet, or is of another version "
            f"({type(error).__name__}: {reason}). Go on with the training to write it again: "
            f"`dora run -f {signature}`."
        ) from error
    return model.eval()
