"""Tempo and pitch through a real soundstretch, and what happens where it misbehaves."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from demucs.data import AugmentConfig, Track, TrainingSet
from demucs.data.augment import Stretch, draw_stretch
from demucs.data.readers import WavFolder
from demucs.data.repitch import Repitcher
from demucs.errors import AudioError, MissingToolError

RATE = 44100


@pytest.fixture
def repitch() -> Repitcher:
    try:
        return Repitcher.find()
    except MissingToolError:
        pytest.skip("soundstretch is not installed (apt install soundstretch)")


def tone(hertz: float, frames: int) -> Tensor:
    wave = torch.sin(2 * math.pi * hertz * torch.arange(frames) / RATE)
    return torch.stack([0.9 * wave, 0.3 * wave])


def strongest(wav: Tensor) -> float:
    """Frequency of the peak of the spectrum, Hz, of the middle of the first channel."""
    middle = wav[0, wav.shape[1] // 4 : -wav.shape[1] // 4]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle))).abs()
    return float(spectrum.argmax()) * RATE / len(middle)


def clicks(wav: Tensor) -> float:
    """Samples between the first and the last click."""
    loud = (wav[0].abs() > 0.5 * wav[0].abs().max()).nonzero().flatten()
    return float(loud[-1] - loud[0])


@pytest.mark.parametrize("pitch", [-2, 0, 2])
def test_pitch_moves_by_semitones_and_the_level_stays(repitch: Repitcher, pitch: int) -> None:
    stretch = Stretch(tempo=5.0, pitch=pitch)
    frames = 22050
    out = repitch(tone(440, Repitcher.frames_needed(frames, stretch)), RATE, stretch, frames)
    assert out.shape == (2, frames)
    assert strongest(out) == pytest.approx(440 * 2 ** (pitch / 12), rel=0.01)
    middle = out[:, 5000:-5000]
    assert float(middle.abs().max()) == pytest.approx(0.9, rel=0.1)
    torch.testing.assert_close(middle[1] * 3, middle[0], atol=1e-3, rtol=0)


@pytest.mark.parametrize("tempo", [-12.0, 12.0])
def test_tempo_changes_by_percent(repitch: Repitcher, tempo: float) -> None:
    stretch = Stretch(tempo=tempo, pitch=0)
    wav = 0.001 * tone(100, 70000)
    wav[:, 10000:10040] = 1
    wav[:, 50000:50040] = 1
    out = repitch(wav, RATE, stretch, 80000)
    assert clicks(out) == pytest.approx(40000 / (1 + tempo / 100), rel=0.03)


def test_the_end_is_music_and_not_padding(repitch: Repitcher) -> None:
    for tempo in (-12.0, 0.0, 12.0):
        stretch = Stretch(tempo=tempo, pitch=1)
        wav = tone(440, Repitcher.frames_needed(10000, stretch))
        assert float(repitch(wav, RATE, stretch, 10000)[0, -100:].abs().max()) > 0.5


def test_loud_input_does_not_clip_and_silence_stays(repitch: Repitcher) -> None:
    stretch = Stretch(tempo=3.0, pitch=1)
    wav = tone(440, 20000)
    torch.testing.assert_close(
        repitch(wav * 50, RATE, stretch, 15000), repitch(wav, RATE, stretch, 15000) * 50,
        rtol=1e-4, atol=1e-3,
    )  # fmt: skip
    assert repitch(torch.zeros(2, 500), RATE, stretch, 700).eq(0).all()
    assert repitch(torch.zeros(2, 0), RATE, stretch, 700).shape == (2, 700)
    assert repitch(wav[:, :100], RATE, stretch, 700).shape == (2, 700)


def test_training_set_stretches_all_stems_of_an_item_alike(
    repitch: Repitcher, tmp_path: Path
) -> None:
    import soundfile

    sources = ("drums", "vocals")
    frames = 60000
    for source in sources:
        soundfile.write(str(tmp_path / f"{source}.wav"), tone(440, frames).T.numpy(), RATE)
    track = Track("song", sources, RATE, 2, frames, 0.0, 1.0, WavFolder(tmp_path))
    config = AugmentConfig(flip=False, remix_proba=0, scale_proba=0, repitch_proba=1)
    data = TrainingSet([track], segment=1.2, shift=0.2, seed=1, augment=config)
    pitches = set()
    for epoch in range(4):
        example = data[epoch, 0]
        assert example.shape == (2, 2, RATE)
        segment = data._plan(epoch).segment(0)
        stretch = draw_stretch(config, seed=1, epoch=epoch, segment=segment)
        assert stretch is not None
        for stem in example:
            assert strongest(stem) == pytest.approx(440 * 2 ** (stretch.pitch / 12), rel=0.02)
        pitches.add(stretch.pitch)
        assert torch.equal(example, data[epoch, 0])
    assert len(pitches) > 1


def script(folder: Path, body: str) -> Repitcher:
    program = folder / "soundstretch"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return Repitcher(str(program))


def test_a_failing_program_is_named(tmp_path: Path) -> None:
    failing = script(tmp_path, "cat > /dev/null; echo 'too old' >&2; exit 3")
    with pytest.raises(AudioError, match=r"exit code 3 .*too old.*repitch\.proba=0"):
        failing(tone(440, 100), RATE, Stretch(1.0, 1), 100)


def test_output_that_is_no_wav_is_refused(tmp_path: Path) -> None:
    talking = script(tmp_path, "cat > /dev/null; echo hello")
    with pytest.raises(AudioError, match=r"6 bytes that are not a wav.*repitch\.proba=0"):
        talking(tone(440, 100), RATE, Stretch(1.0, 1), 100)


def test_a_local_build_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = tmp_path / "soundtouch" / "build"
    local.mkdir(parents=True)
    script(local, "exit 0")
    monkeypatch.chdir(tmp_path)
    assert Repitcher.find().program == str(local / "soundstretch")
