"""Identity of an experiment: its signature, name and folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The experiment that a run belongs to.

    Attributes:
        signature, name: of the experiment; the name lists its overrides, in short.
        folder: of all its files.
        on_history: called with the metrics of all epochs, at the start and after each.
    """

    signature: str
    name: str
    folder: Path
    on_history: Callable[[list[dict[str, Any]]], None]

    @classmethod
    def of(cls, xp: Any, name: str) -> "Experiment":
        """The identity of Dora's `xp`, whose history is written through Dora."""
        return cls(
            signature=xp.sig, name=name, folder=Path(xp.folder), on_history=xp.link.update_history
        )
