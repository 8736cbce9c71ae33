"""The model as `compile=true` has it."""

import torch
from torch import nn

_GRAPHS = 64  # of one function; each layer of the network needs one of its own


def compiled(model: nn.Module, backend: str = "inductor") -> nn.Module:
    """The model, compiled for the shapes that it meets.

    LSTMs stay as they are and part the network into a graph a layer. PyTorch allows a function,
    such as the `forward` that all encoder layers share, 8 graphs, and runs further layers
    uncompiled: here it may have more. To take the LSTMs in (`allow_rnn`) makes one graph of the
    network, but unrolls them in time: it had not been compiled after 8 minutes.
    """
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _GRAPHS)
    made: nn.Module = torch.compile(model, dynamic=False, backend=backend)  # type: ignore[assignment]
    return made
