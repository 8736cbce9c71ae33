"""The cross-domain transformer of HTDemucs: two sequences that listen to themselves and each other.

Reference: S. Rouard, F. Massa and A. Défossez, "Hybrid Transformers for Music Source Separation"
(arXiv:2211.08553), section 3. State-dict keys and numbers are those of the public Demucs. Its
sparse attention, for which no weights were published, is not here.
"""

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.errors import ConfigError
from demucs.nn.norms import GroupNorm
from demucs.nn.positions import cape_positions, sine_positions, sine_positions_2d


class TokenNorm(GroupNorm):
    """Group norm over all tokens and the channels of a group.

    Shape:
        input and output `[B, T, C]`.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class TokenScale(nn.Module):
    """Multiplies each channel of `[B, T, C]` by a learnt factor (arXiv:2103.17239)."""

    def __init__(self, channels: int, init: float = 1e-4):
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), init))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


class TransformerLayer(nn.Module):
    """Attention and a feed-forward part, each with a residual connection.

    Args:
        channels: of a token.
        heads: of the attention; they divide the channels.
        hidden: channels inside the feed-forward part.
        dropout: share of values that are dropped in training.
        activation: of the feed-forward part.
        cross: attend to another sequence instead of the own one.
        group_norm: groups of the norms; 0: layer norm.
        norm_first: norms before each part instead of after it.
        norm_out: a group norm of one group at the end, with `norm_first`.
        layer_scale: learnt scales of the parts.

    Shape:
        `x` `[B, T, C]`, with `cross` also `other` `[B, U, C]`; output `[B, T, C]`.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        hidden: int,
        *,
        dropout: float,
        activation: Callable[[Tensor], Tensor],
        cross: bool,
        group_norm: int,
        norm_first: bool,
        norm_out: bool,
        layer_scale: bool,
    ):
        super().__init__()

        def norm() -> nn.Module:
            return TokenNorm(group_norm, channels) if group_norm else nn.LayerNorm(channels)

        attention = nn.MultiheadAttention(channels, heads, dropout=dropout, batch_first=True)
        self.cross, self.norm_first, self.activation = cross, norm_first, activation
        if cross:
            self.cross_attn = attention
        else:
            self.self_attn = attention
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1, self.norm2 = norm(), norm()
        if cross:
            self.norm3 = norm()
        self.norm_out = TokenNorm(1, channels) if norm_first and norm_out else None
        self.gamma_1 = TokenScale(channels) if layer_scale else nn.Identity()
        self.gamma_2 = TokenScale(channels) if layer_scale else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        if not self.norm_first:
            x = self.norm1(x + self.gamma_1(self._attend(x, x if other is None else other)))
            normed: Tensor = self.norm2(x + self.gamma_2(self._feed_forward(x)))
            return normed
        asking = self.norm1(x)
        x = x + self.gamma_1(self._attend(asking, asking if other is None else self.norm2(other)))
        before_last = self.norm3 if self.cross else self.norm2
        x = x + self.gamma_2(self._feed_forward(before_last(x)))
        return x if self.norm_out is None else self.norm_out(x)

    def _attend(self, x: Tensor, other: Tensor) -> Tensor:
        attention = self.cross_attn if self.cross else self.self_attn
        heard: Tensor = self.dropout(attention(x, other, other, need_weights=False)[0])
        return heard

    def _feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.linear2(self.dropout(self.activation(self.linear1(x)))))
        return out


class CrossTransformer(nn.Module):
    """Transformer layers of the spectrogram and of the waveform, side by side.

    In every second layer each side attends to the other, as it was before that layer.

    Args:
        channels: of a token, divisible by 4.
        layers: how many on each side.
        emb: positions in time: `sin`, `cape` or `scaled` (learnt, at most `max_positions`). The
            spectrogram's are always sines in two dimensions.
        hidden_scale: hidden channels of the feed-forward part over `channels`.
        cross_first: begin with a layer that attends to the other side.
        norm_in: layer norm before the first layer; otherwise `norm_in_group` groups, or none.
        max_period: of the slowest sine, in tokens.
        weight_pos_embed: factor of the positions.
        sin_random_shift: positions start at a random number up to it.
        cape_mean_normalize, cape_augment, cape_glob_loc_scale: see `cape_positions`; the last has
            the shift of an example, of a position, and the scale.
        weight_decay, lr: of its weights in training; `lr` None: as everywhere.
        others: see `TransformerLayer`.

    Shape:
        spectrogram `[B, C, F, N]`, waveform `[B, C, T]`; outputs of the same shapes.
    """

    def __init__(
        self,
        channels: int,
        layers: int,
        *,
        emb: str = "sin",
        hidden_scale: float = 4.0,
        heads: int = 8,
        cross_first: bool = False,
        dropout: float = 0.0,
        max_positions: int = 10000,
        norm_in: bool = True,
        norm_in_group: int = 0,
        group_norm: int = 0,
        norm_first: bool = True,
        norm_out: bool = True,
        max_period: float = 10000.0,
        layer_scale: bool = True,
        gelu: bool = True,
        sin_random_shift: int = 0,
        weight_pos_embed: float = 1.0,
        cape_mean_normalize: bool = True,
        cape_augment: bool = True,
        cape_glob_loc_scale: Sequence[float] = (5000.0, 1.0, 1.4),
        weight_decay: float = 0.0,
        lr: float | None = None,
    ):
        super().__init__()
        if channels % heads or channels % 4:
            raise ConfigError(
                f"a transformer of {channels} channels needs a multiple of 4 that its {heads} "
                "heads (t_heads) divide: change bottom_channels or t_heads"
            )
        if emb not in ("sin", "cape", "scaled"):
            raise ConfigError(f"t_emb={emb} is unknown: choose sin, cape or scaled")
        self.emb, self.max_period, self.weight_pos_embed = emb, max_period, weight_pos_embed
        self.sin_random_shift = sin_random_shift
        self.cape_mean_normalize, self.cape_augment = cape_mean_normalize, cape_augment
        self.cape_glob_loc_scale = list(cape_glob_loc_scale)
        self.cross_first = cross_first
        self.weight_decay, self.lr = weight_decay, lr
        if emb == "scaled":
            self.position_embeddings = LearntPositions(max_positions, channels)

        def norm() -> nn.Module:
            if norm_in:
                return nn.LayerNorm(channels)
            return TokenNorm(int(norm_in_group), channels) if norm_in_group else nn.Identity()

        def layer(index: int) -> TransformerLayer:
            return TransformerLayer(
                channels,
                heads,
                int(channels * hidden_scale),
                dropout=dropout,
                activation=F.gelu if gelu else F.relu,
                cross=self._crosses(index),
                group_norm=int(group_norm),
                norm_first=norm_first,
                norm_out=norm_out,
                layer_scale=layer_scale,
            )

        self.norm_in, self.norm_in_t = norm(), norm()
        self.layers = nn.ModuleList(layer(index) for index in range(layers))
        self.layers_t = nn.ModuleList(layer(index) for index in range(layers))

    def optimiser_options(self) -> dict[str, float]:
        """What an optimiser does otherwise with these weights."""
        options = {"weight_decay": self.weight_decay}
        return options if self.lr is None else {**options, "lr": self.lr}

    def _crosses(self, index: int) -> bool:
        return index % 2 == (0 if self.cross_first else 1)

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        batch, channels, bins, frames = x.shape
        places = sine_positions_2d(channels, bins, frames, self.max_period, x.device)
        # Tokens of a frame stand together.
        x = self.norm_in(x.permute(0, 3, 2, 1).flatten(1, 2))
        x = x + self.weight_pos_embed * places.permute(2, 1, 0).flatten(0, 1)
        xt = self.norm_in_t(xt.transpose(1, 2))
        xt = xt + self.weight_pos_embed * self._positions(batch, xt.shape[1], channels, x.device)
        for index, (layer, layer_t) in enumerate(zip(self.layers, self.layers_t, strict=True)):
            if self._crosses(index):
                x, xt = layer(x, xt), layer_t(xt, x)
            else:
                x, xt = layer(x), layer_t(xt)
        x = x.view(-1, frames, bins, channels).permute(0, 3, 2, 1)
        return x, xt.transpose(1, 2)

    def _positions(self, batch: int, length: int, channels: int, device: torch.device) -> Tensor:
        """`[batch or 1, length, channels]`."""
        if self.emb == "scaled":
            learnt: Tensor = self.position_embeddings(length)
            return learnt
        if self.emb == "sin":
            start = random.randrange(self.sin_random_shift + 1)
            places = torch.arange(start, start + length, device=device)[None]
        else:
            moving, jitter, scale = self.cape_glob_loc_scale
            places = cape_positions(
                batch,
                length,
                normalize=self.cape_mean_normalize,
                augment=self.training and self.cape_augment,
                global_shift=moving,
                local_shift=jitter,
                scale=scale,
                device=device,
            )
        return sine_positions(places, channels, self.max_period)


class LearntPositions(nn.Module):
    """A learnt vector for each position, with its learning rate raised."""

    BOOST = 3.0

    def __init__(self, count: int, channels: int, scale: float = 0.2):
        super().__init__()
        self.embedding = nn.Embedding(count, channels)
        with torch.no_grad():
            self.embedding.weight.mul_(scale / self.BOOST)

    def forward(self, length: int) -> Tensor:
        """`[1, length, channels]`."""
        count = self.embedding.num_embeddings
        if length > count:
            raise ConfigError(
                f"{length} positions are more than the t_max_positions={count} the model has: "
                "separate in shorter segments"
            )
        return self.embedding.weight[None, :length] * self.BOOST
