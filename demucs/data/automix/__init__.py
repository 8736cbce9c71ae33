"""New songs from the stems of several, aligned in beat and key."""

from demucs.data.automix.match import Limits
from demucs.data.automix.mixes import Outcome, automix

__all__ = ["Limits", "Outcome", "automix"]
