"""The columns that `dora grid` shows of each experiment."""

from collections.abc import Mapping, Sequence
from typing import Any

import treetable
from dora import Explorer, Launcher
from dora.log import fatal

from demucs.errors import DemucsError


class SeparationExplorer(Explorer):  # type: ignore[misc]
    """A table of what differs between experiments, and their losses, nSDR and SDR.

    nSDR and SDR are means over songs of the test set in dB; `sdr_med` is the median over songs, as
    papers have it. What has not been measured yet is left empty.
    """

    common: Sequence[str] = ()

    def __call__(self, launcher: Launcher) -> None:
        """Lists the experiments; an error of the user's ends `dora grid` with one line."""
        try:
            super().__call__(launcher)
        except DemucsError as error:
            fatal(str(error))

    def starts_from(self, overrides: Sequence[str]) -> list[str]:
        """Overrides of every experiment, which its row then does not repeat."""
        self.common = list(overrides)
        return self.common

    def get_grid_meta(self) -> list[Any]:
        """Dora's columns but the name: it has every override, and would push the rest out."""
        return [leaf for leaf in super().get_grid_meta() if leaf.key != "name"]

    def get_grid_metrics(self) -> list[Any]:
        """Columns, in groups by stage."""
        return [
            treetable.group("with", [treetable.leaf("overrides")]),
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

    def process_sheep(self, sheep: Any, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A row: the overrides of the experiment beyond the common ones, and its metrics."""
        common = set(self.common)
        words = [word for word in sheep.xp.argv if word not in common]
        return {"with": {"overrides": " ".join(words)}, **self.process_history(history)}

    def process_history(self, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The latest metrics of each stage; `test` may be some epochs old."""
        shown: dict[str, Any] = {"train": {"epoch": len(history)}, "valid": {}, "test": {}}
        for metrics in history:
            for stage in ("train", "valid", "test"):
                shown[stage].update(metrics.get(stage, {}))
        return shown
