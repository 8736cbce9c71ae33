"""Tempo and pitch by each engine, and what happens where one misbehaves."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from demucs.data import AugmentConfig, Track, TrainingSet
from demucs.data.augment import Stretch, draw_stretch
from demucs.data.readers import WavFolder
from demucs.data.repitch import Engine, Job, Repitcher
from demucs.data.repitch import library as repitch_library
from demucs.data.repitch.builtin import BuiltIn
from demucs.data.repitch.library import SoundTouchLibrary
from demucs.data.repitch.program import SoundStretch
from demucs.errors import AudioError

RATE = 44100


def engine(name: str) -> Engine:
    finders = {"library": SoundTouchLibrary.find, "program": SoundStretch.find, "own": BuiltIn}
    found = finders[name]()
    if found is None:
        pytest.skip(f"SoundTouch's {name} is not installed (apt install soundstretch)")
    return found  # type: ignore[return-value]


@pytest.fixture(params=["library", "program", "own"])
def repitch(request: pytest.FixtureRequest) -> Repitcher:
    return Repitcher(engine(request.param))


def one(repitch: Repitcher, wav: Tensor, stretch: Stretch, frames: int, **more: bool) -> Tensor:
    return repitch([Job(wav, stretch, frames, **more)], RATE)[0]


def tone(hertz: float, frames: int) -> Tensor:
    wave = torch.sin(2 * math.pi * hertz * torch.arange(frames) / RATE)
    return torch.stack([0.9 * wave, 0.3 * wave])


def music(frames: int, channels: int = 2) -> Tensor:
    """Gliding notes and noise that comes and goes, with a silence."""
    time = torch.arange(frames) / RATE
    notes = torch.sin(2 * math.pi * (200 + 30 * torch.sin(3 * time)) * time)
    noise = torch.randn(channels, frames, generator=torch.Generator().manual_seed(0))
    wav = 0.3 * notes + 0.2 * noise * (torch.sin(20 * time) > 0)
    wav[:, frames // 3 : frames // 2] = 0
    return wav


def strongest(wav: Tensor) -> tuple[float, float]:
    """Frequency of the peak of the spectrum, Hz, and dB of what lies within 30 Hz of it against
    the rest; of the middle of the first channel."""
    middle = wav[0, wav.shape[1] // 4 : -wav.shape[1] // 4].double()
    window = torch.hann_window(len(middle), dtype=torch.float64)
    power = torch.fft.rfft(middle * window).abs().square()
    peak = int(power.argmax())
    low, top, high = power[peak - 1 : peak + 2].log().tolist()
    exact = peak + 0.5 * (low - high) / (low - 2 * top + high)  # a parabola through the logarithm
    near = round(30 * len(middle) / RATE)
    inside = power[max(0, peak - near) : peak + near + 1].sum()
    return exact * RATE / len(middle), float(10 * torch.log10(inside / (power.sum() - inside)))


@pytest.mark.parametrize("speech", [False, True])
@pytest.mark.parametrize("pitch", [-2, -1, 0, 1, 2])
def test_pitch_moves_by_semitones_and_the_level_stays(
    repitch: Repitcher, pitch: int, speech: bool
) -> None:
    stretch = Stretch(tempo=5.0, pitch=pitch)
    frames = 44100
    wav = tone(440, Repitcher.frames_needed(frames, stretch))
    out = one(repitch, wav, stretch, frames, speech=speech)
    assert out.shape == (2, frames)
    hertz, purity = strongest(out)
    assert abs(1200 * math.log2(hertz / 440) - 100 * pitch) < 2  # cents
    assert purity > 30
    middle = out[:, 10000:-10000]
    assert float(middle.abs().max()) == pytest.approx(0.9, rel=0.1)
    torch.testing.assert_close(middle[1] * 3, middle[0], atol=1e-3, rtol=0)


@pytest.mark.parametrize("pitch", [-2, 0, 2])
@pytest.mark.parametrize("tempo", [-12.0, 12.0])
def test_tempo_changes_by_percent(repitch: Repitcher, tempo: float, pitch: int) -> None:
    wav = tone(440, 70000)
    wav[:, :10000] = 0
    wav[:, 50000:] = 0
    out = one(repitch, wav, Stretch(tempo, pitch), 80000)
    loud = (out[0].abs() > 0.4).nonzero().flatten()
    assert float(loud[-1] - loud[0]) == pytest.approx(40000 / (1 + tempo / 100), rel=0.02)
    assert float(loud[0]) == pytest.approx(10000 / (1 + tempo / 100), abs=0.02 * RATE)


@pytest.mark.parametrize("pitch", [-2, 0, 2])
@pytest.mark.parametrize("tempo", [-12.0, 0.0, 12.0])
def test_the_end_is_music_and_not_padding(repitch: Repitcher, tempo: float, pitch: int) -> None:
    stretch = Stretch(tempo, pitch)
    wav = tone(440, Repitcher.frames_needed(10000, stretch))
    assert float(one(repitch, wav, stretch, 10000)[0, -100:].abs().max()) > 0.5


def test_loud_input_does_not_clip_and_silence_stays(repitch: Repitcher) -> None:
    stretch = Stretch(tempo=3.0, pitch=1)
    wav = tone(440, 20000)
    torch.testing.assert_close(
        one(repitch, wav * 50, stretch, 15000), one(repitch, wav, stretch, 15000) * 50,
        rtol=1e-4, atol=1e-3,
    )  # fmt: skip
    assert one(repitch, torch.zeros(2, 500), stretch, 700).eq(0).all()
    assert one(repitch, torch.zeros(2, 0), stretch, 700).shape == (2, 700)
    assert one(repitch, wav[:, :100], stretch, 700).shape == (2, 700)
    assert one(repitch, torch.full((2, 500), 1e-40), stretch, 700).eq(0).all()
    assert one(repitch, torch.full((2, 500), math.nan), stretch, 700).isnan().all()


def test_stems_of_one_call_are_those_of_separate_calls(
    repitch: Repitcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = music(30000)
    jobs = [
        Job(wav, Stretch(7.0, 1), 20000),
        Job(wav.flip(1), Stretch(-7.0, -2), 20000, speech=True),
        Job(wav[:1], Stretch(0.0, 0), 25000),
    ]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    together = repitch(jobs, RATE)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    for job, wav in zip(jobs, together, strict=True):
        assert torch.equal(wav, repitch([job], RATE)[0])
    assert repitch([], RATE) == []


def through_files(wav: Tensor, stretch: Stretch, speech: bool, folder: Path) -> Tensor:
    """The plain way: soundstretch from a file to a file. `wav` is within ±1."""
    source, target = folder / "source.wav", folder / "target.wav"
    soundfile.write(source, wav.T.numpy(), RATE, subtype="PCM_32")
    command = ["soundstretch", str(source), str(target), f"-tempo={stretch.tempo:.6f}"]
    command += [f"-pitch={stretch.pitch}", *(["-speech"] if speech else [])]
    subprocess.run(command, check=True, capture_output=True)
    read, _ = soundfile.read(target, dtype="int32", always_2d=True)
    return torch.from_numpy(read.T.astype(np.float32) / 2**31)


@pytest.mark.parametrize("name", ["library", "program"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("stretch", "speech"),
    [
        (Stretch(5.1234567, 1), False),
        (Stretch(-7.7654321, -2), True),
        (Stretch(12.0, 2), True),
        (Stretch(0.0, 0), False),
    ],
)
def test_the_samples_are_those_of_soundstretch_through_files(
    name: str, channels: int, stretch: Stretch, speech: bool, tmp_path: Path
) -> None:
    fast = Repitcher(engine(name))
    engine("program")
    wav = music(60000, channels)
    gain = 0.5 / float(wav.abs().max())
    plain = through_files(wav * gain, stretch, speech, tmp_path) / gain
    assert torch.equal(one(fast, wav, stretch, plain.shape[1], speech=speech), plain)
    longer = one(fast, wav, stretch, plain.shape[1] + 500, speech=speech)
    assert longer[:, -500:].eq(0).all()
    assert torch.equal(longer[:, :-500], plain)


def hits_kept(repitch: Repitcher, stretch: Stretch) -> tuple[int, int]:
    """How many of a series of drum hits are heard at about their time, and how many there were."""
    random = torch.Generator().manual_seed(1)
    frames = 5 * RATE
    wav = 1e-3 * torch.randn(2, Repitcher.frames_needed(frames, stretch), generator=random)
    hit = torch.randn(400, generator=random) * torch.exp(-torch.arange(400) / 80)
    starts = torch.arange(4000, 5 * RATE - 40000, 6100)
    for start in starts:
        wav[:, start : start + 400] += hit
    out = one(repitch, wav, stretch, frames)[0].abs()
    expected = starts / (1 + stretch.tempo / 100)
    around = [out[int(place) - 2000 : int(place) + 2000].max() for place in expected]
    return sum(float(peak) > 0.4 * float(hit.abs().max()) for peak in around), len(around)


def test_our_own_stretching_keeps_nearly_all_drum_hits() -> None:
    heard = [
        hits_kept(Repitcher(BuiltIn()), Stretch(tempo, pitch))
        for tempo in (-12.0, -3.0, 3.0, 12.0)
        for pitch in (-2, 0, 2)
    ]
    kept, all_hits = (sum(column) for column in zip(*heard, strict=True))
    assert kept >= 0.965 * all_hits


@pytest.mark.long
def test_loading_the_library_leaves_small_numbers_alone() -> None:
    engine("library")
    code = (
        "import torch\n"
        "from demucs.data.repitch.library import SoundTouchLibrary\n"
        "assert SoundTouchLibrary.find()\n"
        "print(float(torch.tensor([1e-40]) * 0.5))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0


def test_training_set_stretches_all_stems_of_an_item_alike(
    repitch: Repitcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = ("drums", "vocals")
    frames = 60000
    for source in sources:
        soundfile.write(str(tmp_path / f"{source}.wav"), tone(440, frames).T.numpy(), RATE)
    track = Track("song", sources, RATE, 2, frames, 0.0, 1.0, WavFolder(tmp_path))
    config = AugmentConfig(flip=False, remix_proba=0, scale_proba=0, repitch_proba=1)
    monkeypatch.setattr("demucs.data.examples.find_repitcher", lambda: repitch)
    data = TrainingSet([track], segment=1.2, shift=0.2, seed=1, augment=config)
    pitches = set()
    for epoch in range(4):
        example = data[epoch, 0]
        assert example.shape == (2, 2, RATE)
        segment = data._plan(epoch).segment(0)
        stretch = draw_stretch(config, seed=1, epoch=epoch, segment=segment)
        assert stretch is not None
        for stem in example:
            assert strongest(stem)[0] == pytest.approx(440 * 2 ** (stretch.pitch / 12), rel=0.005)
        pitches.add(stretch.pitch)
        assert torch.equal(example, data[epoch, 0])
    assert len(pitches) > 1


def script(folder: Path, body: str) -> Repitcher:
    program = folder / "soundstretch"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return Repitcher(SoundStretch(str(program)))


def test_a_failing_program_is_named_once(tmp_path: Path) -> None:
    failing = script(tmp_path, "cat > /dev/null; echo 'too old' >&2; exit 3")
    jobs = [Job(tone(440, 100), Stretch(1.0, 1), 100)] * 3
    with pytest.raises(AudioError, match=r"exit code 3 \(too old\).*repitch\.proba=0") as caught:
        failing(jobs, RATE)
    assert str(caught.value).count("too old") == 1
    silent = script(tmp_path, "exit 4")
    with pytest.raises(AudioError, match=r"exit code 4 \(no message\)"):
        silent(jobs, RATE)


def test_output_that_is_no_wav_is_refused(tmp_path: Path) -> None:
    talking = script(tmp_path, "cat > /dev/null; echo hello")
    with pytest.raises(AudioError, match=r"6 bytes that are not a wav.*repitch\.proba=0"):
        one(talking, tone(440, 100), Stretch(1.0, 1), 100)


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    gone = Repitcher(SoundStretch(str(tmp_path / "gone")))
    with pytest.raises(AudioError, match=r"gone cannot be started.*apt install soundstretch"):
        one(gone, tone(440, 100), Stretch(1.0, 1), 100)


def test_a_library_that_is_gone_or_out_of_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Repitcher(SoundTouchLibrary("libNoSuchThing.so"))
    with pytest.raises(AudioError, match=r"libNoSuchThing\.so can no longer be loaded"):
        one(gone, tone(440, 100), Stretch(1.0, 1), 100)

    class Full:
        @staticmethod
        def soundtouch_createInstance() -> None:
            return None

    monkeypatch.setattr(repitch_library, "_load", lambda path: Full)
    with pytest.raises(AudioError, match=r"want of memory: lower misc\.num_workers"):
        one(gone, tone(440, 100), Stretch(1.0, 1), 100)
