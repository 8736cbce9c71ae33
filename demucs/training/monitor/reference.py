"""Comparison of a run with the curve of another, its reference, epoch by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demucs.errors import ConfigError
from demucs.evaluation.results.published_rows import first_epochs, published
from demucs.experiment.run import HISTORY, finite_number, parse_history

PUBLIC = "public"  # the first epochs of a public run, instead of a path
SHOWN = (
    ("train", "loss", ".5f", ""),
    ("valid", "loss", ".5f", ""),
    ("valid", "nsdr", ".2f", " dB"),
)
_LOWER_IS_BETTER = "loss"


class Reference:
    """The history of a run to compare with.

    Args:
        history: one entry an epoch, as Dora's `history.json`.
        name: for messages.
        is_whole: the run ended there, so later epochs are compared with its last one.
    """

    def __init__(
        self, history: Sequence[Mapping[str, Any]], name: str, *, is_whole: bool = True
    ) -> None:
        self.history, self.name, self.is_whole = history, name, is_whole

    @classmethod
    def load(cls, place: str | Path) -> "Reference":
        """Reads a `history.json`, or that of the experiment whose folder `place` is.

        Args:
            place: a path, or `public`: the first epochs of a public run. A folder of that name is
                `./public`.

        Raises:
            ConfigError: there is none, or it is empty or no history.
        """
        if place == PUBLIC:
            source = published()["first_epochs"]["source"]
            return cls(first_epochs(), f"{PUBLIC} ({source})", is_whole=False)
        path = Path(place)
        file = path / HISTORY if path.is_dir() else path
        try:
            history = parse_history(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"misc.reference={path} cannot be read as a history ({error}): give a "
                "history.json, the folder of an experiment, or `public`"
            ) from None
        if not history:
            raise ConfigError(f"misc.reference={path} has no epochs: give a history that has some")
        return cls(history, file.parent.name)

    def line(self, epoch: int, metrics: Mapping[str, Any]) -> str:
        """How the metrics of an epoch (from 1) compare with the reference's, as one line.

        Says also at which epoch the reference first was as good on the validation songs. Empty
        where only the first epochs of the reference are known, and this is a later one.
        """
        if epoch > len(self.history) and not self.is_whole:
            return ""
        if epoch > len(self.history):
            there: Mapping[str, Any] = self.history[-1]
            head = f"against {self.name} (its last epoch, {len(self.history)})"
        else:
            there = self.history[epoch - 1]
            head = f"against {self.name} at this epoch"
        parts = []
        for stage, key, form, unit in SHOWN:
            here_value, there_value = (
                finite_number(metrics, stage, key),
                finite_number(there, stage, key),
            )
            if here_value is None or there_value is None:
                continue
            difference = here_value - there_value
            parts.append(
                f"{stage} {key} {here_value:{form}} and {there_value:{form}}{unit} "
                f"({difference:+{form}})"
            )
        return f"{head}: {', '.join(parts) or 'nothing to compare'}{self._same_level(metrics)}"

    def _same_level(self, metrics: Mapping[str, Any]) -> str:
        here = finite_number(metrics, "valid", _LOWER_IS_BETTER)
        if here is None:
            return ""
        for number, epoch in enumerate(self.history, 1):
            there = finite_number(epoch, "valid", _LOWER_IS_BETTER)
            if there is not None and there <= here:
                return f"; it had this valid loss at epoch {number}"
        if not self.is_whole:
            return f"; its first {len(self.history)} epochs had no valid loss as low"
        return "; it never had a valid loss as low"
