"""`Separator`, `save_audio` and `list_models` on a network that needs no training."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from demucs import api
from demucs.api import Separator, list_models, save_audio
from demucs.audio import read_audio
from demucs.errors import AudioError, ConfigError, ModelNotFoundError
from demucs.nn import HDemucs


class Quarter(nn.Module):
    """Returns a quarter and three quarters of its input; notes what it is given."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.sources = ["quarter", "rest"]
        self.audio_channels, self.samplerate, self.segment = channels, 8000, 0.5
        self.seen: list[Tensor] = []

    def forward(self, mix: Tensor) -> Tensor:
        self.seen.append(mix.clone())
        return torch.stack([mix / 4, mix * 3 / 4], dim=1)


def wave(length: int = 6000, channels: int = 2) -> Tensor:
    return torch.randn(channels, length, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.3


def test_the_parameters_are_the_public_ones() -> None:
    # inspect.signature(demucs.api.Separator) and save_audio of demucs 4.1.0
    public = ["model", "repo", "device", "shifts", "overlap", "split", "segment", "jobs"]
    public += ["progress", "callback", "callback_arg"]
    assert list(inspect.signature(Separator).parameters) == [*public, "precision", "lean", "batch"]
    assert (
        inspect.signature(Separator).parameters["precision"].kind is inspect.Parameter.KEYWORD_ONLY
    )
    assert list(inspect.signature(Separator.update_parameter).parameters)[1:] == public[2:]
    save = ["wav", "path", "samplerate", "bitrate", "clip", "bits_per_sample", "as_float", "preset"]
    assert list(inspect.signature(save_audio).parameters) == save


def test_stems_by_name_and_nothing_changed() -> None:
    wav = wave()
    before = wav.clone()
    mixture, stems = Separator(Quarter()).separate_tensor(wav)
    assert torch.equal(wav, before)
    assert torch.equal(mixture, before)
    assert list(stems) == ["quarter", "rest"]
    mean = wav.mean()  # the model's stems add up to the normalised mixture, without its mean
    torch.testing.assert_close(stems["quarter"], (wav - mean) / 4 + mean, rtol=1e-4, atol=1e-5)


def test_the_model_hears_a_normalised_mixture() -> None:
    model = Quarter()
    wav = wave() * 0.01
    Separator(model, split=False, shifts=0).separate_tensor(wav)
    mono = wav.mean(0)
    expected = (wav - mono.mean()) / (mono.std() + 1e-8)
    torch.testing.assert_close(model.seen[0][0], expected)


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_silence_and_constants_stay_finite(level: float) -> None:
    _, stems = Separator(Quarter()).separate_tensor(torch.full((2, 3000), level))
    for stem in stems.values():
        torch.testing.assert_close(stem, torch.full((2, 3000), level), rtol=0, atol=1e-5)


def test_one_sample_is_a_signal() -> None:
    _, stems = Separator(Quarter()).separate_tensor(torch.tensor([[0.5], [0.5]]))
    assert stems["rest"].tolist() == [[0.5], [0.5]]


@pytest.mark.parametrize(("channels", "model_channels"), [(1, 2), (2, 1), (6, 2)])
def test_channels_are_converted(channels: int, model_channels: int) -> None:
    mixture, stems = Separator(Quarter(model_channels)).separate_tensor(wave(500, channels))
    assert mixture.shape == stems["rest"].shape == (model_channels, 500)


def test_rates_are_converted() -> None:
    mixture, stems = Separator(Quarter()).separate_tensor(wave(3000, 1), 16000)
    assert mixture.shape == stems["rest"].shape == (2, 1500)


def test_files_are_read(tmp_path: Path) -> None:
    separator = Separator(Quarter())
    save_audio(wave(), tmp_path / "a.flac", separator.samplerate, bits_per_sample=24)
    mixture, stems = separator.separate_audio_file(tmp_path / "a.flac")
    torch.testing.assert_close(mixture, wave(), rtol=0, atol=1e-6)
    expected = separator.separate_tensor(mixture)[1]["rest"]
    assert torch.equal(stems["rest"], expected)


def test_parameters_can_be_changed() -> None:
    model, heard = Quarter(), list[dict[str, Any]]()
    separator = Separator(model, shifts=0, callback=heard.append)
    separator.separate_tensor(wave())
    assert {seen.shape[-1] for seen in model.seen} == {4000, 3000}
    assert heard
    model.seen.clear()
    heard.clear()
    separator.update_parameter(segment=0.25, callback=None, device="cpu")
    separator.separate_tensor(wave())
    assert max(seen.shape[-1] for seen in model.seen) == 2000
    assert not heard


def test_attributes() -> None:
    model = Quarter()
    separator = Separator(model)
    assert (separator.samplerate, separator.audio_channels) == (8000, 2)
    assert separator.sources == ["quarter", "rest"]
    assert separator.model is model


@pytest.mark.parametrize("shape", [(6000,), (1, 2, 6000), (2, 0), (0, 100)])
def test_what_is_no_signal_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"shape \["):
        Separator(Quarter()).separate_tensor(torch.zeros(shape))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e300])
def test_samples_that_are_no_numbers_are_refused(value: float) -> None:
    wav = wave().double()
    wav[1, 7] = value  # 1e300 is infinite in float32
    with pytest.raises(AudioError, match=r"1 samples that are NaN or infinite, of 12000.*replace"):
        Separator(Quarter()).separate_tensor(wav)
    with pytest.raises(AudioError, match="12000 samples that are NaN"):
        Separator(Quarter()).separate_tensor(torch.full((2, 6000), torch.nan))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.mp3", {"bitrate": 1000}, r"mp3_bitrate=1000: .* 8 to 320 kbit/s"),
        ("a.mp3", {"bitrate": 0}, "mp3_bitrate=0: "),
        ("a.mp3", {"bitrate": -128}, "mp3_bitrate=-128: "),
        ("a.mp3", {"bitrate": "128"}, "mp3_bitrate='128': "),
        ("a.mp3", {"bitrate": 128.5}, "mp3_bitrate=128.5: "),
        ("a.mp3", {"preset": 1}, r"mp3_preset=1: .* 2 \(best\) to 7 \(fastest\)"),
        ("a.mp3", {"preset": 8}, "mp3_preset=8: "),
        ("a.mp3", {"preset": None}, "mp3_preset=None: "),
        ("a.mp3", {"preset": True}, "mp3_preset=True: "),
        ("a.wav", {"bits_per_sample": 20}, "bits=20: .* 16, 24 or 32"),
        ("a.wav", {"bits_per_sample": 24.0}, "bits=24.0: "),
        ("a.flac", {"bits_per_sample": 8}, "bits=8: "),
    ],
)
def test_odd_formats_are_refused(
    tmp_path: Path, name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        save_audio(wave(), tmp_path / name, 8000, **options)
    assert not list(tmp_path.iterdir())


def test_a_signal_shorter_than_a_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="1 samples at 44100 Hz"):
        Separator(Quarter()).separate_tensor(torch.zeros(2, 1), 44100)
    save_audio(torch.zeros(2, 1), tmp_path / "short.wav", 44100)
    with pytest.raises(AudioError, match=r"short\.wav: .*1 samples"):
        Separator(Quarter()).separate_audio_file(tmp_path / "short.wav")


@pytest.mark.parametrize("device", ["cuda:99", "toaster", "cpu:zero", "meta"])
def test_a_missing_device_is_named(device: str) -> None:
    with pytest.raises(ConfigError, match=device):
        Separator(Quarter(), device=device)
    with pytest.raises(ConfigError, match=device):
        Separator(Quarter()).update_parameter(device=device)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="53288a8c"):
        Separator("53288a8c", repo=tmp_path)


def test_models_are_listed_by_name(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").write_bytes(b"")
    assert list_models(tmp_path) == {"single": {"one": tmp_path / "one.safetensors"}, "bag": {}}


def test_save_audio_passes_everything_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loud = wave() * 9
    save_audio(loud, tmp_path / "a.wav", 8000, as_float=True)
    assert torch.equal(read_audio(tmp_path / "a.wav")[0], loud)
    save_audio(loud, tmp_path / "a.wav", 8000, clip="tanh", bits_per_sample=24)
    torch.testing.assert_close(
        read_audio(tmp_path / "a.wav")[0], loud.tanh(), rtol=0, atol=2.0**-22
    )
    given: dict[str, Any] = {}
    monkeypatch.setattr(api, "write_audio", lambda *_, **options: given.update(options))
    save_audio(loud, tmp_path / "a.mp3", 8000, bitrate=128, preset=5)
    assert (given["mp3_bitrate"], given["mp3_preset"], given["clip"]) == (128, 5, "rescale")


def joined(separator: Separator, file: Path, **options: Any) -> tuple[Tensor, Tensor]:
    """Mixture and stems from all blocks of a file."""
    blocks = list(separator.separate_blocks(file, **options))
    assert all(block.total == blocks[-1].end for block in blocks)
    return (
        torch.cat([block.mixture for block in blocks], dim=-1),
        torch.cat([block.stems for block in blocks], dim=-1),
    )


@pytest.mark.parametrize(("rate", "channels"), [(8000, 2), (44100, 1), (8000, 6)])
def test_blocks_are_the_whole(tmp_path: Path, rate: int, channels: int) -> None:
    save_audio(wave(20_000, channels), tmp_path / "a.wav", rate, as_float=True)
    separator = Separator(Quarter(), shifts=2)
    mixture, stems = separator.separate_audio_file(tmp_path / "a.wav")
    mixture_b, stems_b = joined(separator, tmp_path / "a.wav")
    torch.testing.assert_close(mixture_b, mixture, rtol=0, atol=1e-6)
    torch.testing.assert_close(stems_b, torch.stack(list(stems.values())), rtol=0, atol=1e-6)


def test_blocks_can_be_made_consistent(tmp_path: Path) -> None:
    class Less(Quarter):
        def forward(self, mix: Tensor) -> Tensor:
            return super().forward(mix) * 0.8

    save_audio(wave(), tmp_path / "a.wav", 8000, as_float=True)
    separator = Separator(Less())
    mixture, stems = joined(separator, tmp_path / "a.wav")
    assert (mixture - stems.sum(0)).abs().max() > 0.01
    _, projected = joined(separator, tmp_path / "a.wav", consistency=True)
    torch.testing.assert_close(projected.sum(0), mixture, rtol=0, atol=1e-6)
    moved = projected - stems
    torch.testing.assert_close(moved[0], moved[1])


def test_blocks_tell_the_callback_and_stop_with_it(tmp_path: Path) -> None:
    save_audio(wave(), tmp_path / "a.wav", 8000)
    heard: list[dict[str, Any]] = []
    joined(Separator(Quarter(), shifts=0, callback=heard.append), tmp_path / "a.wav")
    assert [info["segment_offset"] for info in heard if info["state"] == "end"] == [0, 3000]

    def stop(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        joined(Separator(Quarter(), callback=stop), tmp_path / "a.wav")


def test_short_of_memory_once_is_enough(tmp_path: Path) -> None:
    class Small(Quarter):
        def forward(self, mix: Tensor) -> Tensor:
            out = super().forward(mix)
            if mix.shape[-1] > 2500:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return out

    save_audio(wave(), tmp_path / "a.wav", 8000, as_float=True)
    model = Small()
    separator = Separator(model, shifts=0)
    mixture, stems = joined(separator, tmp_path / "a.wav")
    torch.testing.assert_close(stems.sum(0), mixture + mixture.mean(), rtol=1e-3, atol=1e-4)
    assert sum(one.shape[-1] > 2500 for one in model.seen) == 1
    model.seen.clear()
    separator.separate_tensor(wave())
    assert max(one.shape[-1] for one in model.seen) <= 2000
    separator.update_parameter(segment=0.3)  # another try
    model.seen.clear()
    separator.separate_tensor(wave())
    assert max(one.shape[-1] for one in model.seen) == 2400


def test_the_mixture_that_is_returned_is_not_the_callers() -> None:
    wav = wave()
    before = wav.clone()
    mixture, _ = Separator(Quarter()).separate_tensor(wav)
    mixture.zero_()
    assert torch.equal(wav, before)


def test_what_is_no_signal_is_refused_by_its_kind() -> None:
    for wrong, kind in ((np.zeros((2, 100)), "ndarray"), ([0.0], "list")):
        with pytest.raises(AudioError, match=f"Cannot take samples as {kind}"):
            Separator(Quarter()).separate_tensor(wrong)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match=r"as torch.complex64: give a real"):
        Separator(Quarter()).separate_tensor(torch.zeros(2, 100, dtype=torch.complex64))


def test_a_lean_separator_holds_its_weights_once() -> None:
    model = Quarter()
    assert Separator(model, device="cpu").model is model
    network = HDemucs(["a", "b"], channels=4, nfft=256, depth=4)
    lean = Separator(network, device="cpu", shifts=0, lean=True)
    assert lean.model is lean._network() is not network
    wav = torch.randn(2, 5000)
    plain = Separator(network, device="cpu", shifts=0)
    torch.testing.assert_close(lean.separate_tensor(wav), plain.separate_tensor(wav))
