"""The dilated residual branch (DConv) and the two sequence layers it may hold.

Reference: A. Défossez, "Hybrid Spectrogram and Waveform Source Separation" (arXiv:2111.03600),
section 3.2. Parameter names and numbers are those of the public Demucs, so weights carry over.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.nn.norms import GroupNorm


class LayerScale(nn.Module):
    """Multiplies each channel by a learnt factor that starts small (arXiv:2103.17239).

    Shape:
        input and output `[B, C, T]`.
    """

    def __init__(self, channels: int, init: float = 1e-4):
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), float(init)))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale[:, None] * x


class BLSTM(nn.Module):
    """Bidirectional LSTM with a skip connection, run on overlapping chunks of a long input.

    An input of more than `max_steps` steps is cut into chunks of `max_steps` with half overlap;
    the middle half of each chunk's output is kept (and the outer edges of the first and last).
    With `max_steps` None nothing is cut; `skip` False leaves the connection out.

    Shape:
        input and output `[B, C, T]`.
    """

    def __init__(
        self, channels: int, layers: int = 2, max_steps: int | None = 200, skip: bool = True
    ):
        super().__init__()
        self.max_steps = max_steps
        self.skip = skip
        self.lstm = nn.LSTM(channels, channels, num_layers=layers, bidirectional=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self._heard(x) if self.skip else self._heard(x)

    def _heard(self, x: Tensor) -> Tensor:
        steps = x.shape[-1]
        if self.max_steps is None or steps <= self.max_steps:
            return self._recur(x)
        width, hop = self.max_steps, self.max_steps // 2
        chunks = math.ceil(steps / hop)
        padded = F.pad(x, (0, (chunks - 1) * hop + width - steps))
        out = self._recur(rearrange(self._framed(padded), "b chunks c t -> (b chunks) c t"))
        kept = rearrange(out, "(b chunks) c t -> b chunks c t", chunks=chunks)
        return self._keep_middles(kept, hop // 2, steps)

    def _framed(self, padded: Tensor) -> Tensor:
        """`[B, C, T]` → `[B, chunks, C, max_steps]`."""
        assert self.max_steps is not None
        framed = padded.unfold(-1, self.max_steps, self.max_steps // 2)
        return rearrange(framed, "b c chunks t -> b chunks c t")

    def _recur(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.lstm(rearrange(x, "b c t -> t b c"))[0])
        return rearrange(out, "t b c -> b c t")

    @staticmethod
    def _keep_middles(chunks: Tensor, margin: int, steps: int) -> Tensor:
        """`[B, K, C, W]` chunks that overlap by `2 * margin` → `[B, C, steps]`."""
        pieces = list(chunks.unbind(1))
        last = len(pieces) - 1
        width = chunks.shape[-1]
        kept = [
            piece[..., (margin if k > 0 else 0) : (width - margin if k < last else width)]
            for k, piece in enumerate(pieces)
        ]
        return torch.cat(kept, dim=-1)[..., :steps]


class LocalState(nn.Module):
    """Self-attention whose scores lose weight with distance, at rates each position chooses.

    A position never attends to itself. There is no position embedding: only the learnt decay
    tells near from far.

    Shape:
        input and output `[B, C, T]`; cost grows with T².
    """

    def __init__(self, channels: int, heads: int = 4, decays: int = 4):
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels do not divide into {heads} heads")
        self.heads = heads
        self.decays = decays
        self.content = nn.Conv1d(channels, channels, 1)
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.query_decay = nn.Conv1d(channels, heads * decays, 1)
        with torch.no_grad():  # starts with almost no decay, the same everywhere
            self.query_decay.weight.mul_(0.01)
            assert self.query_decay.bias is not None
            self.query_decay.bias.fill_(-2.0)
        self.proj = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        channels, steps = x.shape[1:]
        query, key, content = (
            layer(x).view(-1, self.heads, channels // self.heads, steps)
            for layer in (self.query, self.key, self.content)
        )
        # scores[b, h, t, s]: how much position s listens to position t
        scores = torch.einsum("bhct,bhcs->bhts", key, query) / math.sqrt(key.shape[2])
        rates = torch.sigmoid(self.query_decay(x)).view(-1, self.heads, self.decays, steps) / 2
        scores = scores + self._decay(rates, steps)
        itself = torch.eye(steps, dtype=torch.bool, device=x.device)
        weights = torch.softmax(scores.masked_fill(itself, -100.0), dim=2)
        mixed = torch.einsum("bhts,bhct->bhcs", weights, content)
        out: Tensor = x + self.proj(mixed.reshape(-1, channels, steps))
        return out

    def _decay(self, rates: Tensor, steps: int) -> Tensor:
        """Penalty `[B, H, T, T]` that grows with the distance |t - s|, at rates `[B, H, D, T]`."""
        position = torch.arange(steps, device=rates.device, dtype=rates.dtype)
        distance = (position[:, None] - position[None, :]).abs()
        orders = torch.arange(1, self.decays + 1, device=rates.device, dtype=rates.dtype)
        slope = torch.einsum("d,bhds->bhs", orders, rates) / math.sqrt(self.decays)
        return -distance * slope[:, :, None, :]


class DConv(nn.Module):
    """A stack of residual layers of dilated convolutions over time, at a fraction of the width.

    Args:
        channels: channels of input and output.
        compress: the hidden width is `channels / compress`.
        depth: number of layers; layer d has dilation 2**d (1 throughout if depth is negative).
        init: start value of the LayerScale.
        attn, lstm: put a LocalState or a BLSTM in the middle of each layer.

    Raises:
        ValueError: no hidden channel is left.

    Shape:
        input and output `[B, C, T]`.
    """

    def __init__(
        self,
        channels: int,
        compress: float = 4,
        depth: int = 2,
        init: float = 1e-4,
        attn: bool = False,
        lstm: bool = False,
        kernel: int = 3,
    ):
        super().__init__()
        hidden = int(channels / compress)
        if depth and hidden < 1:
            raise ValueError(
                f"{channels} channels leave none at 1/{compress:g} of the width: "
                "give more channels, or a smaller dconv_comp"
            )
        self.layers = nn.ModuleList()
        for index in range(abs(depth)):
            dilation = 2**index if depth > 0 else 1
            middle: list[nn.Module] = []
            if lstm:
                middle.append(BLSTM(hidden))
            if attn:
                middle.append(LocalState(hidden))
            self.layers.append(
                nn.Sequential(
                    nn.Conv1d(
                        channels,
                        hidden,
                        kernel,
                        dilation=dilation,
                        padding=dilation * (kernel // 2),
                    ),
                    GroupNorm(1, hidden),
                    nn.GELU(),
                    *middle,
                    nn.Conv1d(hidden, 2 * channels, 1),
                    GroupNorm(1, 2 * channels),
                    nn.GLU(1),
                    LayerScale(channels, init),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x
