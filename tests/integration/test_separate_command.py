"""The `demucs` command as a user types it, on a tiny real release and tiny real files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor

from demucs.api import Separator
from demucs.audio import read_audio, write_audio
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release
from tests.integration import warm

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 44100


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `release_models/tiny.safetensors` and songs in many formats."""
    folder = tmp_path_factory.mktemp("separate")
    torch.manual_seed(0)
    kwargs = {"sources": SOURCES, "channels": 4, "nfft": 1024, "depth": 4, "segment": 0.6}
    spec = ModelSpec(name="hdemucs", kwargs=kwargs)
    info = ReleaseInfo(signature="tiny", spec=spec, config={}, provenance={})
    release = folder / "release_models" / "tiny.safetensors"
    release.parent.mkdir()
    save_release(release, build_model(spec).state_dict(), info)
    write_audio(folder / "song.wav", song(), RATE)
    return folder


def song(channels: int = 2, rate: int = RATE, seconds: float = 1.0) -> Tensor:
    time = torch.arange(int(rate * seconds)) / rate
    pitches = torch.arange(1, channels + 1)[:, None] * 220
    return torch.sin(2 * torch.pi * pitches * time) * 0.5


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def demucs(workplace: Path, tmp_path: Path) -> Run:
    """Runs the command in the workplace, writing to `tmp_path`."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "demucs", "-o", str(tmp_path), *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
        return warm.run(command, cwd=workplace, env=environment)

    return run


def test_many_files_good_and_bad(demucs: Run, workplace: Path, tmp_path: Path) -> None:
    write_audio(workplace / "übung 音楽.flac", song(), RATE)
    write_audio(workplace / "mp.mp3", song(), RATE)
    write_audio(workplace / "mono 8k.wav", song(1, 8000), 8000)
    soundfile.write(workplace / "vorbis.ogg", song().T.numpy(), RATE)
    write_audio(workplace / "surround.wav", song(6), RATE)
    write_audio(workplace / "one.wav", torch.full((2, 1), 0.5), RATE)
    (workplace / "corrupt.wav").write_bytes(b"RIFF but then nothing of use" * 20)
    (workplace / "empty.wav").write_bytes(b"")
    good = ["song.wav", "übung 音楽.flac", "mp.mp3", "mono 8k.wav", "vorbis.ogg", "surround.wav"]
    good.append("one.wav")
    bad = ["missing.wav", "corrupt.wav", "empty.wav", "release_models"]
    done = demucs("--repo", "release_models", "-n", "tiny", *bad[:2], *good, *bad[2:])
    assert done.returncode == 1, done.stderr
    complaints = [line for line in done.stderr.splitlines() if line.startswith("demucs: ")]
    assert len(complaints) == len(bad) + 1
    for name, complaint in zip(["release_models", *bad[:3]], complaints, strict=False):
        assert name in complaint  # folders are looked into before tracks are separated
    assert complaints[-1] == "demucs: 4 of 11 tracks could not be separated"
    assert "100%" in done.stderr
    folders = sorted(path.name for path in (tmp_path / "tiny").iterdir())
    assert folders == sorted(Path(name).stem for name in good)
    for name in good:
        for stem in SOURCES:
            wav, rate = read_audio(tmp_path / "tiny" / Path(name).stem / f"{stem}.wav")
            assert rate == RATE
            assert wav.shape[0] == 2
            assert abs(wav.shape[1] - RATE) < 3000 or name == "one.wav"
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_two_stems_add_up_in_float(demucs: Run, workplace: Path, tmp_path: Path) -> None:
    loud = song() * 8
    write_audio(workplace / "loud.wav", loud, RATE, float32=True)
    line = ["-n", "tiny", "--two-stems", "bass", "--other-method", "minus", "--float32"]
    done = demucs(*line, "--clip-mode", "clamp", "--filename", "{stem}_{track}.{ext}", "loud.wav")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "tiny")) == ["bass_loud.wav", "no_bass_loud.wav"]
    assert soundfile.info(tmp_path / "tiny" / "bass_loud.wav").subtype == "FLOAT"
    bass, rest = (read_audio(tmp_path / "tiny" / f"{n}_loud.wav")[0] for n in ("bass", "no_bass"))
    torch.testing.assert_close(bass + rest, loud, rtol=0, atol=1e-5)
    assert rest.abs().max() > 1


def test_one_gain_for_all_stems(demucs: Run, workplace: Path, tmp_path: Path) -> None:
    write_audio(workplace / "louder.wav", song() * 1e4, RATE, float32=True)
    for flag, folder in (("--float32", "exact"), ("--int24", "scaled")):
        done = demucs("-n", "tiny", flag, "louder.wav", "--filename", folder + "/{stem}.wav")
        assert done.returncode == 0, done.stderr
    ratios = []
    for stem in SOURCES:
        exact = read_audio(tmp_path / "tiny" / "exact" / f"{stem}.wav")[0]
        scaled = read_audio(tmp_path / "tiny" / "scaled" / f"{stem}.wav")[0]
        ratios.append(float(scaled.norm() / exact.norm()))
        assert scaled.abs().max() < 0.995
    assert max(ratios) < 0.999
    assert max(ratios) - min(ratios) < 1e-4 * max(ratios)


def test_add_is_the_sum_of_the_others_and_runs_repeat(demucs: Run, tmp_path: Path) -> None:
    line = ["-n", "tiny", "--float32", "--shifts", "2", "--overlap", "0.1", "--segment", "0.35"]
    assert demucs(*line, "song.wav", "-j", "2", "-v").returncode == 0
    assert (
        demucs(*line, "song.wav", "--two-stems", "drums", "--filename", "2/{stem}.wav").returncode
        == 0
    )
    stems = {s: read_audio(tmp_path / "tiny" / "song" / f"{s}.wav")[0] for s in SOURCES}
    drums, rest = (
        read_audio(tmp_path / "tiny" / "2" / f"{s}.wav")[0] for s in ("drums", "no_drums")
    )
    assert torch.equal(drums, stems["drums"])
    torch.testing.assert_close(rest, stems["bass"] + stems["other"] + stems["vocals"])


def test_formats(demucs: Run, tmp_path: Path) -> None:
    line = ["-n", "tiny", "song.wav", "--two-stems", "vocals", "--other-method", "none"]
    for flags in (["--flac", "--int24"], ["--mp3", "--mp3-bitrate", "128", "--mp3-preset", "7"]):
        assert demucs(*line, *flags, "--no-split", "--shifts", "0").returncode == 0
    done = demucs(*line, "--flac", "--float32", "--filename", "float/{stem}.{ext}")
    assert "24-bit" in done.stderr
    song_folder = tmp_path / "tiny" / "song"
    assert sorted(os.listdir(song_folder)) == ["vocals.flac", "vocals.mp3"]
    assert soundfile.info(song_folder / "vocals.flac").subtype == "PCM_24"
    assert soundfile.info(tmp_path / "tiny" / "float" / "vocals.flac").subtype == "PCM_24"
    assert soundfile.info(song_folder / "vocals.mp3").samplerate == RATE


def test_inputs_are_never_overwritten(demucs: Run, workplace: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny" / "vocals.wav"
    target.parent.mkdir()
    shutil.copy(workplace / "song.wav", target)
    done = demucs("-n", "tiny", "--filename", "{stem}.wav", target)
    assert done.returncode == 1
    assert "one of the input files" in done.stderr
    assert target.read_bytes() == (workplace / "song.wav").read_bytes()
    assert os.listdir(target.parent) == ["vocals.wav"]


def test_models_are_listed(demucs: Run) -> None:
    done = demucs("--repo", "release_models", "--list-models")
    assert done.returncode == 0
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("    tiny")]
    assert row.split() == ["tiny", row.split()[1], "MiB", *SOURCES, "(1)", "not", "recorded"]
    assert done.stdout.startswith("Bag of models:\n")
    done = demucs("--list-models", "--json", "-")
    found = {one["name"]: one for one in json.loads(done.stdout)["models"]}
    assert found["tiny"]["path"] == "release_models/tiny.safetensors"
    assert found["htdemucs"]["kind"] == "bag"


def test_a_bag_from_the_command_line(demucs: Run, tmp_path: Path) -> None:
    """Weights of its own for each stem; the folder of the results has a name that all disks take"""
    line = ["--shifts", "0", "--float32", "song.wav"]
    assert demucs("-n", "tiny", *line).returncode == 0
    done = demucs("-n", "tiny:1:0:1:2,tiny:0:1:0.5:1", "--json", tmp_path / "all.json", *line)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "tiny=1=0=1=2,tiny=0=1=0.5=1"
    summary = json.loads((tmp_path / "all.json").read_text())
    assert summary["model"] == "tiny:1:0:1:2,tiny:0:1:0.5:1"
    assert summary["out"] == str(folder)
    for stem in SOURCES:
        one, _ = soundfile.read(tmp_path / "tiny" / "song" / f"{stem}.wav")
        bag, _ = soundfile.read(folder / "song" / f"{stem}.wav")
        assert abs(one - bag).max() < 1e-6


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("-n tony song.wav", 1, "tony"),
        ("-n tiny --repo nowhere song.wav", 1, "nowhere"),
        ("--repo nowhere --list-models", 1, "nowhere"),
        ("-s deadbeef song.wav", 1, "deadbeef"),
        ("-n tiny,tony song.wav", 1, "tony"),
        ("-n tiny:1:0,tiny:1:1 song.wav", 1, "2 rows (a model each) of 4 (a stem each)"),
        ("-n tiny:1,tiny song.wav", 1, "has weights for some of its models only"),
        ("-n hf://x/y/z song.wav", 1, "hf://htdemucs_ft"),
        ("-n tiny --two-stems sax song.wav", 1, "sax: the model tiny has no such stem; choose one "
         "of drums, bass, other, vocals"),
        ("-n tiny -d toaster song.wav", 1, "toaster"),
        ("-n tiny --filename /tmp/{stem}.wav song.wav", 2, "leads out"),
        ("-n tiny", 2, "at least one track"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_message(
    demucs: Run, tmp_path: Path, line: str, code: int, said: str
) -> None:
    done = demucs(*line.split())
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_pipes(workplace: Path, demucs: Run, tmp_path: Path) -> None:
    line = ["-n", "tiny", "--two-stems", "bass", "--other-method", "none", "--shifts", "0"]
    assert demucs(*line, "song.wav").returncode == 0
    expected = (tmp_path / "tiny" / "song" / "bass.wav").read_bytes()
    command = [sys.executable, "-m", "demucs", *line, "-o", "-", "-"]
    with (workplace / "song.wav").open("rb") as song_file:
        done = subprocess.run(
            command, cwd=workplace, stdin=song_file, capture_output=True, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
    assert b"Separating track -" in done.stderr
    closed = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" song.wav | true', "bash", *command[:-1]],
        cwd=workplace, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert closed.returncode in (0, 1)  # the pipe may have room for all of it
    assert "Traceback" not in closed.stderr


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_asked_to_end_it_leaves_nothing(
    workplace: Path, tmp_path: Path, asked: signal.Signals, code: int
) -> None:
    write_audio(workplace / "long.wav", song(seconds=30), RATE)
    command = [sys.executable, "-m", "demucs", "-o", str(tmp_path), "-n", "tiny", "long.wav"]
    with subprocess.Popen(
        [*command, "--json", str(tmp_path / "s.json"), "--segment", "0.2"],
        cwd=workplace, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 300
        while not list(tmp_path.rglob(".*.wav")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(asked)
        _, said = process.communicate(timeout=300)
    assert process.returncode == code
    assert "demucs: asked to end" in said
    assert [path.name for path in tmp_path.rglob("*")] == ["s.json"]


@pytest.mark.long
def test_the_whole_and_the_blocks_are_equal(demucs: Run, workplace: Path, tmp_path: Path) -> None:
    """A file of another rate, of more blocks than are kept, against `separate_audio_file`."""
    time_axis = torch.arange(48000 * 190) / 48000
    chirp = torch.sin(time_axis * (200 + 3 * time_axis)) * torch.sin(time_axis * 7)
    write_audio(workplace / "chirp.wav", torch.stack([chirp, chirp.roll(480)]) * 0.5, 48000)
    options = ["--shifts", "0", "--overlap", "0.1", "--segment", "3", "--float32"]
    assert demucs("-n", "tiny", *options, "chirp.wav").returncode == 0
    separator = Separator(
        "tiny", repo=workplace / "release_models", shifts=0, overlap=0.1, segment=3
    )
    _, stems = separator.separate_audio_file(workplace / "chirp.wav")
    for name, expected in stems.items():
        found = read_audio(tmp_path / "tiny" / "chirp" / f"{name}.wav")[0]
        noise = (found - expected).norm()
        assert 20 * torch.log10(expected.norm() / noise.clamp(min=1e-20)) > 100  # dB
