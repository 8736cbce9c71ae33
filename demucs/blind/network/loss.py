"""The loss: beta-NLL of nSDR where a stem plays, and cross entropy of whether it does."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from demucs.blind.network.quality_network import Beliefs, Output
from demucs.blind.network.truth import Targets
from demucs.errors import ConfigError

BETA = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """The block `loss` of conf/quality.yaml: weights, and the range of nSDR in dB."""

    windows: float = 1.0
    track: float = 1.0
    active: float = 0.5
    low: float = -10.0
    high: float = 30.0

    def __post_init__(self) -> None:
        if min(self.windows, self.track, self.active) < 0:
            raise ConfigError("loss.windows, loss.track and loss.active must not be negative")
        if not self.low < self.high:
            raise ConfigError(f"loss.low={self.low} must be below loss.high={self.high} dB")


def loss_of(output: Output, target: Targets, config: LossConfig) -> Tensor:
    """The loss of a batch: targets have a leading dimension of songs.

    nSDR counts where the true stem plays and has one, clipped to the range; activity everywhere
    but in padding.
    """
    real = target.mask[:, None].expand_as(target.active)
    parts = _both(output.windows, target.nsdr, target.active, real, config, config.windows)
    every = torch.ones_like(target.track_active, dtype=torch.bool)
    whole = _both(output.track, target.track_nsdr, target.track_active, every, config, config.track)
    return parts + whole


def _both(
    beliefs: Beliefs,
    nsdr: Tensor,
    active: Tensor,
    real: Tensor,
    config: LossConfig,
    weight: float,
) -> Tensor:
    heard = real & (active > 0) & nsdr.isfinite()
    wanted = torch.where(heard, nsdr, 0.0).clamp(config.low, config.high)
    ratio = _beta_nll(wanted, beliefs.mean, beliefs.scale)
    playing = F.binary_cross_entropy_with_logits(beliefs.active, active, reduction="none")
    return weight * _mean(ratio, heard) + config.active * _mean(playing, real)


def _beta_nll(wanted: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Seitzer et al., arXiv:2203.09168: where the scale is large, the mean is still learnt."""
    nll = 0.5 * ((wanted - mean) / scale).square() + scale.log()
    return nll * scale.detach() ** (2 * BETA)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)
