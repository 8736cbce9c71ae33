"""One file, opened at the teacher's rate and channels, and looked through once."""

import hashlib
import os
from dataclasses import dataclass

from torch import Tensor

from demucs.audio import AudioSource
from demucs.audio.fingerprint import Landmarks, SectionLandmarks
from demucs.blind.distil.sources import SourceFile
from demucs.errors import AudioError, MissingToolError
from demucs.release.provenance import file_sha256

SILENT_PEAK = 1e-3  # -60 dB: nothing below can be told from noise
MIN_SECONDS = 3.0  # scores are of windows of a second, and need a few


class Skipped(Exception):
    """A file that is left out; the message is the reason, and `seconds` its length if known."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = None if seconds is None else round(seconds, 3)


@dataclass(frozen=True)
class Prepared:
    """A file that can be separated.

    Attributes:
        audio: its blocks.
        sha256: of the file.
        audio_sha256: of its samples as the teacher gets them: one song in two lossless files.
        notes: what was done to it.
        sections: fingerprints.
    """

    audio: AudioSource
    sha256: str
    audio_sha256: str
    notes: tuple[str, ...]
    sections: list[Landmarks]

    @property
    def seconds(self) -> float:
        return self.audio.length / self.audio.samplerate


def prepare(
    file: SourceFile, samplerate: int, channels: int, min_seconds: float = MIN_SECONDS
) -> Prepared:
    """Reads a file through, in constant memory.

    Raises:
        Skipped: unreadable, silent, too short, or with samples that are no numbers.
    """
    try:
        sha256 = file_sha256(file.path)
        audio = AudioSource(file.path, samplerate, channels)
        if audio.length < min_seconds * samplerate:
            seconds = audio.length / samplerate
            reason = f"too short: {seconds:.2f} s, and {min_seconds:g} s are needed"
            raise Skipped(reason, seconds)
        digest, peak, prints = hashlib.sha256(), 0.0, SectionLandmarks(samplerate)
        for block in audio.blocks():
            digest.update(block.contiguous().numpy().tobytes())
            peak = max(peak, peak_of(block))
            prints.add(block)
    except (AudioError, MissingToolError) as error:
        raise Skipped(reason_of(error, file)) from error
    except OSError as error:
        raise Skipped(f"cannot be read: {error.strerror or error}") from error
    if peak < SILENT_PEAK:
        raise Skipped("silent: its peak is below -60 dB", audio.length / samplerate)
    return Prepared(audio, sha256, digest.hexdigest(), _notes(audio), prints.finish())


def peak_of(block: Tensor) -> float:
    """The largest magnitude."""
    return float(block.abs().max()) if block.numel() else 0.0


def reason_of(error: Exception, file: SourceFile) -> str:
    """What is wrong, without the place on this machine."""
    return str(error).replace(str(file.path), os.path.basename(file.path))


def _notes(audio: AudioSource) -> tuple[str, ...]:
    notes = []
    if audio.file_channels == 1 < audio.channels:
        notes.append(f"mono: copied to {audio.channels} channels")
    elif audio.file_channels > audio.channels:
        how = "averaged" if audio.channels == 1 else f"the first {audio.channels} are taken"
        notes.append(f"{audio.file_channels} channels: {how}")
    if audio.file_samplerate != audio.samplerate:
        notes.append(f"resampled from {audio.file_samplerate} Hz to {audio.samplerate} Hz")
    return tuple(notes)
