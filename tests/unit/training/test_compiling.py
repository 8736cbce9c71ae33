"""`compile=true`: every layer is compiled, and computes what it did."""

import torch
from torch import Tensor, nn

from demucs.training.optim.precision import compiled


class Layer(nn.Module):
    """One of many that share a `forward`, each of another width, parted by what is not compiled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width + 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dense(x)
        torch._dynamo.graph_break()
        return x.relu()


def test_no_layer_is_left_out_for_there_being_many() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(Layer(width) for width in range(2, 14)))
    x = torch.randn(3, 2)
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        found = compiled(model, backend="eager")(x)
    torch.testing.assert_close(found, model(x))
