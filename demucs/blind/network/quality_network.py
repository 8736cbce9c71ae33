"""A small convolutional network that predicts nSDR and activity of estimated stems.

Shapes: B songs, S stems, P planes, F bands, N windows, K frames, H hidden values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from demucs.blind.network.features import FRAMES, PLANES, Bands, Features
from demucs.errors import ConfigError

LEAST_SCALE = 0.3  # dB


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """How the network is built; the keys of the block `network` of conf/quality.yaml."""

    bands: int = 48
    low: float = 30.0
    high: float = 10000.0
    channels: int = 24
    hidden: int = 96
    embedding: int = 16
    dropout: float = 0.1

    def __post_init__(self) -> None:
        Bands(self.bands, self.low, self.high)
        for name in ("channels", "hidden", "embedding"):
            if getattr(self, name) < 1:
                raise ConfigError(f"network.{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"network.dropout={self.dropout} must be in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Beliefs:
    """What the network believes of each stem, of windows `[B, S, N]` or of the song `[B, S]`.

    Attributes:
        mean: nSDR in dB.
        scale: its deviation in dB, above 0.
        active: logit of the probability that the stem plays.
    """

    mean: Tensor
    scale: Tensor
    active: Tensor

    @classmethod
    def of(cls, raw: Tensor, base: Tensor | float) -> "Beliefs":
        """From three raw values in the last dimension."""
        scale = F.softplus(5 * raw[..., 1] + 4) + LEAST_SCALE
        return cls(mean=base + 10 * raw[..., 0], scale=scale, active=raw[..., 2])


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the network believes of the windows, and of the song."""

    windows: Beliefs = field()
    track: Beliefs = field()


class QualityNetwork(nn.Module):
    """Hears a mixture and one estimate at a time, and knows which stem it should be.

    All stems share the weights but for an embedding of their name, which scales and shifts what
    the first and the last layer find. The nSDR of a song follows from those of its windows and
    the energy there; a small head corrects it.

    Args:
        sources: names of the stems, in the order of S.
        config: sizes.

    Raises:
        ConfigError: no stems, or a name twice.
    """

    def __init__(self, sources: Sequence[str], config: NetworkConfig | None = None) -> None:
        super().__init__()
        if not sources or len(set(sources)) != len(sources):
            raise ConfigError(f"sources={list(sources)}: name each stem once, at least one")
        self.sources = tuple(sources)
        self.config = config = config or NetworkConfig()
        self.bands = Bands(config.bands, config.low, config.high)
        width, hidden = config.channels, config.hidden
        self.embedding = nn.Embedding(len(sources), config.embedding)
        self.first = _block(PLANES, width)
        self.tune = nn.Linear(config.embedding, 2 * width)
        self.middle = nn.Sequential(
            _block(width, width * 3 // 2), _block(width * 3 // 2, width * 2)
        )
        self.collapse = nn.Conv2d(width * 2, hidden, (config.bands // 8, 1))
        self.tune_hidden = nn.Linear(config.embedding, 2 * hidden)
        self.join = nn.Conv1d(hidden + 1, hidden, 1)
        self.around = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.dropout = nn.Dropout(config.dropout)
        self.window_head = nn.Linear(hidden, 3)
        self.track_head = nn.Sequential(
            nn.Linear(2 * hidden + 1, hidden), nn.GELU(), nn.Linear(hidden, 3)
        )
        for layer in (self.tune, self.tune_hidden, self.window_head, self.track_head[-1]):
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Features, mask: Tensor | None = None) -> Output:
        """Predicts.

        Args:
            features: of several songs: planes `[B, S, P, F, K]` and energy `[B, S, N]`.
            mask: which windows are no padding, bool `[B, N]`; all of them if not given.
        """
        songs, stems, windows = features.energy.shape
        if mask is None:
            mask = features.energy.new_ones(songs, windows, dtype=torch.bool)
        which = self.embedding.weight.repeat(songs, 1)  # [B * S, embedding]
        energy = features.energy.flatten(0, 1) * mask.repeat_interleave(stems, 0)
        x = self.first(features.planes.flatten(0, 1))
        x = self.middle(_tuned(x, self.tune(which)[..., None, None]))
        x = F.gelu(self.collapse(x).squeeze(2))  # [B * S, H, K / 8]
        x = F.avg_pool1d(x, FRAMES // 8)
        x = _tuned(x, self.tune_hidden(which)[..., None])
        level = (energy + 1e-6).log10()[:, None]
        x = F.gelu(self.join(torch.cat([x, level], 1)))
        hidden = (x + self.dropout(F.gelu(self.around(x)))).transpose(1, 2)  # [B * S, N, H]
        parts = Beliefs.of(self.window_head(hidden), 5.0)
        whole = self._whole(hidden, parts.mean, energy, mask.repeat_interleave(stems, 0))
        return Output(
            windows=_unflatten(parts, (songs, stems)), track=_unflatten(whole, (songs, stems))
        )

    def _whole(self, hidden: Tensor, nsdr: Tensor, energy: Tensor, mask: Tensor) -> Beliefs:
        """Of the song, from its windows: `[B * S, N, H]` and three times `[B * S, N]`."""
        base = pooled(nsdr, energy)
        share = energy / energy.sum(-1, keepdim=True).clamp(min=1e-9)
        even = mask / mask.sum(-1, keepdim=True).clamp(min=1)
        seen = [(hidden * weight[..., None]).sum(1) for weight in (share, even)]
        return Beliefs.of(self.track_head(torch.cat([*seen, base[:, None] / 10], 1)), base)


def pooled(nsdr: Tensor, energy: Tensor) -> Tensor:
    """nSDR in dB of a whole `[...]`, from those of its windows `[..., N]`.

    As if errors were orthogonal to the stem: of the energy of an estimate, the share r / (1 + r) is
    then the stem's, and the rest the error's, where r is the ratio that nSDR measures.
    """
    ratio = 10 ** (nsdr.clamp(-30, 60) / 10)
    error = (energy + 1e-9) / (1 + ratio)
    return 10 * ((error * ratio).sum(-1) / error.sum(-1)).log10()


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=2, padding=1), nn.BatchNorm2d(outside), nn.GELU()
    )


def _tuned(x: Tensor, values: Tensor) -> Tensor:
    scale, shift = values.chunk(2, 1)
    return x * (1 + scale) + shift


def _unflatten(beliefs: Beliefs, sizes: tuple[int, int]) -> Beliefs:
    return Beliefs(
        mean=beliefs.mean.reshape(sizes + beliefs.mean.shape[1:]),
        scale=beliefs.scale.reshape(sizes + beliefs.scale.shape[1:]),
        active=beliefs.active.reshape(sizes + beliefs.active.shape[1:]),
    )
