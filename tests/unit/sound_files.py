"""Audio files of many kinds, made of noise that differs left and right, and what is in them."""

import io
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 8000
Samples = NDArray[np.float32]

# Written by libsndfile; samples of these are not changed by it.
EXACT = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "rf64.wav": ("RF64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "au": ("AU", "PCM_16"),
}
CODED = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")}
# Written by ffmpeg.
BY_FFMPEG = {
    "mp3": ("-b:a", "128k"),
    "vbr.mp3": ("-q:a", "2"),
    "untagged.mp3": ("-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"),
    "mp2": ("-b:a", "128k"),
    "aac": ("-b:a", "128k"),
    "m4a": ("-c:a", "alac"),
    "mka": ("-c:a", "pcm_s16le"),
    "pipe.flac": ("-f", "flac", "pipe:1"),
    "pipe.rf64.wav": ("-rf64", "always", "-f", "wav", "pipe:1"),
    "pipe.caf": ("-f", "caf", "pipe:1"),
    "pipe.aiff": ("-f", "aiff", "pipe:1"),
    "pipe.w64": ("-f", "w64", "pipe:1"),
    "pipe.wav": ("-f", "wav", "pipe:1"),
}


@lru_cache(maxsize=256)
def noise(frames: int, channels: int = 2, seed: int = 0) -> Samples:
    """`[T, C]`, in steps of 16 bits, so that many formats keep it; low-passed, so that all do."""
    white = np.random.default_rng(seed).standard_normal((frames + 7, channels))
    smooth = sum(white[k : k + frames] for k in range(8)) / 8
    return (np.round(smooth * 8000) / 2**15).astype(np.float32)


@lru_cache(maxsize=256)
def encoded(kind: str, frames: int, channels: int = 2, rate: int = RATE, seed: int = 0) -> bytes:
    """A file of `noise`; `kind` is what its name ends in."""
    wav = noise(frames, channels, seed)
    if kind in EXACT or kind in CODED:
        file = io.BytesIO()
        format, subtype = {**EXACT, **CODED}[kind]
        soundfile.write(file, wav, rate, format=format, subtype=subtype)
        return file.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        plain, path = Path(folder, "plain.wav"), Path(folder, f"song.{kind}")
        soundfile.write(plain, wav, rate, "PCM_16")
        options = BY_FFMPEG[kind]
        piped = options[-1] == "pipe:1"
        out = ffmpeg("-i", str(plain), *options, *([] if piped else [str(path)]))
        return out if piped else path.read_bytes()


def ffmpeg(*arguments: str) -> bytes:
    """Runs ffmpeg and returns what it writes to standard output."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


@lru_cache(maxsize=256)
def alone(kind: str, frames: int, channels: int = 2, rate: int = RATE, seed: int = 0) -> Samples:
    """What a decoder that is not ours makes of such a file, `[T, C]`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"song.{kind}")
        path.write_bytes(encoded(kind, frames, channels, rate, seed))
        try:
            return soundfile.read(path, dtype="float32", always_2d=True)[0]
        except (soundfile.SoundFileError, ValueError):  # an unknown length is the latter
            data = ffmpeg("-i", str(path), "-f", "f32le", "pipe:1")
    return np.frombuffer(data, dtype="<f4").reshape(-1, channels)


def lag(wav: Samples, other: Samples) -> int:
    """By how many samples `other` `[T]` comes after `wav`."""
    size = len(wav) + len(other)
    spectrum = np.fft.rfft(wav, size).conj() * np.fft.rfft(other, size)
    place = int(np.argmax(np.fft.irfft(spectrum, size)))
    return place if place < size // 2 else place - size


def snr(wav: Samples, other: Samples) -> float:
    """dB of `wav` over what `other` differs from it."""
    count = min(len(wav), len(other))
    error = np.square(wav[:count] - other[:count], dtype=np.float64).sum()
    return float(10 * np.log10(np.square(wav[:count], dtype=np.float64).sum() / (error + 1e-20)))
