"""Progress of an evaluation, by the length of its tracks."""

from collections.abc import Sequence
from typing import Any

from demucs.console import Progress
from demucs.evaluation.results.results import TrackResult


class EvaluationProgress(Progress):
    """Counts tracks by their length, where that is known.

    Args:
        tracks: those to come, in any order.
        show: False for nothing at all.
    """

    def __init__(self, tracks: Sequence[Any], *, show: bool = True) -> None:
        self._sizes = {track.name: max(1, getattr(track, "frames", 1)) for track in tracks}
        total = sum(self._sizes.values())
        super().__init__("evaluate", len(tracks), total, pieces="tracks", tells=False, show=show)

    def track(self, name: str, result: TrackResult) -> None:
        """A track is finished."""
        values = result.values.get("nsdr") or result.values.get("sdr") or {}
        numbers = " ".join(
            f"{stem} {'–' if value is None else format(value, '.2f')}"
            for stem, value in values.items()
        )
        said = "failed" if result.failed else f"{'nSDR' if 'nsdr' in result.values else 'SDR'}"
        self.done(name, f"{said} {numbers}", self._sizes[name])
