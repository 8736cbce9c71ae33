"""New songs from the stems of several, aligned in beat and key."""

from demucs.data.automix.build import Outcome, automix
from demucs.data.automix.match import Limits

__all__ = ["Limits", "Outcome", "automix"]
