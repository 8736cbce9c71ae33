"""Reading and writing files, good and bad."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from demucs.audio import AudioInfo, AudioWriter, audio_info, read_audio, write_audio
from demucs.errors import AudioError, ConfigError

RATE = 44100


def noise(channels: int = 2, length: int = 5000) -> Tensor:
    return torch.rand(channels, length, generator=torch.Generator().manual_seed(2)) - 0.5


def sines(length: int = 20_000) -> Tensor:
    time = torch.arange(length) / RATE
    return torch.stack([torch.sin(2765 * time), torch.sin(4000 * time)]) * 0.5


@pytest.mark.parametrize(
    ("suffix", "options", "step"),
    [
        (".wav", {}, 2**-15),
        (".wav", {"bits": 24}, 2**-23),
        (".wav", {"bits": 32}, 2**-24),
        (".wav", {"float32": True}, 0.0),
        (".flac", {}, 2**-15),
        (".flac", {"bits": 24}, 2**-23),
        (".WAV", {}, 2**-15),
    ],
)
def test_what_is_written_is_read(
    tmp_path: Path, suffix: str, options: dict[str, Any], step: float
) -> None:
    path = tmp_path / f"ä 音 '{suffix}"
    write_audio(path, noise(), RATE, **options)
    assert audio_info(path) == AudioInfo(RATE, 2, 5000)
    wav, rate = read_audio(path)
    assert rate == RATE
    assert (wav - noise()).abs().max() <= step
    part, _ = read_audio(path, start=100, frames=50)
    assert torch.equal(part, wav[:, 100:150])
    end, _ = read_audio(path, start=4990, frames=50)
    assert torch.equal(end, wav[:, 4990:])
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_integers_survive_unchanged(tmp_path: Path, channels: int) -> None:
    values = np.random.default_rng(0).integers(-(2**15), 2**15, (300, channels), dtype=np.int16)
    values[0], values[1] = -(2**15), 2**15 - 1
    soundfile.write(tmp_path / "in.wav", values, RATE)
    wav, _ = read_audio(tmp_path / "in.wav")
    write_audio(tmp_path / "out.wav", wav, RATE, clip="none")
    assert (
        soundfile.read(tmp_path / "out.wav", dtype="int16")[0] == values.reshape(300, -1).squeeze()
    ).all()


def test_floats_are_never_changed(tmp_path: Path) -> None:
    loud = noise() * 20
    for clip in ("rescale", "clamp", "tanh", "none"):
        write_audio(tmp_path / "loud.wav", loud, RATE, float32=True, clip=clip)
        assert torch.equal(read_audio(tmp_path / "loud.wav")[0], loud)


def test_integers_saturate(tmp_path: Path) -> None:
    write_audio(tmp_path / "loud.wav", torch.tensor([[3.0, -3.0, 0.5]]), RATE, clip="none")
    assert read_audio(tmp_path / "loud.wav")[0].tolist() == [[1 - 2**-15, -1.0, 0.5]]


@pytest.mark.parametrize("bitrate", [128, 320])
def test_mp3(tmp_path: Path, bitrate: int) -> None:
    path = tmp_path / "song.mp3"
    write_audio(path, sines(), RATE, mp3_bitrate=bitrate, mp3_preset=7)
    wav, rate = read_audio(path)
    assert rate == RATE
    assert wav.shape == sines().shape  # without the silence that an encoder adds
    error = (wav - sines())[:, 2000:].pow(2).mean()
    assert error < 1e-3  # of 0.125
    assert path.stat().st_size == pytest.approx(bitrate * 125 * wav.shape[-1] / RATE, rel=0.3)


def test_blocks_add_up(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac", "a.mp3"):
        with AudioWriter(tmp_path / name, RATE, 2) as writer:
            for block in torch.split(noise(), 1234, dim=-1):
                writer.write(block)
        write_audio(tmp_path / f"whole_{name}", noise(), RATE)
        assert (tmp_path / name).read_bytes() == (tmp_path / f"whole_{name}").read_bytes()


@pytest.mark.parametrize("codec", ["a.m4a", "a.wma", "a.ogg", "a.aiff", "a.mkv"])
def test_other_formats(tmp_path: Path, codec: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not on PATH")
    write_audio(tmp_path / "a.wav", sines(), RATE)
    path = tmp_path / codec
    encode = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), str(path)]
    if subprocess.run(encode, check=False, capture_output=True).returncode:
        pytest.skip(f"this ffmpeg cannot make {codec}")
    wav, rate = read_audio(path)
    assert rate == RATE
    assert audio_info(path) == AudioInfo(RATE, 2, wav.shape[-1])
    assert abs(wav.shape[-1] - 20_000) < 4500
    part, _ = read_audio(path, start=5000, frames=1000)
    assert torch.equal(part, wav[:, 5000:6000])


def test_without_ffmpeg_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.m4a").write_bytes(b"neither this nor that")
    monkeypatch.setenv("PATH", str(tmp_path))
    for function in (audio_info, read_audio):
        with pytest.raises(AudioError, match=r"a\.m4a.*libsndfile.*install ffmpeg"):
            function(tmp_path / "a.m4a")


def bad_files(folder: Path) -> dict[str, str]:
    """Makes unreadable files; name → what the error says of it."""
    write_audio(folder / "good.wav", noise(), RATE)
    write_audio(folder / "good.flac", noise(), RATE)
    good, flac = (folder / "good.wav").read_bytes(), (folder / "good.flac").read_bytes()
    (folder / "empty.wav").write_bytes(b"")
    (folder / "folder.wav").mkdir()
    (folder / "header.wav").write_bytes(good[:44])
    (folder / "half.flac").write_bytes(flac[: len(flac) // 2])
    (folder / "text.mp3").write_text("this is no music" * 40)
    (folder / "random.wav").write_bytes(np.random.default_rng(1).bytes(3000))
    (folder / "some.raw").write_bytes(b"0123" * 50)
    for name, value in (("nan", np.nan), ("inf", -np.inf)):
        wav = noise().numpy().T.copy()
        wav[7, 1] = value
        soundfile.write(folder / f"{name}.wav", wav, RATE, subtype="FLOAT")
    return {
        "empty.wav": "is empty",
        "missing.wav": "does not exist",
        "folder.wav": "is a folder",
        "header.wav": "no samples",
        "half.flac": "damaged or cut short",
        "text.mp3": "cannot be decoded",
        "random.wav": "cannot be decoded",
        "some.raw": "cannot be decoded",
        "nan.wav": "1 samples that are NaN or infinite",
        "inf.wav": "1 samples that are NaN or infinite",
        "null\0.wav": "cannot be read",
        "good.wav/more.wav": "cannot be read",
    }


def test_bad_files_are_named(tmp_path: Path) -> None:
    for name, said in bad_files(tmp_path).items():
        with pytest.raises(AudioError, match=said) as caught:
            read_audio(tmp_path / name)
        assert Path(name).stem.split("\0")[0] in str(caught.value)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audio(tmp_path / "a.wav", noise(), RATE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # chmod does not stop root

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match="no permission"):
        read_audio(tmp_path / "a.wav")


def test_there_is_no_frame_at_the_end(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", noise(), RATE)
    with pytest.raises(AudioError, match="no samples from frame 5000"):
        read_audio(tmp_path / "a.wav", start=5000)
    for start, frames in ((-1, 5), (0, 0), (0, -5)):
        with pytest.raises(AudioError, match=f"frames={frames} from start={start}"):
            read_audio(tmp_path / "a.wav", start=start, frames=frames)


@pytest.mark.parametrize(
    ("name", "channels", "options", "said"),
    [
        ("a.ogg", 2, {}, r"\.wav, \.flac, \.mp3"),
        ("a", 2, {}, "must end in"),
        ("a.wav", 2, {"bits": 20}, "bits=20"),
        ("a.flac", 2, {"bits": 32}, "16 or 24 bits"),
        ("a.flac", 2, {"float32": True}, "16 or 24 bits"),
        ("a.flac", 9, {}, "at most 8 channels"),
        ("a.mp3", 3, {}, "one or two channels"),
        ("a.wav", 2, {"clip": "soft"}, "clip mode 'soft'"),
    ],
)
def test_formats_have_limits(
    tmp_path: Path, name: str, channels: int, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        write_audio(tmp_path / name, noise(channels), RATE, **options)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    for name in ("a.wav", "a.mp3"):
        path = tmp_path / name
        path.write_text("old")
        broken = noise()
        broken[0, 5] = torch.nan
        for wav in (broken, noise()[:, :0], noise()[0]):
            with pytest.raises(AudioError, match=name):
                write_audio(path, wav, RATE)
        assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_blocks_have_the_channels_they_should(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"\[1, 5000\].*2 channels"),
        AudioWriter(tmp_path / "a.wav", RATE, 2) as writer,
    ):
        writer.write(noise(1))
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AudioError, match=r"Cannot write .*a\.wav"):
        write_audio(tmp_path / "file" / "a.wav", noise(), RATE)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_a_full_disk_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from contextlib import contextmanager

    from demucs.audio import writing

    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is not on this system")

    @contextmanager
    def full(_: Path) -> Any:
        yield Path("/dev/full")

    monkeypatch.setattr(writing, "atomic_path", full)
    with pytest.raises(AudioError, match=f"Cannot write .*{name}"):
        write_audio(tmp_path / name, noise(length=200_000), RATE)


def test_an_encoder_that_refuses_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"a\.mp3"):
        write_audio(tmp_path / "a.mp3", noise(), 3)
    assert not list(tmp_path.iterdir())
