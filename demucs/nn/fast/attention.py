"""LocalState without its matrices of all positions by all others: some rows of them at a time."""

import math

import torch
from torch import Tensor, nn

from demucs.nn.dconv import LocalState
from demucs.nn.fast.tiles import tiles


class FastLocalState(nn.Module):
    """A LocalState; the scores and their softmax are in float32.

    Shape:
        `[R, C, 1, N]`, channels-last → the same.
    """

    def __init__(self, state: LocalState, dtype: torch.dtype):
        super().__init__()
        self.heads, self.decays = state.heads, state.decays
        width = state.query.out_channels // state.heads
        self.scale = 1 / math.sqrt(width)
        parts = [state.query, state.key, state.content, state.query_decay]
        self.sizes = [part.out_channels for part in parts]
        weights = [part.weight.detach()[:, :, 0] for part in parts]
        biases = [part.bias.detach() for part in parts if part.bias is not None]
        self.weight, self.bias = torch.cat(weights).t().to(dtype), torch.cat(biases).to(dtype)
        assert state.proj.bias is not None
        self.proj = state.proj.weight.detach()[:, :, 0].t().to(dtype, copy=True)
        self.proj_bias = state.proj.bias.detach().to(dtype, copy=True)
        orders = torch.arange(1, self.decays + 1, dtype=torch.float32)
        self.orders = orders / (2 * math.sqrt(self.decays))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)  # [R, N, C]
        out = torch.stack([self._attend(row) for row in rows])
        return out[:, None].permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        """`[N, C]` → the same."""
        steps = len(x)
        query, key, content, decay = torch.split(
            torch.addmm(self.bias, x, self.weight), self.sizes, dim=1
        )
        rates = decay.float().sigmoid().view(steps, self.heads, self.decays)
        slopes = rates @ self.orders  # [N, H]
        position = torch.arange(steps, dtype=torch.float32)
        mixed = torch.empty_like(x)
        for start, stop in tiles(steps, 4 * steps):
            distance = (position[start:stop, None] - position).abs_()
            for head, (q, k, v, out) in enumerate(
                zip(
                    *(tensor.chunk(self.heads, 1) for tensor in (query, key, content, mixed)),
                    strict=True,
                )
            ):
                scores = (q[start:stop] @ k.t()).float().mul_(self.scale)
                scores.addcmul_(distance, slopes[start:stop, head, None], value=-1)
                scores[:, start:stop].fill_diagonal_(-100.0)  # never itself
                out[start:stop] = scores.softmax(1).to(v.dtype) @ v
        return torch.addmm(self.proj_bias, mixed, self.proj).add_(x)
