"""An mp3 file tells players how long it is: what was encoded comes back, from its first sample."""

from pathlib import Path

import mutagen.mp3
import numpy as np
import pytest
import soundfile
import torch

from demucs.audio import AudioWriter, audio_info, read_audio, write_audio
from demucs.audio.mp3 import read_mp3
from demucs.audio.mp3_tag import info_frame
from tests.unit.sound_files import ffmpeg, lag, noise


@pytest.mark.parametrize("frames", [1, 1000, 30_001])
@pytest.mark.parametrize(
    ("rate", "channels", "bitrate"),
    [(44_100, 2, 320), (44_100, 1, 128), (48_000, 2, 192), (32_000, 2, 128), (22_050, 2, 64),
     (16_000, 1, 32), (8000, 2, 64)],
)  # fmt: skip
def test_what_is_encoded_comes_back_in_time(
    tmp_path: Path, rate: int, channels: int, bitrate: int, frames: int
) -> None:
    path, wav = tmp_path / "a.mp3", noise(frames, channels)
    with AudioWriter(path, rate, channels, mp3_bitrate=bitrate, mp3_preset=7) as writer:
        for block in torch.split(torch.from_numpy(wav.T.copy()), 7000, dim=-1):
            writer.write(block)
    by_libsndfile, _ = soundfile.read(path, dtype="float32", always_2d=True)
    by_ffmpeg = np.frombuffer(ffmpeg("-i", str(path), "-f", "f32le", "pipe:1"), "<f4")
    ours, found = read_audio(path)
    assert found == rate
    assert audio_info(path).frames == frames
    decoded = {"ours": ours.numpy().T, "libsndfile": by_libsndfile,
               "ffmpeg": by_ffmpeg.reshape(-1, channels)}  # fmt: skip
    for name, samples in decoded.items():
        if name == "ffmpeg" and frames == 1:
            continue  # it drops no more than is in the last frame or two
        assert samples.shape == wav.shape, name
        assert frames < 1000 or lag(wav[:, 0], samples[:, 0]) == 0, name
    info = mutagen.mp3.MP3(path).info
    assert info.length == pytest.approx(frames / rate, abs=3000 / rate)
    assert info.bitrate_mode == mutagen.mp3.BitrateMode.CBR


def test_a_rate_that_the_encoder_changes_keeps_the_length(tmp_path: Path) -> None:
    """8 kbit/s are too few for 44.1 kHz, so the file has 8 kHz."""
    path = tmp_path / "a.mp3"
    write_audio(path, torch.from_numpy(noise(44_100).T.copy()), 44_100, mp3_bitrate=8)
    assert read_audio(path)[1] == 8000
    assert audio_info(path).frames == 8000


def test_the_tag_is_that_of_lame(tmp_path: Path) -> None:
    """The same numbers where ffmpeg's LAME writes them, and its checksum by our arithmetic."""
    path, plain = tmp_path / "a.mp3", tmp_path / "a.wav"
    soundfile.write(plain, noise(30_000), 44_100)
    ffmpeg("-i", str(plain), "-b:a", "128k", "-id3v2_version", "0", str(path))
    content = path.read_bytes()
    (stream,) = read_mp3(path)
    assert stream.told is not None
    place = content.index(b"Info")
    size = content.index(b"\xff\xfb", 200)
    frames = stream.told // 1152
    ours = info_frame(content[size : size + 4], frames, len(content) - size, 30_000, 128)
    assert len(ours) == size
    assert ours[:3] == content[:3]  # its fourth byte may be any of two channels
    assert ours[4 : place + 12] == content[4 : place + 12]  # what it tells, and of how many frames
    padding = place + 120 + 21
    assert ours[padding : padding + 3] == content[padding : padding + 3]
    assert ours[188:190] == (0).to_bytes(2, "big")  # nothing is told of the music's checksum
