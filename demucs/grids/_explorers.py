"""What `dora grid` shows of each experiment."""

from collections.abc import Mapping, Sequence
from typing import Any

import treetable
from dora import Explorer


class SeparationExplorer(Explorer):  # type: ignore[misc]
    """A table of losses, nSDR and SDR by experiment."""

    def get_grid_metrics(self) -> list[Any]:
        """Columns, in groups by stage."""
        return [
            treetable.group("train", [treetable.leaf("epoch"), treetable.leaf("loss", ".4f")]),
            treetable.group(
                "valid",
                [
                    treetable.leaf("loss", ".4f"),
                    treetable.leaf("nsdr", ".2f"),
                    treetable.leaf("best", ".4f"),
                    treetable.leaf("bname"),
                    treetable.leaf("penalty", ".1f"),
                ],
            ),
            treetable.group(
                "test",
                [
                    treetable.leaf("nsdr", ".2f"),
                    treetable.leaf("sdr", ".2f"),
                    treetable.leaf("sdr_med", ".2f"),
                ],
            ),
        ]

    def process_history(self, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The latest metrics of each stage; `test` may be some epochs old."""
        shown: dict[str, Any] = {"train": {"epoch": len(history)}, "valid": {}, "test": {}}
        for metrics in history:
            for stage in ("train", "valid", "test"):
                shown[stage].update(metrics.get(stage, {}))
        return shown
