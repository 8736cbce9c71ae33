"""Demo songs: music from a seed, in the folder layout of MUSDB18-HQ."""

from demucs.demo_songs.song import STEMS, synthesize_song
from demucs.demo_songs.write import write_demo_songs

__all__ = ["STEMS", "synthesize_song", "write_demo_songs"]
