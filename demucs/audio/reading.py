"""Reading audio files: any format that libsndfile or ffmpeg knows, whole or in part."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from demucs.audio.endings import CutShortError, check_end, is_cut_short
from demucs.audio.ffmpeg import ffmpeg_format, ffmpeg_frames, ffmpeg_read
from demucs.audio.mp3 import read_mp3
from demucs.errors import AudioError, MissingToolError

_UNKNOWN_LENGTH = 2**62  # libsndfile says 2**63 - 1 where a stream does not tell its length
_ESTIMATED = ("MPEG", "MP3", "OGG")  # formats whose headers do not count the frames
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds: `frames` samples in each of `channels`, at its own `samplerate` (Hz)."""

    samplerate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        return self.frames / self.samplerate


def audio_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Format and length of an audio file.

    The length of a file that only ffmpeg reads is counted by decoding it. That of an mp3 is its
    header's, and may be some frames more than can be decoded.

    Raises:
        AudioError: the file is missing, empty, unreadable, or holds no audio.
    """
    path = checked(path)
    try:
        found = soundfile.info(sndfile_name(path))
        if 0 <= found.frames < _UNKNOWN_LENGTH:
            check_estimate(path, found.format, found.frames)
            return AudioInfo(found.samplerate, found.channels, found.frames)
        reason = "the length is not known"
    except (RuntimeError, TypeError) as error:
        reason = str(error)
    try:
        samplerate, channels = ffmpeg_format(path)
        return AudioInfo(samplerate, channels, ffmpeg_frames(path, channels))
    except (AudioError, MissingToolError) as error:
        raise undecodable(path, reason, error) from None


def read_audio(
    path: str | os.PathLike[str], *, start: int = 0, frames: int | None = None
) -> tuple[Tensor, int]:
    """Reads an audio file, or `frames` frames of it from frame `start`.

    Args:
        path: the file.
        start: first frame to read.
        frames: frames to read, fewer at the end of the file; None reads to the end.

    Returns:
        Samples `[C, T]`, float32 with full scale at 1, and the file's sample rate in Hz.

    Raises:
        AudioError: the file is missing, empty, unreadable or truncated, has no frame at `start`,
            or holds samples that are infinite or not numbers.
    """
    path = checked(path)
    if start < 0 or (frames is not None and frames <= 0):
        raise AudioError(
            f"Cannot read frames={frames} from start={start} of {path}: "
            "start counts from 0 and frames from 1."
        )
    try:
        wav, samplerate = _read_soundfile(path, start, frames)
    except (RuntimeError, TypeError) as error:
        _log.debug("libsndfile cannot read %s (%s): trying ffmpeg", path, error)
        try:
            samplerate, channels = ffmpeg_format(path)
            wav = ffmpeg_read(path, channels, start, frames)
        except CutShortError:
            raise
        except (AudioError, MissingToolError) as second:
            raise undecodable(path, str(error), second) from None
    check_samples(path, wav.shape[-1], count_bad(wav), start)
    if start == 0 and frames is None:
        check_end(path, wav.shape[-1])
    return wav, samplerate


def count_bad(wav: Tensor) -> int:
    """How many samples are NaN or infinite."""
    return wav.numel() - int(torch.isfinite(wav).sum())


def check_samples(path: Path, frames: int, bad: int, start: int = 0) -> None:
    """Raises AudioError if there are no frames from `start` on, or `bad` samples are no numbers."""
    if frames == 0:
        where = f" from frame {start} on" if start else ""
        raise AudioError(f"{path} holds no samples{where}: there is nothing to read.")
    if bad:
        raise AudioError(
            f"{path} holds {bad} samples that are NaN or infinite: "
            "export it again, or repair it in an audio editor."
        )


def _read_soundfile(path: Path, start: int, frames: int | None) -> tuple[Tensor, int]:
    with soundfile.SoundFile(sndfile_name(path)) as file:
        check_estimate(path, file.format, file.frames)
        known = file.frames < _UNKNOWN_LENGTH
        if known and start >= file.frames:
            return torch.zeros(file.channels, 0), file.samplerate
        if start:
            file.seek(start)
        wanted = -1 if frames is None else frames
        expected = file.frames - start if frames is None else min(frames, file.frames - start)
        counted = is_counted(file)
        try:
            data = file.read(wanted, dtype="float32", always_2d=True)
            complete = not counted or len(data) >= expected
        except RuntimeError:
            if not counted:
                raise
            complete = False
        if not complete or (frames is None and is_cut_short(path)):
            raise CutShortError(path)
        return torch.from_numpy(data.T.copy()), file.samplerate


def sndfile_name(path: Path) -> str | bytes:
    """The name as soundfile takes it, which refuses text that is no Unicode."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return str(path)


def is_counted(file: soundfile.SoundFile) -> bool:
    """True if the header of an open file tells exactly how many frames there are."""
    return bool(file.frames < _UNKNOWN_LENGTH and file.format not in _ESTIMATED)


def check_estimate(path: Path, kind: str, frames: int) -> None:
    """Raises RuntimeError if libsndfile would stop before the end of an mp3 of a varying bitrate.

    Where the file does not count its samples, libsndfile takes all frames for as long as the first.
    """
    if kind in ("MPEG", "MP3"):
        mp3 = read_mp3(path)
        if mp3 is not None and mp3.told is None and frames < mp3.found - 2 * 1152:
            raise RuntimeError(f"its length is not told, and {frames} frames are too few")


def checked(path: str | os.PathLike[str]) -> Path:
    """`path` if it is a file with something in it that we may read."""
    path = Path(path)
    try:
        if path.is_dir():
            raise AudioError(f"{path} is a folder, not an audio file: name the files in it.")
        if path.exists() and not path.is_file():
            raise AudioError(
                f"{path} is a pipe or a device, and files are read twice: copy what it gives to a "
                "file (the command reads a pipe where the track is -)."
            )
        if path.stat().st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes): copy or download it again.")
        with path.open("rb"):
            return path
    except FileNotFoundError:
        raise AudioError(f"{path} does not exist: check the name and the folder.") from None
    except PermissionError:
        raise AudioError(f"{path} cannot be read: you have no permission (chmod +r).") from None
    except (OSError, ValueError) as error:
        raise AudioError(f"{str(path)!r} cannot be read: {error}. Check the name.") from None


def undecodable(path: Path, sndfile: str, ffmpeg: Exception) -> AudioError:
    return AudioError(
        f"{path} cannot be decoded. libsndfile: {sndfile.rstrip('.')}. ffmpeg: "
        f"{str(ffmpeg).rstrip('.')}. Check that it is an audio file and that it is complete."
    )
