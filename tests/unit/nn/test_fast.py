"""The network for inference computes what the plain one computes."""

import copy

import pytest
import torch
from torch import nn

from demucs import api
from demucs.api import Separator
from demucs.errors import ConfigError
from demucs.nn import HDemucs
from demucs.nn.dconv import DConv, LocalState
from demucs.nn.fast import (
    FastHDemucs,
    attention,
    convolution,
    dconv,
    gated,
    layers,
    layout,
    pool,
    tiles,
    winograd,
)  # fmt: skip
from demucs.nn.fast.convolution import TransposedOverTime
from demucs.nn.fast.folded import FoldedNorm
from demucs.nn.fast.spectrogram import inverse_stft
from demucs.nn.inference import cpu_form
from demucs.nn.layers import over_time
from demucs.nn.spectrogram import istft, stft
from tests.golden.hdemucs_cases import CASES, fill_weights, mixture

SMALL = dict(sources=["low", "high"], channels=8, nfft=256, depth=4)


def trained(**kwargs) -> HDemucs:
    model = HDemucs(**kwargs).eval()
    fill_weights(model)
    return model


def snr(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Decibels of `reference` over the difference."""
    reference, other = reference.detach().double(), other.detach().double()
    error = (reference - other).square().sum()
    return float(10 * torch.log10(reference.square().sum() / error))


@pytest.mark.parametrize("name", CASES)
def test_same_stems(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Of one golden case: from whole layers, and from small tiles of them.

    Together, since filling a network and running the plain one take longer than what is compared.
    """
    kwargs, batch, length = CASES[name]
    model = trained(**kwargs)
    mix = mixture(name, batch, kwargs.get("audio_channels", 2), length).float()
    fast = cpu_form(model)
    assert isinstance(fast, FastHDemucs)
    with torch.no_grad():
        expected = model(mix)
        assert snr(expected, fast(mix)) >= 100
        # Wide layers are cut into larger tiles: into thousands it takes a minute of a core.
        block = 3000 * (kwargs.get("channels", 48) // 4) ** 2
        monkeypatch.setattr(tiles, "BLOCK", block)
        monkeypatch.setattr(dconv, "BLOCK", block)
        assert snr(expected, fast(mix)) >= 100


@pytest.mark.parametrize("length", [1, 3, 255, 256, 257, 4000])
def test_any_length_after_any_other(length: int) -> None:
    model = trained(**SMALL)
    fast = cpu_form(model)
    with torch.no_grad():
        fast(torch.randn(1, 2, 1000))  # the layouts of the weights are chosen here
        mix = torch.randn(2, 2, length)
        assert snr(model(mix), fast(mix)) >= 100


def test_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(**SMALL)
    mix = torch.randn(1, 2, 3000)
    monkeypatch.setattr(convolution, "_has_onednn", lambda x: False)
    with torch.no_grad():
        assert snr(model(mix), cpu_form(model)(mix)) >= 100


def test_the_model_is_left_as_it_is() -> None:
    model = trained(**SMALL, dconv_lstm=2, multi_freqs=[0.5]).train()
    before = copy.deepcopy(model.state_dict())
    fast = cpu_form(model)
    fast(torch.randn(1, 2, 500))
    assert model.training
    assert not fast.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    ours = {tensor.data_ptr() for tensor in fast.state_dict().values()}
    assert ours.isdisjoint(tensor.data_ptr() for tensor in model.state_dict().values())


def test_what_a_separator_asks_for() -> None:
    fast = cpu_form(trained(**SMALL, segment=7.5, samplerate=8000))
    assert (fast.sources, fast.audio_channels) == (["low", "high"], 2)
    assert (fast.samplerate, fast.segment) == (8000, 7.5)
    assert cpu_form(fast) is fast


def test_another_network_is_returned_itself() -> None:
    other = nn.Linear(2, 2)
    assert cpu_form(other) is other


def test_unknown_precision() -> None:
    with pytest.raises(ConfigError, match="precision='fp8': choose fp32 or bf16"):
        cpu_form(trained(**SMALL), "fp8")


def test_bands_have_no_fast_form() -> None:
    fast = cpu_form(trained(**SMALL, multi_freqs=[0.5]))
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
def test_inverse_stft(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(tiles, "BLOCK", 4000)
    spectrum = stft(torch.randn(2, length), 64, 16)
    spectrum[:, -1] = 0  # the frequency that the network leaves out
    expected = istft(spectrum, 16, length)
    torch.testing.assert_close(inverse_stft(spectrum[:, :-1], 0, 0, length), expected)
    part = inverse_stft(spectrum[:, :-1], 0, 24, length - 24)
    torch.testing.assert_close(part, expected[:, 24:])


@pytest.mark.parametrize("frames", [1, 4, 5, 31])
@pytest.mark.parametrize("over_time", [False, True])
def test_winograd(frames: int, over_time: bool) -> None:
    conv = nn.Conv1d(6, 8, 3, padding=1) if over_time else nn.Conv2d(6, 8, 3, padding=1)
    x = torch.randn(2, 6, 1 if over_time else 7, frames)
    expected = conv(x[:, :, 0])[:, :, None] if over_time else conv(x)
    fast = winograd.Winograd(conv, flat=over_time)
    around = 0 if over_time else 1
    assert fast.margin == (around, 1)
    padded = layout.channels_last(nn.functional.pad(x, (1, 1, around, around)))
    with torch.no_grad():
        assert snr(expected, fast(padded)) >= 100


def test_winograd_of_one_frequency_leaves_out_its_neighbours() -> None:
    conv = nn.Conv2d(6, 8, 3, padding=1)
    x = torch.randn(1, 6, 1, 9)
    one = winograd.Winograd(conv, flat=True)
    assert one.margin == (0, 1)
    with torch.no_grad():
        assert snr(conv(x), one(nn.functional.pad(x, (1, 1)))) >= 100


def test_winograd_is_for_wide_layers_in_float32() -> None:
    wide = nn.Conv2d(64, 128, 3, padding=1)
    assert winograd.Winograd.fits(wide, torch.float32, flat=False)
    assert not winograd.Winograd.fits(wide, torch.float32, flat=True)
    assert not winograd.Winograd.fits(wide, torch.bfloat16, flat=False)
    assert not winograd.Winograd.fits(nn.Conv2d(64, 128, 3), torch.float32, flat=False)
    assert not winograd.Winograd.fits(nn.Conv2d(64, 128, 1), torch.float32, flat=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("half", [3, 8, 48, 100])
@pytest.mark.parametrize("last", [True, False])
def test_glu(dtype: torch.dtype, half: int, last: bool) -> None:
    x = torch.randn(2, 2 * half, 3, 5).to(dtype)
    x = layout.channels_last(x) if last else x
    expected = nn.functional.glu(x, dim=1)
    torch.testing.assert_close(gated.glu(x), expected)
    total = torch.ones(2, half, 3, 5, dtype=dtype)
    gated.add_glu(total, x)
    loose = dict(atol=0.02, rtol=0.02) if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(total, 1 + expected, **loose)


@pytest.mark.parametrize("attn", [False, True])
def test_dconv_by_blocks(monkeypatch: pytest.MonkeyPatch, attn: bool) -> None:
    monkeypatch.setattr(dconv, "BLOCK", 1)
    plain = DConv(8, attn=attn, compress=2, init=0.5)
    x = torch.randn(2, 8, 5, 20)
    with torch.no_grad():
        expected = over_time(plain, x)
        assert snr(expected, dconv.FastDConv(plain, torch.float32)(x.clone())) >= 100
        last = layout.channels_last(x).clone(memory_format=torch.channels_last)
        assert snr(expected, dconv.FastDConv(plain, torch.float32)(last)) >= 100


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_folded_norm(monkeypatch: pytest.MonkeyPatch, offset: float) -> None:
    """Also where the mean is far larger than the deviation."""
    monkeypatch.setattr(tiles, "BLOCK", 500)  # several tiles
    conv, norm = nn.Conv1d(3, 10, 1), nn.GroupNorm(1, 10)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    hidden, total = torch.randn(1, 3, 57) + offset, torch.randn(1, 5, 57)
    folded = FoldedNorm.of(conv, norm)
    assert folded is not None
    with torch.no_grad():
        expected = total + nn.functional.glu(norm(conv(hidden)), dim=1)
        found = layout.channels_last(total[:, :, None]).clone(memory_format=torch.channels_last)
        folded.add_gated(found, layout.channels_last(hidden[:, :, None]))
    assert snr(expected, found[:, :, 0]) >= (100 if offset == 0 else 85)
    assert FoldedNorm.of(nn.Conv1d(3, 10, 3), norm) is None
    assert FoldedNorm.of(conv, nn.GroupNorm(2, 10)) is None


@pytest.mark.parametrize("axis", [tiles.FREQUENCY, tiles.TIME])
def test_cut_and_put(axis: int) -> None:
    x = layout.channels_last(torch.randn(1, 3, 6, 6))
    one = tiles.cut(x, axis, 2, 5)
    assert torch.equal(one, x.narrow(axis, 2, 3))
    around = tiles.cut(x, axis, -2, 7, sides=(1, 0), plus=x)
    assert around.shape == ((1, 3, 9, 7) if axis == tiles.FREQUENCY else (1, 3, 7, 9))
    inner = around.narrow(axis, 2, 6).narrow(5 - axis, 1, 6)
    assert torch.equal(inner, 2 * x)
    assert around.count_nonzero() == inner.count_nonzero()
    out = None
    for start, stop in ((0, 4), (4, 6)):
        out = tiles.put(out, x.narrow(axis, start, stop - start), axis, start, 6)
    assert torch.equal(out, x)


def test_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "BLOCK", 700)
    assert tiles.tiles(10, 100) == [(0, 4), (4, 8), (8, 10)]
    assert tiles.tiles(3, 1000) == [(0, 1), (1, 2), (2, 3)]
    assert tiles.tiles(3, 1) == [(0, 3)]


@pytest.mark.parametrize("steps", [1, 7, 40])
def test_local_state_by_rows(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    monkeypatch.setattr(tiles, "BLOCK", 400)
    plain = LocalState(12)
    nn.init.normal_(plain.query_decay.weight)
    x = torch.randn(3, 12, steps)
    with torch.no_grad():
        rows = layout.channels_last(x[:, :, None])
        found = attention.FastLocalState(plain, torch.float32)(rows)[:, :, 0]
        assert snr(plain(x), found) >= 100


def test_a_pool_hands_memory_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LARGE", 1000)
    memory = pool.Pool()
    one = memory.empty([1, 3, 10, 20], torch.float32)
    assert one.is_contiguous(memory_format=torch.channels_last)
    place = one.data_ptr()
    memory.give(one)
    same = memory.empty([1, 3, 20, 18], torch.bfloat16)  # a little smaller
    assert same.data_ptr() == place
    assert not memory._free
    memory.give(same, torch.empty(1, 1, 2, 2), None)
    assert len(memory._free) == 1
    large = memory.empty([1, 3, 20, 20], torch.float32)  # does not fit: the other makes room
    assert large.data_ptr() != place or not memory._free
    assert not memory._free
    memory.give(large)
    memory.clear()
    assert not memory._free


def test_stems_of_one_pass_outlive_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LARGE", 1)  # every tensor's memory is handed on
    model = trained(**SMALL)
    fast, mixes = cpu_form(model), torch.randn(2, 1, 2, 3000)
    with torch.no_grad():
        found = [fast(mix) for mix in mixes]
        for mix, stems in zip(mixes, found, strict=True):
            assert snr(model(mix), stems) >= 100
    assert pool.POOL._free
    Separator(model, device="cpu", shifts=0).separate_tensor(mixes[0, 0])
    assert not pool.POOL._free


def test_rows_are_a_view() -> None:
    x = layout.channels_last(torch.randn(2, 3, 4, 5))
    rows = layout.as_rows(x)
    assert rows.data_ptr() == x.data_ptr()
    assert torch.equal(rows[5, :, 0], x[1, :, 1])
    assert torch.equal(layout.from_rows(rows, 4), x)


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


def test_precision_is_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api._CHECKS, "device", lambda _: torch.device("meta"))  # any other device
    with pytest.raises(ConfigError, match="precision=bf16 is for the cpu"):
        Separator(trained(**SMALL), precision="bf16")
