"""Precision on a GPU: what can be seen of it without one, and the rest where there is one."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from demucs.api import Separator
from demucs.errors import ConfigError
from demucs.nn import HDemucs
from demucs.nn.inference import gpu_form
from demucs.nn.mixed import Mixed

CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def network() -> HDemucs:
    torch.manual_seed(0)
    return HDemucs(["a", "b"], channels=8, depth=4, nfft=1024, segment=1.0).eval()


def snr(reference: Tensor, other: Tensor) -> float:
    return float(10 * torch.log10(reference.square().sum() / (reference - other).square().sum()))


def a_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")


def test_bf16_multiplies_in_16_bits_and_transforms_in_32(
    network: HDemucs, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, torch.dtype] = {}
    convolution = network.encoder[1].conv  # type: ignore[union-attr]
    hook = convolution.register_forward_hook(  # type: ignore[union-attr,operator]
        lambda module, inputs, output: seen.update(inside=output.dtype)
    )
    back = network.waveform

    def waveform(spectrum: Tensor, length: int) -> Tensor:
        seen["spectrum"] = spectrum.dtype
        return back(spectrum, length)

    monkeypatch.setattr(network, "waveform", waveform)
    mix = torch.randn(2, 2, 20000)
    with torch.no_grad():
        expected = network(mix)
        found = Mixed(network, "bf16")(mix)
    hook.remove()
    assert seen == {"inside": torch.bfloat16, "spectrum": torch.complex64}
    assert found.dtype == torch.float32
    assert 25 < snr(expected, found) < 80  # it did round, and only that


class Settings(nn.Module):
    """Notes PyTorch's settings when it is called."""

    sources, samplerate, audio_channels, segment = ("a",), 100, 2, 1.0

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken
        self.seen: Any = None

    def valid_length(self, length: int) -> int:
        return length + 1

    def forward(self, mix: Tensor) -> Tensor:
        self.seen = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
        if self.broken:
            raise RuntimeError("broken")
        return mix[:, None]


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("tf32", True)])
def test_tf32_is_allowed_only_inside(precision: str, allowed: bool) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    network = Settings()
    Mixed(network, precision)(torch.zeros(1, 2, 10))
    assert network.seen == (allowed, allowed)
    with pytest.raises(RuntimeError, match="broken"):
        Mixed(Settings(broken=True), precision)(torch.zeros(1, 2, 10))
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_all_else_is_the_networks_own() -> None:
    network = Settings()
    wrapped: Any = Mixed(network, "tf32")
    assert (wrapped.sources, wrapped.samplerate, wrapped.valid_length(3)) == (("a",), 100, 4)
    assert not hasattr(wrapped, "use_train_segment")
    assert wrapped.training
    assert not Mixed(network.eval(), "tf32").training


def test_by_default_what_the_gpu_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, expected in (((8, 0), "tf32"), ((7, 5), "fp32")):
        a_gpu(monkeypatch, capability)
        assert gpu_form(Settings(), None, CUDA).precision == expected
    assert isinstance(gpu_form(Settings(), "fp32", torch.device("mps")), Settings)


def test_what_a_device_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    a_gpu(monkeypatch, (7, 5))
    for precision in ("tf32", "bf16"):
        with pytest.raises(ConfigError, match=f"{precision} needs a GPU.*Old GPU.*use fp32"):
            gpu_form(Settings(), precision, CUDA)
        with pytest.raises(ConfigError, match=f"precision={precision}.*mps"):
            gpu_form(Settings(), precision, torch.device("mps"))
    with pytest.raises(ConfigError, match="'fp8': choose fp32 or tf32 or bf16"):
        gpu_form(Settings(), "fp8", CUDA)
    with pytest.raises(ConfigError, match="tf32 is for a CUDA GPU"):
        Separator(Settings(), device="cpu", precision="tf32")


@needs_gpu
@pytest.mark.parametrize(("precision", "least"), [("fp32", 90), ("tf32", 45), ("bf16", 25)])
def test_a_gpu_separates_as_the_cpu_does(network: HDemucs, precision: str, least: float) -> None:
    wav = torch.randn(2, 3 * 44100, generator=torch.Generator().manual_seed(0)) * 0.1
    _, expected = Separator(network, device="cpu").separate_tensor(wav)
    for batch in (1, 4):
        gpu = Separator(network, device="cuda", precision=precision, batch=batch)
        _, found = gpu.separate_tensor(wav)
        assert all(snr(expected[name], found[name]) > least for name in expected)
    network.cpu()
