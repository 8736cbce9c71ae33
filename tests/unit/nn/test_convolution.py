"""Convolutions that leave out what meets padding alone, or a stride in 16 bits."""

import pytest
import torch
from torch import nn

from demucs.nn import convolution
from demucs.nn.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, fold, unfold


@pytest.mark.parametrize("bins", [1, 2, 5])
@pytest.mark.parametrize(
    ("kernel", "padding"), [((3, 3), (1, 1)), ((1, 3), (0, 1)), ((3, 1), (2, 0))]
)
def test_it_computes_and_learns_what_torch_does(
    bins: int, kernel: tuple[int, int], padding: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, kernel, padding=padding)
    ours = Conv2d(4, 6, kernel, padding=padding)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4, bins, 7, requires_grad=True)
    outputs = [layer(x) for layer in (plain, ours)]
    torch.testing.assert_close(outputs[1], outputs[0])
    one, other = (
        torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])
        for out, layer in zip(outputs, (plain, ours), strict=True)
    )
    torch.testing.assert_close(other, one)


def test_one_frequency_takes_a_third_of_the_work() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    layer, x = Conv2d(4, 6, 3, padding=1), torch.randn(2, 4, 1, 7)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * 2 * 7 * 6 * 4 * 3


# ---- without a stride


LAYERS = {
    Conv1d: nn.Conv1d,
    Conv2d: nn.Conv2d,
    ConvTranspose1d: nn.ConvTranspose1d,
    ConvTranspose2d: nn.ConvTranspose2d,
}
SHAPES = [
    (8, 4, 0),
    (8, 4, 2),
    (6, 4, 1),
    (3, 2, 0),
    (5, 5, 0),
    (2, 3, 0),
]  # kernel, stride, padding


def pair(kind: type[nn.Module], kernel: int, stride: int, padding: int) -> list[nn.Module]:
    """torch's layer and ours with the same parameters; those of two dimensions stride over one."""
    two = kind in (Conv2d, ConvTranspose2d)
    geometry = ((kernel, 1), (stride, 1), (padding, 0)) if two else (kernel, stride, padding)
    plain, ours = LAYERS[kind](4, 6, *geometry), kind(4, 6, *geometry)  # type: ignore[arg-type]
    ours.load_state_dict(plain.state_dict())
    return [plain, ours]


def signal_for(kind: type[nn.Module], size: int) -> torch.Tensor:
    return torch.randn(2, 4, size, *([5] if kind in (Conv2d, ConvTranspose2d) else []))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("kernel", "stride", "padding"), SHAPES)
@pytest.mark.parametrize("size", [9, 12, 31])
def test_without_a_stride_the_same_outputs_and_gradients(
    monkeypatch: pytest.MonkeyPatch,
    kind: type[nn.Module],
    kernel: int,
    stride: int,
    padding: int,
    size: int,
) -> None:
    monkeypatch.setattr(convolution, "_dtype", lambda x: torch.bfloat16)  # it is exact in 64 bits
    layers = [layer.double() for layer in pair(kind, kernel, stride, padding)]
    x = signal_for(kind, size).double().requires_grad_()
    outputs = [layer(x) for layer in layers]
    torch.testing.assert_close(outputs[1], outputs[0])
    plain, ours = (
        torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])
        for out, layer in zip(outputs, layers, strict=True)
    )
    torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("kind", LAYERS)
def test_only_in_16_bits(kind: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    folds = []
    real = convolution.fold_weight
    monkeypatch.setattr(
        convolution, "fold_weight", lambda *args: folds.append(args[0].dtype) or real(*args)
    )
    _, ours = pair(kind, 8, 4, 2)
    x = signal_for(kind, 12)
    ours(x)
    assert not folds
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(x).dtype == torch.bfloat16
    ours.bfloat16()(x.bfloat16())
    assert folds == [torch.float32, torch.bfloat16]


def test_what_does_not_fold_is_computed_as_it_is() -> None:
    x = torch.randn(1, 4, 20).bfloat16()
    for options in ({"groups": 2}, {"dilation": 2}, {"padding_mode": "circular", "padding": 1}):
        layer = Conv1d(4, 6, 3, 2, **options).bfloat16()
        plain = nn.Conv1d(4, 6, 3, 2, **options).bfloat16()
        plain.load_state_dict(layer.state_dict())
        torch.testing.assert_close(layer(x), plain(x))


@pytest.mark.parametrize("axis", [2, 3])
def test_unfold_is_the_inverse_of_fold(axis: int) -> None:
    x = torch.randn(2, 3, 8, 12)
    assert fold(x, axis, 4).shape[1:] == ((12, 2, 12) if axis == 2 else (12, 8, 3))
    assert torch.equal(unfold(fold(x, axis, 4), axis, 4), x)
