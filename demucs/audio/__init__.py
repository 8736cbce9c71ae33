"""Audio files and signals: read, write, convert. soundfile first, ffmpeg for the rest."""

from demucs.audio.convert import BlockResampler, convert_audio
from demucs.audio.encoding import Encoding
from demucs.audio.levels import (
    CLIP_MODES,
    ClipMode,
    common_gain,
    prevent_clipping,
    share_residual,
)
from demucs.audio.reading import AudioInfo, audio_info, count_bad, read_audio
from demucs.audio.source import AudioSource
from demucs.audio.statistics import MonoStatistics, normalise
from demucs.audio.stems import StemFile, StemWriter
from demucs.audio.writing import AudioWriter, write_audio

__all__ = [
    "CLIP_MODES",
    "AudioInfo",
    "AudioSource",
    "AudioWriter",
    "BlockResampler",
    "ClipMode",
    "Encoding",
    "MonoStatistics",
    "StemFile",
    "StemWriter",
    "audio_info",
    "common_gain",
    "convert_audio",
    "count_bad",
    "normalise",
    "prevent_clipping",
    "read_audio",
    "share_residual",
    "write_audio",
]
