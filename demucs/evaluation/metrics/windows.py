"""What metrics have in common: windows of one second, and how their values are handed on."""

from typing import Any

from numpy.typing import NDArray

# By metric: its values for the track `[S]`, and for its windows `[S, N]`; NaN where there is none.
Measured = dict[str, tuple[NDArray[Any], NDArray[Any]]]


def window_count(frames: int, samplerate: int) -> int:
    """Whole seconds in so many samples, as museval counts them; a shorter track is one window.

    >>> window_count(3 * 44100 + 10, 44100), window_count(100, 44100)
    (3, 1)
    """
    size = min(samplerate, frames)
    return (frames - size) // size + 1
