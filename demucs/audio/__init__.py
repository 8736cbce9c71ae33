"""Audio files and signals: read, write, convert. soundfile first, ffmpeg for the rest."""

from demucs.audio.convert import convert_audio
from demucs.audio.levels import CLIP_MODES, ClipMode, common_gain, prevent_clipping
from demucs.audio.reading import AudioInfo, audio_info, read_audio
from demucs.audio.writing import AudioWriter, write_audio

__all__ = [
    "CLIP_MODES",
    "AudioInfo",
    "AudioWriter",
    "ClipMode",
    "audio_info",
    "common_gain",
    "convert_audio",
    "prevent_clipping",
    "read_audio",
    "write_audio",
]
