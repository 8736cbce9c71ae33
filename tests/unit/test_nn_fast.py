"""The network for inference computes what the plain one computes."""

import copy

import pytest
import torch
from torch import nn

from demucs.api import Separator
from demucs.errors import ConfigError
from demucs.nn import HDemucs
from demucs.nn.fast import FastHDemucs, convolution, has_bf16, layers, prepare
from demucs.nn.fast.convolution import TransposedOverTime
from demucs.nn.fast.spectrogram import frames_for, overlap_add
from demucs.nn.spectrogram import istft, stft
from tests.golden.hdemucs_cases import CASES, fill_weights, mixture

SMALL = dict(sources=["low", "high"], channels=8, nfft=256, depth=4)
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="needs a processor that multiplies bfloat16")


def trained(**kwargs) -> HDemucs:
    model = HDemucs(**kwargs).eval()
    fill_weights(model)
    return model


def snr(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Decibels of `reference` over the difference."""
    error = (reference.double() - other.double()).square().sum()
    return float(10 * torch.log10(reference.double().square().sum() / error))


def compared(name: str, precision: str) -> float:
    """SNR of the fast path on a golden case."""
    kwargs, batch, length = CASES[name]
    model = trained(**kwargs)
    mix = mixture(name, batch, kwargs.get("audio_channels", 2), length).float()
    fast = prepare(model, precision)
    assert isinstance(fast, FastHDemucs)
    with torch.no_grad():
        return snr(model(mix), fast(mix))


@pytest.mark.parametrize("name", CASES)
def test_same_stems(name: str) -> None:
    assert compared(name, "fp32") >= 100


@needs_bf16
@pytest.mark.parametrize("name", ["group-batch", "default-batch", "multi-freqs", "wiener"])
def test_same_stems_but_for_the_rounding_of_bfloat16(name: str) -> None:
    assert 35 <= compared(name, "bf16") <= 80


@pytest.mark.parametrize("length", [1, 3, 255, 256, 257, 4000])
def test_any_length_after_any_other(length: int) -> None:
    model = trained(**SMALL)
    fast = prepare(model)
    with torch.no_grad():
        fast(torch.randn(1, 2, 1000))  # the layouts of the weights are chosen here
        mix = torch.randn(2, 2, length)
        assert snr(model(mix), fast(mix)) >= 100


def test_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(**SMALL)
    mix = torch.randn(1, 2, 3000)
    monkeypatch.setattr(convolution, "_has_onednn", lambda x: False)
    with torch.no_grad():
        assert snr(model(mix), prepare(model)(mix)) >= 100


def test_the_model_is_left_as_it_is() -> None:
    model = trained(**SMALL, dconv_lstm=2, multi_freqs=[0.5]).train()
    before = copy.deepcopy(model.state_dict())
    fast = prepare(model)
    fast(torch.randn(1, 2, 500))
    assert model.training
    assert not fast.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    ours = {tensor.data_ptr() for tensor in fast.state_dict().values()}
    assert ours.isdisjoint(tensor.data_ptr() for tensor in model.state_dict().values())


def test_what_a_separator_asks_for() -> None:
    fast = prepare(trained(**SMALL, segment=7.5, samplerate=8000))
    assert (fast.sources, fast.audio_channels) == (["low", "high"], 2)
    assert (fast.samplerate, fast.segment) == (8000, 7.5)
    assert prepare(fast) is fast


def test_another_network_is_returned_itself() -> None:
    other = nn.Linear(2, 2)
    assert prepare(other) is other


def test_unknown_precision() -> None:
    with pytest.raises(ConfigError, match="precision='fp8': choose fp32 or bf16"):
        prepare(trained(**SMALL), "fp8")


def test_bf16_without_such_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demucs.nn.fast.preparation.has_bf16", lambda: False)
    with pytest.raises(ConfigError, match="avx512_bf16"):
        prepare(trained(**SMALL), "bf16")


@needs_bf16
def test_bf16_of_another_network_or_of_a_prepared_one() -> None:
    with pytest.raises(ConfigError, match="Linear has no such form"):
        prepare(nn.Linear(2, 2), "bf16")
    with pytest.raises(ConfigError, match="prepare the plain one"):
        prepare(prepare(trained(**SMALL)), "bf16")


def test_bands_have_no_fast_form() -> None:
    fast = prepare(trained(**SMALL, multi_freqs=[0.5]))
    assert isinstance(fast.encoder[0], layers.PlainEncoder)
    assert isinstance(fast.encoder[3], layers.FastEncoder)


@pytest.mark.parametrize(("kernel", "stride"), [(8, 4), (4, 2), (6, 3)])
def test_transposed_convolution_of_two_taps(kernel: int, stride: int) -> None:
    conv = nn.ConvTranspose1d(5, 3, kernel, stride=stride)
    x = torch.randn(2, 5, 1, 11)
    fast = TransposedOverTime(conv, torch.float32)(x)
    assert TransposedOverTime.fits(conv)
    torch.testing.assert_close(fast[:, :, 0], conv(x[:, :, 0]))
    assert not TransposedOverTime.fits(nn.ConvTranspose1d(5, 3, kernel, stride=stride + 1))


@pytest.mark.parametrize("length", [128, 1000, 1024])
def test_overlap_add_inverts_the_stft(length: int) -> None:
    signal = torch.randn(2, length)
    spectrum = stft(signal, 64, 16)
    spectra = spectrum.transpose(-1, -2).contiguous()
    torch.testing.assert_close(overlap_add(spectra, 0, 0, length), signal)
    torch.testing.assert_close(istft(spectrum, 16, length), signal)
    assert frames_for((2,), 5, 32).shape == (2, 5, 33)


# ---- in the separator


def test_separator_runs_the_fast_form() -> None:
    model = trained(**SMALL, segment=0.1)
    wav = torch.randn(2, 9000)
    plain = Separator(model, device="cpu", shifts=0)
    plain._prepared = model
    fast = Separator(model, device="cpu", shifts=0)
    assert isinstance(fast._network(), FastHDemucs)
    assert fast.model is model
    expected, found = plain.separate_tensor(wav)[1], fast.separate_tensor(wav)[1]
    for name in expected:
        assert snr(expected[name], found[name]) >= 100


@needs_bf16
def test_separator_in_bf16() -> None:
    model = trained(**SMALL)
    wav = torch.randn(2, 9000)
    expected = Separator(model, device="cpu", shifts=0).separate_tensor(wav)[1]["low"]
    found = Separator(model, device="cpu", shifts=0, precision="bf16").separate_tensor(wav)[1][
        "low"
    ]
    assert 30 <= snr(expected, found) <= 80


def test_precision_is_for_the_cpu() -> None:
    with pytest.raises(ConfigError, match="precision=bf16 is for the cpu"):
        Separator(trained(**SMALL), device="meta", precision="bf16")


def test_older_torch_reads_the_flags_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = has_bf16()
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert has_bf16() == expected
    monkeypatch.setattr("pathlib.Path.read_text", lambda self: "flags : fpu avx512_bf16 sse")
    assert has_bf16()
    monkeypatch.setattr("pathlib.Path.read_text", lambda self: "flags : fpu sse")
    assert not has_bf16()
