"""ONNX files: they give the model's stems, say what they are, and what cannot be one is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.api import Separator
from demucs.errors import ConfigError
from demucs.nn import ModelSpec, build_model
from demucs.nn.exportable import exportable, positions_from_zero
from demucs.nn.real_stft import RealSTFT, factors
from demucs.nn.spectrogram import aligned_istft, aligned_stft, istft, stft
from demucs.release import ReleaseInfo, onnx_file, save_release
from demucs.release.onnx_file import lowest_snr, metadata, save_onnx, segment_length
from tools.convert import main

INSTALL = "pip install '.[onnx]'"
GUIDE = Path(__file__).parents[3] / "docs" / "onnx.md"
COMMON = {"sources": ["a", "b"], "samplerate": 8000, "segment": 1.0, "norm_groups": 2}
HYBRID = {"channels": 4, "nfft": 256, **COMMON}
DEEP = {"depth": 5, "norm_starts": 2, "dconv_attn": 3, "dconv_lstm": 3}
NETWORKS = {
    # two seconds are 250 frames, so the innermost LSTMs hear chunks
    "hybrid": ("hdemucs", {**HYBRID, **DEEP, "segment": 2.0, "dconv_mode": 3}),
    "old": ("hdemucs", {**HYBRID, "depth": 4, "hybrid_old": True, "multi_freqs": [0.3],
                        "multi_freqs_depth": 1, "audio_channels": 1}),
    "spectral": ("hdemucs", {**HYBRID, "depth": 3, "hybrid": False, "cac": False}),
    "mask": ("hdemucs", {**HYBRID, "depth": 3, "hybrid": False, "cac": False, "wiener_iters": -1}),
    "transformer": ("htdemucs", {**HYBRID, "channels": 8, "depth": 3, "t_layers": 3, "t_heads": 2,
                                 "bottom_channels": 16, "t_sin_random_shift": 50}),
    "norms": ("htdemucs", {**HYBRID, "channels": 8, "depth": 3, "t_layers": 2, "t_heads": 2,
                           "t_norm_in": False, "t_norm_in_group": 2, "t_group_norm": 2,
                           "t_emb": "scaled", "t_cross_first": True, "t_gelu": False}),
    "time": ("demucs", {**COMMON, "channels": 8, "depth": 4, "norm_starts": 2, "dconv_lstm": 3,
                        "dconv_attn": 3}),
    "lstm": ("demucs", {**COMMON, "channels": 8, "depth": 3, "lstm_layers": 2, "gelu": False,
                        "resample": False}),
}  # fmt: skip


def make(name):
    network, kwargs = NETWORKS[name]
    torch.manual_seed(0)
    spec = ModelSpec(name=network, kwargs=kwargs)
    info = ReleaseInfo(signature=name, spec=spec, config={}, provenance={}, licence="CC0")
    model = build_model(spec).eval()
    for part in model.modules():  # what starts near 0 would hide mistakes
        if hasattr(part, "scale") and isinstance(part.scale, torch.nn.Parameter):
            torch.nn.init.uniform_(part.scale, 0.5, 1.0)
    return model, info


@pytest.fixture
def runtime():
    pytest.importorskip("onnx", reason=INSTALL)
    return pytest.importorskip("onnxruntime", reason=INSTALL)


@pytest.fixture
def folder(tmp_path):
    """A folder with one release, `small`."""
    model, info = make("spectral")
    save_release(tmp_path / "small.safetensors", model.state_dict(), info)
    return tmp_path


def convert(folder, *arguments, name="small"):
    return main([name, "--to", "onnx", "--repo", str(folder), "--out", str(folder), *arguments])


@pytest.mark.parametrize("length", [17, 1000, 1024, 5000])
@pytest.mark.parametrize(("aligned", "reflect"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("nfft", [64, 120, 4096])
def test_the_real_stft_is_the_complex_one(nfft, aligned, reflect, length):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, length, generator=generator)
    real = RealSTFT(nfft, aligned, reflect)
    z = aligned_stft(x, nfft, reflect) if aligned else stft(x, nfft, nfft // 4)[..., :-1, :]
    parts = real(x)
    assert parts.shape == (2, 2, 2, *z.shape[2:])
    assert (torch.complex(parts[:, :, 0], parts[:, :, 1]) - z).abs().max() < 2e-6 * z.abs().max()
    stems = torch.randn(2, 3, 2, *z.shape[2:], 2, generator=generator)
    back = real.inverse(stems.permute(0, 1, 2, 5, 3, 4), length)
    spectra = torch.view_as_complex(stems)
    if aligned:
        wanted = aligned_istft(spectra, length, reflect)
    else:
        wanted = istft(torch.nn.functional.pad(spectra, (0, 0, 0, 1)), nfft // 4, length)
    assert (back - wanted).abs().max() < 2e-6 * wanted.abs().max()


def test_factors_are_as_near_as_there_are():
    assert factors(4096) == (64, 64)
    assert factors(45, multiple=3) == (5, 9)
    assert factors(18, multiple=2) == (3, 6)
    assert factors(7) == (1, 7)


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_gives_the_stems_of_the_model(name, tmp_path, runtime):
    model, info = make(name)
    keys, kind = list(model.state_dict()), type(model)
    path = tmp_path / "model.onnx"
    length, ratio = save_onnx(path, model, info)
    assert ratio > 100
    assert (list(model.state_dict()), type(model)) == (keys, kind)
    session = onnx_file.open_session(runtime, path)
    mix = torch.randn(3, model.audio_channels, length, generator=torch.Generator().manual_seed(1))
    found = torch.from_numpy(session.run(["stems"], {"mix": mix.numpy()})[0])
    with torch.no_grad(), positions_from_zero(model):
        assert lowest_snr(model(mix), found) > 100
    if name == "transformer":
        assert model.crosstransformer.sin_random_shift == 50
    (given,), (got,) = session.get_inputs(), session.get_outputs()
    assert given.shape[1:] == [model.audio_channels, length]
    assert got.shape[1:] == [2, model.audio_channels, length]
    about = session.get_modelmeta().custom_metadata_map
    assert about == metadata(model, info, length)
    assert (json.loads(about["stems"]), about["licence"]) == (["a", "b"], "CC0")
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_writes_and_says_how_near(folder, runtime, capsys):
    assert convert(folder, "--segment", "0.5") == 0
    out = capsys.readouterr().out
    assert float(re.search(r"stems ([\d.]+) dB", out)[1]) > 100
    assert f"wrote: {folder / 'small.onnx'} (4000 samples" in out
    before = (folder / "small.onnx").read_bytes()
    assert convert(folder) == 1
    assert "give --force" in capsys.readouterr().err
    assert (folder / "small.onnx").read_bytes() == before
    assert convert(folder, "--force") == 0
    assert "(8000 samples" in capsys.readouterr().out


class Wrong:
    """A runtime whose stems are 40 dB from the model's, or not a number."""

    def __init__(self, session, factor):
        self.session, self.factor = session, factor

    def run(self, names, inputs):
        return [self.factor * one for one in self.session.run(names, inputs)]


@pytest.mark.parametrize(("factor", "said"), [(1.01, "40.0 dB"), (np.float32("nan"), "nan dB")])
def test_other_stems_than_the_model_are_refused(folder, runtime, capsys, monkeypatch, factor, said):
    opened = onnx_file.open_session
    monkeypatch.setattr(onnx_file, "open_session", lambda *a: Wrong(opened(*a), factor))
    assert convert(folder) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "constraints.txt" in error
    assert not list(folder.glob("*.onnx"))
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_its_command(folder, capsys, monkeypatch, package):
    monkeypatch.setitem(sys.modules, "onnx", sys)
    monkeypatch.setitem(sys.modules, package, None)
    assert convert(folder) == 1
    assert f"needs {package}, which is not installed: {INSTALL}" in capsys.readouterr().err


def test_a_segment_is_for_onnx_only(folder, capsys):
    with pytest.raises(SystemExit):
        main(["small", "--to", "th", "--repo", str(folder), "--segment", "5"])
    assert "--segment is for --to onnx" in capsys.readouterr().err


def test_a_bag_is_refused_with_its_models(folder, capsys):
    (folder / "bag.yaml").write_text("models: [small, other]\n")
    assert convert(folder, name="bag") == 1
    assert "convert small, other one by one" in capsys.readouterr().err


def test_what_cannot_be_written_says_why(tmp_path, runtime, monkeypatch):
    model, info = make("spectral")
    model.wiener_iters = 1
    with pytest.raises(ConfigError, match="wiener_iters=1"):
        save_onnx(tmp_path / "a.onnx", model, info)
    with pytest.raises(ConfigError, match="nfft=100"):
        RealSTFT(100, aligned=True)
    with pytest.raises(ConfigError, match="Linear cannot be exported"):
        exportable(torch.nn.Linear(1, 1))
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 100)
    with pytest.raises(ConfigError, match="at most 2 GB"):
        save_onnx(tmp_path / "a.onnx", model, info)
    assert not list(tmp_path.iterdir())


def test_a_segment_is_what_the_model_takes():
    hybrid, time, transformer = (make(name)[0] for name in ("old", "time", "transformer"))
    assert segment_length(hybrid, None) == 8000
    assert segment_length(hybrid, 0.25) == 2000
    assert segment_length(time, None) == time.valid_length(8000)
    assert segment_length(transformer, None) == segment_length(transformer, 1.0) == 8000
    with pytest.raises(ConfigError, match=r"segments of 1 s.*leave --segment out"):
        segment_length(transformer, 0.5)
    for seconds in (0.0, -1.0, float("nan"), float("inf"), 1e-6):
        with pytest.raises(ConfigError, match="give seconds"):
            segment_length(hybrid, seconds)


def test_the_ratio_is_that_of_the_worst_stem():
    wanted = torch.ones(1, 2, 1, 10)
    assert lowest_snr(wanted, wanted) == float("inf")
    assert lowest_snr(wanted, wanted * torch.tensor([1.0, 1.1]).view(2, 1, 1)) == pytest.approx(
        20, abs=1e-4
    )
    assert lowest_snr(wanted, wanted[..., :9]) == -float("inf")


def test_the_program_of_the_guide_separates(folder, runtime):
    """Until the last segments it has the same ones as ours, which does not pull the last back."""
    assert convert(folder) == 0
    time = np.arange(20800) / 8000
    song = np.sin(2 * np.pi * 220 * time) * 0.3 + 0.1 * np.random.default_rng(0).normal(size=20800)
    soundfile.write(folder / "song.wav", song, 8000, subtype="FLOAT")
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert "torch" not in program
    (folder / "separate.py").write_text(program, encoding="utf-8")

    def run(wav):
        command = [sys.executable, "-I", "separate.py", "small.onnx", wav, "stems"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    assert run("song.wav").returncode == 0
    _, stems = Separator("small", folder, shifts=0).separate_audio_file(folder / "song.wav")
    for name, stem in stems.items():
        found, rate = soundfile.read(folder / "stems" / f"{name}.wav", dtype="float32")
        assert (rate, found.shape) == (8000, (20800, 2))
        wanted = stem.T.numpy()

        def ratio(part, wanted=wanted, found=found):
            noise = np.square(wanted[part] - found[part]).sum()
            return 10 * np.log10(np.square(wanted[part]).sum() / noise)

        assert ratio(slice(0, 12000)) > 80
        assert ratio(slice(0, None)) > 20
    soundfile.write(folder / "fast.wav", song, 44100)
    refused = run("fast.wav")
    assert refused.returncode == 1
    assert "has 44100 Hz: resample it to 8000 Hz" in refused.stderr
