"""Starting from the weights of another run, and saying which of them fitted."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from demucs.errors import ConfigError

logger = logging.getLogger(__name__)

SHOWN = 8  # names in a message


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What became of the weights, by name.

    Attributes:
        loaded: taken over.
        reshaped: of another shape there than here; left as they were.
        missing: not there; left as they were.
        unused: there, but not in this model.
    """

    loaded: list[str]
    reshaped: list[str]
    missing: list[str]
    unused: list[str]

    @property
    def complete(self) -> bool:
        return not (self.reshaped or self.missing or self.unused)

    def report(self) -> str:
        """One sentence for the log, with the first names of each kind."""
        total = len(self.loaded) + len(self.reshaped) + len(self.missing)
        parts = [f"loaded {len(self.loaded)} of {total} tensors"]
        for title, names in (
            ("of another shape", self.reshaped),
            ("not there", self.missing),
            ("there but not used", self.unused),
        ):
            if names:
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                parts.append(f"{len(names)} {title} ({', '.join(names[:SHOWN])}{more})")
        return "; ".join(parts)


def load_matching(model: nn.Module, state: Mapping[str, Tensor], origin: str) -> Transfer:
    """Copies the tensors of `state` whose name and shape `model` has.

    Args:
        origin: where they are from, for messages.

    Raises:
        ConfigError: none fits.
    """
    own = model.state_dict()
    common = [name for name in own if name in state]
    loaded = [name for name in common if own[name].shape == state[name].shape]
    transfer = Transfer(
        loaded=loaded,
        reshaped=[name for name in common if own[name].shape != state[name].shape],
        missing=[name for name in own if name not in state],
        unused=[name for name in state if name not in own],
    )
    if not loaded:
        raise ConfigError(
            f"no weight of {origin} fits this model ({transfer.report()}): continue from an "
            "experiment with the same model"
        )
    with torch.no_grad():
        for name in loaded:
            own[name].copy_(state[name])
    logger.info("from %s: %s", origin, transfer.report())
    return transfer
