"""Stopping a run, once some work is done."""

from collections.abc import Callable


class Stop:
    """Remembers that a run was asked to stop, and has it do some work first.

    A run that is stopped over and over again, at once each time, then still gets to its end.

    Args:
        asked: whether somebody wants it; never, if None.
    """

    def __init__(self, asked: Callable[[], bool] | None = None) -> None:
        self._asked, self._worked, self._wanted = asked, False, False

    def worked(self) -> None:
        """Tells that a step, an excerpt or a track is done, and not lost by stopping now."""
        self._worked = True

    def wanted(self) -> bool:
        """Whether this process would stop here; where, all of them have to agree on."""
        if self._worked and self._asked is not None and not self._wanted:
            self._wanted = self._asked()
        return self._wanted
