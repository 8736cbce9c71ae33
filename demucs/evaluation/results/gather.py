"""Results of tracks, taken as they are scored."""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import asdict

from demucs.errors import DemucsError
from demucs.evaluation.results.results import Results, TrackResult
from demucs.evaluation.results.track_progress import EvaluationProgress
from demucs.evaluation.track_scores import TrackScores

logger = logging.getLogger(__name__)

LOOK = 0.5  # seconds between looks at `should_stop` while tracks are scored


class Stopped(Exception):
    """`should_stop` said so."""


class Collector:
    """Takes what is scored, in the order of the tracks.

    Args:
        results: gets the tracks.
        bar, on_track, should_stop: told and asked, see `evaluate`.
    """

    def __init__(
        self,
        results: Results,
        bar: EvaluationProgress,
        on_track: Callable[[Results], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self._results, self._bar = results, bar
        self._on_track, self._should_stop = on_track, should_stop
        self._waiting: deque[tuple[str, TrackResult, Future[TrackScores]]] = deque()

    def look(self) -> None:
        """Raises Stopped if the evaluation is to stop."""
        if self._should_stop is not None and self._should_stop():
            raise Stopped

    def finish(self, name: str, result: TrackResult) -> None:
        self._results.tracks[name] = result
        if result.failed is not None:
            logger.error("track %s failed: %s", name, result.failed)
        self._bar.track(name, result)
        if self._on_track is not None:
            self._on_track(self._results)

    def wait_for(self, name: str, result: TrackResult, future: "Future[TrackScores]") -> None:
        """The scores of a track are to come; those that are there are taken."""
        self._waiting.append((name, result, future))
        self.collect(leave=len(self._waiting))

    def collect(self, *, leave: int) -> None:
        """Takes what is scored, and waits until at most `leave` tracks are under way."""
        while self._waiting and (len(self._waiting) > leave or self._waiting[0][2].done()):
            name, found, future = self._waiting[0]
            while not future.done():
                self.look()
                wait([future], timeout=LOOK)
            self._waiting.popleft()
            _add_scores(found, future)
            self.finish(name, found)


def _add_scores(result: TrackResult, future: "Future[TrackScores]") -> None:
    """Adds what was measured, or the reason why it was not."""
    try:
        scores = future.result()
    except Exception as error:
        result.failed = f"not scored: {reason_of(error)}"
        return
    for name, value in asdict(scores).items():
        setattr(result, name, value)


def reason_of(error: Exception) -> str:
    """One line for the results; errors that are not ours are named by their type."""
    return str(error) if isinstance(error, DemucsError) else f"{type(error).__name__}: {error}"
