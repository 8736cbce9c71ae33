"""A network with what makes its scales intervals; and the quality that it predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from demucs.blind.network.features import Features, extract
from demucs.blind.network.quality_network import QualityNetwork
from demucs.blind.quality import Quality
from demucs.blind.scores.agreement import WINDOW
from demucs.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a quality network is, once it is trained.

    Attributes:
        network: in evaluation mode.
        factors: of each stem: the interval is the prediction plus or minus so many scales;
            infinite where too few songs vouch for the coverage.
        coverage: share of validation songs whose nSDR was inside.
        facts: where it comes from, plain JSON.
    """

    network: QualityNetwork
    factors: tuple[float, ...]
    coverage: float
    facts: Mapping[str, Any] = field(default_factory=dict)


def predict(
    trained: Trained,
    mixture: Tensor,
    estimates: Tensor,
    samplerate: int,
    *,
    sources: Sequence[str] | None = None,
) -> Quality:
    """Predicts the quality of estimated stems; the same input always gives the same answer.

    Args:
        trained: as `load_network` returns it.
        mixture: `[C, T]`.
        estimates: `[S, C, T]`.
        samplerate: Hz, any.
        sources: names of the estimates, if their order is another than the network's.

    Returns:
        The quality, in the order of the estimates.

    Raises:
        ConfigError: stems that the network does not know, or shapes that do not fit.
    """
    network = trained.network
    names = tuple(network.sources if sources is None else sources)
    if set(names) != set(network.sources) or len(names) != len(estimates):
        raise ConfigError(
            f"{len(estimates)} estimates of {', '.join(names)}, and the network knows "
            f"{', '.join(network.sources)}: give one estimate of each"
        )
    order = [names.index(name) for name in network.sources]
    device = next(network.parameters()).device
    heard = extract(mixture.to(device), estimates[order].to(device), samplerate, network.bands)
    back = [network.sources.index(name) for name in names]
    return _quality(trained, heard, names, back)


@torch.no_grad()
def _quality(
    trained: Trained, heard: Features, names: tuple[str, ...], back: Sequence[int]
) -> Quality:
    output = trained.network(Features(planes=heard.planes[None], energy=heard.energy[None]))
    track, windows = output.track, output.windows
    mean, scale = (one[0, back].double().cpu().numpy() for one in (track.mean, track.scale))
    reach = scale * np.array(trained.factors)[back]
    return Quality(
        sources=names,
        window=WINDOW,
        sdr=mean,
        low=mean - reach,
        high=mean + reach,
        active=track.active[0, back].sigmoid().double().cpu().numpy(),
        windows=windows.mean[0, back].double().cpu().numpy(),
        active_windows=windows.active[0, back].sigmoid().double().cpu().numpy(),
    )
