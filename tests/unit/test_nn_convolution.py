"""The convolution that leaves out what meets padding alone."""

import pytest
import torch
from torch import nn

from demucs.nn.convolution import Conv2d


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
