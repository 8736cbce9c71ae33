"""Demo songs: music from a seed, in the folder layout of MUSDB18-HQ."""

from demucs.data.demo.song import STEMS, synthesize_song
from demucs.data.demo.write import write_demo_songs

__all__ = ["STEMS", "synthesize_song", "write_demo_songs"]
