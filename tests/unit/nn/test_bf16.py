"""The fast form in bfloat16: rounding and no more, on any processor.

Its arithmetic is emulated in float32 (bf16_rounding.py), so nothing here depends on the machine;
where the processor multiplies bfloat16, what it gives is held to the same bounds.
"""

import functools
import os
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from demucs.api import Separator
from demucs.errors import ConfigError
from demucs.nn import Demucs, HDemucs, HTDemucs, inference
from demucs.nn.fast import FastHDemucs, convolution
from demucs.nn.fast.layout import channels_last
from demucs.nn.fast.strided import Folded, strided
from demucs.nn.inference import cpu_form, has_bf16
from tests.golden.hdemucs_cases import CASES, mixture
from tests.unit.bf16_rounding import Convolutions, Emulated
from tests.unit.nn.test_fast import SMALL, snr, trained

LEAST, MOST = 40, 80  # dB; above, nothing was rounded to 16 bits
NAMES = ["group-batch", "default-batch", "multi-freqs", "wiener"]
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="needs a processor that multiplies bfloat16")


@functools.cache
def case(name: str) -> tuple[HDemucs, Tensor, Tensor]:
    """A network, a mixture and the stems in float32."""
    kwargs, batch, length = CASES[name]
    model = trained(**kwargs)
    mix = mixture(name, batch, 2, length).float()
    with torch.no_grad():
        return model, mix, model(mix)


@pytest.fixture
def no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN takes no bfloat16, as on most processors."""
    monkeypatch.setattr(convolution, "_has_onednn", lambda x: x.dtype != torch.bfloat16)


@pytest.mark.parametrize("name", NAMES)
def test_same_stems_but_for_the_rounding_of_bfloat16(no_bf16: None, name: str) -> None:
    model, mix, stems = case(name)
    fast = FastHDemucs(model, torch.bfloat16)
    with Emulated() as emulated:
        rounded = fast(mix)
    assert LEAST <= snr(stems, rounded) <= MOST
    assert {"conv2d", "conv_transpose2d"} <= emulated.seen
    assert name == "wiener" or {"addmm", "matmul", "lstm"} <= emulated.seen


@needs_bf16
@pytest.mark.parametrize("name", NAMES)
def test_the_same_from_this_processor(name: str) -> None:
    model, mix, stems = case(name)
    assert LEAST <= snr(stems, cpu_form(model, "bf16")(mix)) <= MOST


@pytest.mark.long
def test_the_same_from_a_processor_that_does_not_multiply_bfloat16() -> None:
    """Of the instructions that PyTorch and oneDNN may use, the fewest."""
    code = (
        "import torch\n"
        "from demucs.nn.fast import FastHDemucs\nfrom demucs.nn.inference import has_bf16\n"
        "from tests.unit.nn.test_bf16 import SMALL, snr, trained\n"
        "model, mix = trained(**SMALL), torch.randn(2, 2, 3000)\n"
        "fast = FastHDemucs(model, torch.bfloat16)\n"
        "with torch.no_grad(): print(has_bf16(), snr(model(mix), fast(mix)))\n"
    )
    capped = {**os.environ, "ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}
    out = subprocess.run(
        [sys.executable, "-c", code], env=capped, capture_output=True, text=True, check=True
    ).stdout
    supported, decibels = out.split()
    assert supported == "False"
    assert LEAST <= float(decibels) <= MOST


@pytest.mark.parametrize("name", ["multi-freqs-deep", "context", "old-short"])
def test_no_convolution_in_16_bits_has_a_stride(name: str) -> None:
    """With AMX, oneDNN computes some of them wrong (demucs.nn.convolution)."""
    kwargs, batch, length = CASES[name]
    fast = FastHDemucs(trained(**kwargs), torch.bfloat16)
    with Convolutions() as seen, torch.no_grad():
        fast(mixture(name, batch, 2, length).float())
    ours = [strides for kind, strides in seen.strides if kind != "transposed"]
    assert len(ours) > 10
    assert all(max(strides) == 1 for strides in ours)


@pytest.mark.parametrize(
    "model",
    [
        HDemucs(**SMALL),
        HDemucs(**SMALL, multi_freqs=[0.5]),
        Demucs(sources=["low", "high"], channels=4, depth=3, samplerate=8000, resample=False),
        HTDemucs(sources=["low", "high"], channels=8, nfft=256, depth=3, t_layers=1, segment=0.5,
                 samplerate=8000),
    ],
    ids=["hdemucs", "bands", "demucs", "htdemucs"],
)  # fmt: skip
def test_nor_has_one_in_training_with_automatic_mixed_precision(model: nn.Module) -> None:
    """Nor a transposed one, whose gradient is a strided convolution."""
    with Convolutions() as seen:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(torch.randn(1, 2, 4000)).float().square().mean()
        loss.backward()
    kinds = {kind for kind, _ in seen.strides}
    assert {"convolution", "convolution_backward"} <= kinds
    assert all(max(strides) == 1 for _, strides in seen.strides)


@pytest.mark.parametrize("frequency", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(8, 4, 28), (8, 4, 31), (6, 4, 22), (3, 2, 3)]
)
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_strided_layer_without_its_stride(
    frequency: bool, kernel: int, stride: int, size: int, channels: int
) -> None:
    if frequency:
        conv: nn.Module = nn.Conv2d(channels, 5, (kernel, 1), (stride, 1), padding=(2, 0))
        x = torch.randn(2, channels, size, 7)
        expected = nn.functional.conv2d(x, conv.weight, conv.bias, (stride, 1))
    else:
        conv = nn.Conv1d(channels, 5, kernel, stride, padding=2)
        x = torch.randn(2, channels, 1, size)
        expected = nn.functional.conv1d(x[:, :, 0], conv.weight, conv.bias, stride)[:, :, None]
    with torch.no_grad():
        torch.testing.assert_close(Folded(conv, torch.float32, padded=False)(x), expected)
        halves = strided(conv, torch.bfloat16)
        assert isinstance(halves, Folded)
        with Emulated():
            assert snr(expected, halves(channels_last(x.bfloat16()))) >= LEAST
    assert not isinstance(strided(conv, torch.float32), Folded)


# ---- where it is refused, and in the separator


def test_bf16_without_such_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "has_bf16", lambda: False)
    with pytest.raises(ConfigError, match="avx512_bf16"):
        cpu_form(trained(**SMALL), "bf16")


def test_bf16_of_another_network_or_of_a_prepared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "has_bf16", lambda: True)
    with pytest.raises(ConfigError, match="Linear has no bf16 form"):
        cpu_form(nn.Linear(2, 2), "bf16")
    with pytest.raises(ConfigError, match="give the plain network"):
        cpu_form(cpu_form(trained(**SMALL)), "bf16")


def test_separator_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "has_bf16", lambda: True)  # without it, it is only slow
    model = trained(**SMALL)
    wav = torch.randn(2, 9000)
    expected = Separator(model, device="cpu", shifts=0).separate_tensor(wav)[1]["low"]
    halves = Separator(model, device="cpu", shifts=0, precision="bf16")
    with nullcontext() if has_bf16() else Emulated():
        found = halves.separate_tensor(wav)[1]["low"]
    assert LEAST <= snr(expected, found) <= MOST


def test_older_torch_reads_the_flags_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = has_bf16()
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert has_bf16() == expected
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr("pathlib.Path.read_text", lambda self: "flags : fpu avx512_bf16 sse")
    assert has_bf16()
    monkeypatch.setattr("pathlib.Path.read_text", lambda self: "flags : fpu sse")
    assert not has_bf16()
    monkeypatch.setattr("pathlib.Path.read_text", lambda self: "flags : fpu avx512_bf16 sse")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert not has_bf16()
