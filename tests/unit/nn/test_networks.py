"""Properties of the networks that hold without the reference numbers."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from demucs.errors import ConfigError
from demucs.nn import HDemucs, ModelSpec, build_model
from demucs.nn.allocator import return_large_blocks, tune_allocator
from demucs.nn.dconv import BLSTM, DConv, LocalState
from demucs.nn.inference import cpu_form
from demucs.nn.layers import rescale_convolutions
from demucs.nn.norms import GroupNorm
from demucs.nn.spectrogram import aligned_istft, aligned_stft, istft, pad_reflect, stft
from demucs.nn.wiener import wiener

TINY = dict(sources=["a", "b", "c"], channels=4, nfft=256, depth=4, norm_groups=2)


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 3000), reflect=st.booleans())
def test_aligned_stft_has_one_frame_a_hop(length, reflect):
    x = torch.randn(2, length, generator=torch.Generator().manual_seed(length))
    z = aligned_stft(x, 256, reflect)
    assert z.shape == (2, 128, -(-length // 64))
    assert aligned_istft(z, length, reflect).shape == x.shape


def test_aligned_istft_inverts_away_from_the_edges():
    """The two frames beyond each end are dropped, which fades one and a half hops there."""
    time = torch.arange(5000) / 44100
    x = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (440.0, 3000.0)])
    back = aligned_istft(aligned_stft(x, 256, True), 5000, True)
    assert (back - x)[:, 128:-128].abs().max() < 1e-3


def test_istft_inverts_stft():
    x = torch.randn(2, 3, 4096)
    assert torch.allclose(istft(stft(x, 512, 128), 128, 4096), x, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 40), left=st.integers(0, 60), right=st.integers(0, 60))
def test_pad_reflect_keeps_the_signal_and_has_the_length(length, left, right):
    x = torch.arange(1.0, length + 1)[None]
    padded = pad_reflect(x, left, right)
    assert padded.shape[-1] == left + length + right
    assert torch.equal(padded[:, left : left + length], x)


def test_blstm_on_a_long_input_has_its_length_and_sees_only_nearby_chunks():
    torch.manual_seed(0)
    layer = BLSTM(4, max_steps=20).eval()
    x = torch.randn(1, 4, 207)
    y = layer(x)
    assert y.shape == x.shape
    changed = x.clone()
    changed[..., -1] += 10
    difference = (layer(changed) - y).abs().amax(dim=(0, 1))
    assert difference[-1] > 0
    assert difference[:180].max() == 0


def test_local_state_never_attends_to_itself():
    torch.manual_seed(0)
    layer = LocalState(8)
    x = torch.randn(1, 8, 2)
    weights_only = layer(x) - x
    # with two positions, each sees the other alone, so its own value leaves the result unchanged
    content = layer.content(x).flip(-1)
    assert torch.allclose(weights_only, layer.proj(content), atol=1e-5)


def test_dconv_starts_as_almost_the_identity():
    x = torch.randn(2, 8, 50)
    assert (DConv(8, init=1e-4)(x) - x).abs().max() < 0.01


def test_rescale_moves_the_scale_half_way():
    conv = torch.nn.Conv1d(4, 64, 9)
    before = conv.weight.std().item()
    rescale_convolutions(conv, 0.1)
    assert conv.weight.std().item() == pytest.approx((before * 0.1) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("iterations", [0, 1])
def test_wiener_with_a_residual_sums_to_the_mixture(iterations):
    torch.manual_seed(0)
    mixture = torch.randn(1, 2, 5, 7, dtype=torch.complex128)
    magnitude = torch.rand(1, 3, 2, 5, 7, dtype=torch.float64)
    stems = wiener(magnitude, mixture, iterations, residual=True)
    assert stems.shape == magnitude.shape
    if iterations == 0:
        assert torch.allclose(stems.abs(), magnitude)
        assert torch.allclose(stems[0, 0].angle(), mixture[0].angle())


@pytest.mark.parametrize("length", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("extra", [{}, {"cac": False, "hybrid_old": True}, {"hybrid": False}])
def test_output_has_the_length_of_the_input(length, extra):
    model = HDemucs(**TINY, **extra).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 2, length)).shape == (2, 3, 2, length)


@pytest.mark.parametrize("audio_channels", [1, 2])
@pytest.mark.parametrize("name", ["hdemucs", "demucs"])
def test_one_sample_goes_through_one_hidden_channel(name, audio_channels):
    """PyTorch's GroupNorm refuses a single value, and its deviation is NaN."""
    narrow = {"sources": ["a", "b"], "channels": 4, "depth": 4, "audio_channels": audio_channels}
    narrow |= {"nfft": 256} if name == "hdemucs" else {}
    model = build_model(ModelSpec(name=name, kwargs=narrow)).eval()
    for network in (model, cpu_form(model)):
        for length in (1, 2):
            with torch.no_grad():
                stems = network(torch.full((1, audio_channels, length), 0.5))
            assert stems.shape == (1, 2, audio_channels, length)
            assert torch.isfinite(stems).all()


def test_norm_of_several_values_is_that_of_pytorch():
    x = torch.randn(2, 6, 5)
    ours, theirs = GroupNorm(2, 6), torch.nn.GroupNorm(2, 6)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(ours(x), theirs(x))
    one = GroupNorm(1, 1)
    one.load_state_dict({"weight": torch.tensor([2.0]), "bias": torch.tensor([3.0])})
    assert one(torch.full((1, 1, 1), 0.7)).item() == pytest.approx(3, abs=1e-3)
    with pytest.raises(ValueError, match="more than 1 value"):
        torch.nn.GroupNorm(1, 1)(torch.zeros(1, 1, 1))


def test_examples_of_a_batch_do_not_touch_each_other():
    torch.manual_seed(0)
    model = HDemucs(**TINY, dconv_lstm=1, dconv_attn=9).eval()
    mix = torch.randn(2, 2, 3000)
    with torch.no_grad():
        assert torch.allclose(model(mix)[1:], model(mix[1:]), atol=1e-5)


def test_spec_survives_json_and_builds_the_same_network():
    spec = ModelSpec(name="hdemucs", kwargs=TINY)
    model = build_model(ModelSpec.from_dict(spec.to_dict()))
    assert isinstance(model, HDemucs)
    assert model.sources == ["a", "b", "c"]
    assert (model.samplerate, model.audio_channels, model.segment) == (44100, 2, 40)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (("nothing", {}), "model=nothing is unknown; there are: demucs, hdemucs, htdemucs"),
        (("hdemucs", {**TINY, "chanels": 3}), "has no argument chanels"),
        (("hdemucs", {"channels": 4}), "cannot be built.*sources"),
        (("hdemucs", {**TINY, "norm_groups": 3, "norm_starts": 0}), "cannot be built.*divisible"),
        (("hdemucs", {**TINY, "sources": []}), "at least one source"),
        (("hdemucs", {**TINY, "depth": 2}), "depth=2 with nfft=256 is too shallow"),
        (("hdemucs", {**TINY, "nfft": 512}), "nfft=512 with stride=4.*set nfft=1024"),
        (("hdemucs", {**TINY, "channels": object()}), "must be plain"),
        (("hdemucs", {**TINY, "channels": 6, "dconv_attn": 0}), "do not divide into 4 heads"),
        (("hdemucs", {**TINY, "dconv_comp": 8}), "4 channels leave none at 1/8 of the width"),
    ],
)
def test_wrong_specs_say_what_is_wrong(spec, message):
    with pytest.raises(ConfigError, match=message):
        build_model(ModelSpec(name=spec[0], kwargs=spec[1]))


def test_allocator_can_be_tuned_twice():
    assert tune_allocator() is tune_allocator()


@pytest.mark.long
def test_large_blocks_can_be_given_back() -> None:
    code = (
        "from demucs.nn.allocator import return_large_blocks\n"
        "assert return_large_blocks()\n"
        "blocks = [bytearray(2**26) for _ in range(3)]\n"
        "keep = bytearray(2**26)\n"
        "held = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "before = held()\n"
        "blocks.clear()\n"
        "assert before - held() > 180 * 2**20"
    )
    if not sys.platform.startswith("linux"):
        assert not return_large_blocks()
        return
    subprocess.run([sys.executable, "-c", code], check=True)  # it is for the whole process
