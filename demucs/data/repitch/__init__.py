"""Repitching: tempo and pitch changes of stems, by SoundTouch or by code of our own."""

from demucs.data.repitch.repitcher import (
    HEADROOM,
    VOICES,
    Engine,
    Job,
    Repitcher,
    find_repitcher,
)

__all__ = ["HEADROOM", "VOICES", "Engine", "Job", "Repitcher", "find_repitcher"]
