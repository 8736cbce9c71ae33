"""Files in blocks: what is read, resampled and counted is what the whole file gives."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from demucs.audio import (
    AudioSource,
    BlockResampler,
    MonoStatistics,
    convert_audio,
    read_audio,
    write_audio,
)
from demucs.audio import convert as convert_module
from demucs.audio import source as source_module
from demucs.audio import stream as stream_module
from demucs.errors import AudioError

RATE = 44100


def noise(channels: int = 2, length: int = 5000) -> Tensor:
    return torch.rand(channels, length, generator=torch.Generator().manual_seed(2)) - 0.5


@settings(deadline=None, max_examples=30)
@given(
    rates=st.sampled_from(
        [(48000, 44100), (8000, 44100), (192000, 44100), (44100, 48000), (22050, 44100),
         (44100, 22050), (96000, 44100), (11025, 8000), (44101, 44100), (3, 2), (1, 7)]
    ),
    length=st.integers(1, 3000),
    size=st.integers(1, 1500),
)  # fmt: skip
def test_resampling_in_blocks_is_resampling(rates: tuple[int, int], length: int, size: int) -> None:
    wav = noise(2, length)
    before = wav.clone()
    resampler = BlockResampler(*rates)
    parts = [resampler.push(block) for block in torch.split(wav, size, dim=-1)]
    parts.append(resampler.finish())
    expected = convert_audio(wav, *rates, 2)
    assert torch.equal(wav, before)
    torch.testing.assert_close(torch.cat(parts, dim=-1), expected, rtol=0, atol=2e-6)


def test_a_block_resampler_holds_little() -> None:
    resampler = BlockResampler(48000, 44100)
    for _ in range(50):
        resampler.push(noise(2, 4800))
        assert resampler._held < 2000


def test_long_signals_have_their_exact_length(monkeypatch: pytest.MonkeyPatch) -> None:
    wav = noise(1, 30_000)
    expected = convert_audio(wav, 48000, 44100, 1)
    monkeypatch.setattr(convert_module, "_EXACT", 1000)
    monkeypatch.setattr(convert_module, "_LONG", 7000)
    torch.testing.assert_close(convert_audio(wav, 48000, 44100, 1), expected, rtol=0, atol=1e-6)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.floats(-1e3, 1e3))
def test_statistics_of_blocks_are_those_of_the_whole(sizes: list[int], offset: float) -> None:
    wav = noise(2, sum(sizes)).double() + offset
    statistics = MonoStatistics()
    for block in torch.split(wav, sizes, dim=-1):
        statistics.update(block)
    assert statistics.count == sum(sizes)
    if sum(sizes) > 1:
        mono = wav.mean(0)
        assert statistics.mean == pytest.approx(float(mono.mean()), abs=1e-9)
        assert statistics.scale == pytest.approx(float(mono.std()) + 1e-8, rel=1e-6)
    else:
        assert statistics.scale == 1e-8


@pytest.fixture(params=["kept", "read twice"])
def _passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "BLOCK", 1000)
    if request.param == "read twice":
        monkeypatch.setattr(source_module, "KEPT", 10)


# What is converted does not depend on what decoded it, so one format has all of them.
KINDS = [
    *((channels, rate, "wav") for channels in (1, 2, 6, 8) for rate in (RATE, 8000, 48000, 192000)),
    *((1, 192000, one) for one in ("flac", "ogg")),
    *((channels, rate, one) for channels, rate in ((2, RATE), (6, 48000), (8, 8000))
      for one in ("flac", "ogg", "m4a")),
]  # fmt: skip


@pytest.mark.usefixtures("_passes")
@pytest.mark.parametrize(("channels", "rate", "suffix"), KINDS)
def test_a_source_is_the_file_converted(
    tmp_path: Path, channels: int, rate: int, suffix: str
) -> None:
    path = tmp_path / f"ä 音.{suffix}"
    if suffix in ("wav", "flac"):
        write_audio(path, noise(channels, 7000), rate, bits=24)
    elif suffix == "ogg":
        soundfile.write(path, noise(channels, 7000).T.numpy(), rate)
    else:
        if shutil.which("ffmpeg") is None:
            pytest.skip("ffmpeg is not on PATH")
        write_audio(tmp_path / "a.wav", noise(channels, 7000), rate)
        encode = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), str(path)]
        subprocess.run(encode, check=True)
    wav, found = read_audio(path)
    assert found == rate
    expected = convert_audio(wav, rate, RATE, 2)
    source = AudioSource(path, RATE, 2)
    assert (source.file_samplerate, source.file_channels) == (rate, channels)
    assert source.length == expected.shape[-1]
    for _ in range(2):
        blocks = list(source.blocks())
        torch.testing.assert_close(torch.cat(blocks, dim=-1), expected, rtol=0, atol=2e-6)
    assert source.mean == pytest.approx(float(expected.mean()), abs=1e-6)
    assert source.scale == pytest.approx(float(expected.mean(0).std()), rel=1e-5)


def test_a_short_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audio(tmp_path / "a.wav", noise(), RATE)
    short = AudioSource(tmp_path / "a.wav", RATE, 2)
    monkeypatch.setattr(source_module, "KEPT", 9999)
    long = AudioSource(tmp_path / "a.wav", RATE, 2)
    (tmp_path / "a.wav").unlink()
    assert sum(block.shape[-1] for block in short.blocks()) == 5000
    with pytest.raises(AudioError, match="does not exist"):
        list(long.blocks())


def test_bad_samples_are_counted_in_all_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "BLOCK", 1000)
    wav = noise().numpy().T.copy()
    wav[7, 1], wav[4000, 0] = np.nan, np.inf
    soundfile.write(tmp_path / "bad.wav", wav, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"bad\.wav holds 2 samples that are NaN or infinite"):
        AudioSource(tmp_path / "bad.wav", RATE, 2)


@pytest.mark.parametrize(("size", "said"), [(3000, "cut short"), (44, "cut short|no samples"),
                                            (20, "cannot be decoded")])  # fmt: skip
def test_a_wav_that_ends_early_is_noticed(tmp_path: Path, size: int, said: str) -> None:
    write_audio(tmp_path / "a.wav", noise(), RATE)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[:size])
    with pytest.raises(AudioError, match=said):
        AudioSource(tmp_path / "a.wav", RATE, 2)
    with pytest.raises(AudioError, match=said):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("told", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_from_a_pipe_does_not_know_its_length(tmp_path: Path, told: int) -> None:
    write_audio(tmp_path / "a.wav", noise(), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    assert data[36:40] == b"data"
    data[4:8] = data[40:44] = told.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    assert AudioSource(tmp_path / "a.wav", RATE, 2).length == 5000
    assert read_audio(tmp_path / "a.wav")[0].shape == (2, 5000)


def test_a_name_that_is_no_text_is_read(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", noise(), RATE)
    odd = tmp_path / "caf\udce9.wav"
    (tmp_path / "a.wav").rename(odd)
    assert AudioSource(odd, RATE, 2).length == read_audio(odd)[0].shape[-1] == 5000
    write_audio(odd, noise(2, 100), RATE)
    assert read_audio(odd)[0].shape == (2, 100)


def test_a_file_that_changes_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_api import Quarter

    from demucs.api import Separator

    monkeypatch.setattr(source_module, "KEPT", 10)
    write_audio(tmp_path / "b.wav", noise(2, 9000), 8000)
    source = AudioSource(tmp_path / "b.wav", 8000, 2)
    write_audio(tmp_path / "b.wav", noise(2, 100), 8000)
    monkeypatch.setattr("demucs.api.AudioSource", lambda *_: source)
    with pytest.raises(AudioError, match="changed"):
        list(Separator(Quarter()).separate_blocks(tmp_path / "b.wav"))
