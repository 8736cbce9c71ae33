"""Validation of a quality network, and the factors that make its intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from demucs.blind.calibration.rank_statistics import group_weights, spearman, weighted_quantile
from demucs.blind.network.feature_cache import Memory
from demucs.blind.network.features import Bands, Features, extract
from demucs.blind.network.loss import LossConfig, loss_of
from demucs.blind.network.quality_network import QualityNetwork
from demucs.blind.network.training_windows import Item, together
from demucs.blind.network.truth import Targets
from demucs.blind.quality import Array

FEW = 10  # songs where a stem plays, below which its interval is that of all stems together


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Prediction and truth of one estimate: of the song `[S]`, of its windows `[S, N]`.

    Truth is NaN where the stem does not play.
    """

    mean: Array
    scale: Array
    truth: Array
    playing: Array
    active: Array
    windows: Array
    truth_windows: Array
    loss: float


def halves(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Estimates of every other song, and the rest: one half chooses, the other gives intervals.

    With fewer than four songs both are all of them.
    """
    songs = sorted({item.track.name for item in items})
    if len(songs) < 4:
        return list(items), list(items)
    first = set(songs[::2])
    return (
        [item for item in items if item.track.name in first],
        [item for item in items if item.track.name not in first],
    )


def middle(item: Item, seconds: int, bands: Bands) -> tuple[Features, Targets]:
    """Features and targets of the middle of an estimate, at most `seconds` of it."""
    count = min(item.windows, seconds)
    mixture, estimates, target = item.stretch((item.windows - count) // 2, count)
    return extract(mixture, estimates, item.track.samplerate, bands), target


@torch.no_grad()
def judge(
    network: QualityNetwork, item: Item, seconds: int, memory: Memory, config: LossConfig
) -> Judged:
    """Predicts the middle of one estimate; the network has to be in evaluation mode."""
    heard = memory(("valid", str(item.folder)), lambda: middle(item, seconds, network.bands))
    features, target = together([heard])
    output = network(features)
    playing = target.track_active[0].bool()
    sounding = target.active[0].bool()
    return Judged(
        mean=output.track.mean[0].double().numpy(),
        scale=output.track.scale[0].double().numpy(),
        truth=torch.where(playing, target.track_nsdr[0], torch.nan).double().numpy(),
        playing=playing.numpy(),
        active=output.track.active[0].sigmoid().double().numpy(),
        windows=output.windows.mean[0].double().numpy(),
        truth_windows=torch.where(sounding, target.nsdr[0], torch.nan).double().numpy(),
        loss=float(loss_of(output, target, config)),
    )


def scores(
    judged: Sequence[Judged], sources: Sequence[str], config: LossConfig
) -> dict[str, float]:
    """Spearman's correlation of predicted and true nSDR over estimates, and more.

    Returns:
        `loss`; `spearman_STEM` over songs and teachers, and their mean `spearman`;
        `windows_STEM` and `windows` over all windows; `mae`, the mean absolute error in dB over
        stems, with truth clipped to the range that is trained; `active`, the share of stems of
        songs for which it is right whether they play. Values that do not exist are left out.
    """
    means = {"loss": float(np.mean([judgement.loss for judgement in judged]))}
    for name, pairs in (("spearman", _tracks(judged)), ("windows", _windows(judged))):
        each = {f"{name}_{stem}": spearman(*pairs[k]) for k, stem in enumerate(sources)}
        finite = {key: value for key, value in each.items() if np.isfinite(value)}
        means.update(finite)
        if finite:
            means[name] = float(np.mean(list(finite.values())))
    truth, mean = (np.concatenate([pair[k] for pair in _tracks(judged)]) for k in (0, 1))
    if len(truth):
        clipped = truth.clip(config.low, config.high)
        means["mae"] = float(np.abs(clipped - mean).mean())
    means["active"] = float(
        np.mean([(judgement.active > 0.5) == judgement.playing for judgement in judged])
    )
    return means


def factors(judged: Sequence[Judged], songs: Sequence[str], coverage: float) -> tuple[float, ...]:
    """Of each stem: so many scales around the prediction hold the truth in that share of cases.

    Split conformal prediction (Vovk et al., 2005): a quantile of |truth - mean| / scale. Estimates
    of one song by several teachers are alike, so a song counts once and its values share its
    weight, as in `demucs.blind.calibration.conformal`. K songs can vouch for a coverage of K/(K+1)
    at most: with fewer the factor is infinite.

    Args:
        judged: estimates.
        songs: the name of the song of each.
        coverage: in (0, 1).
    """
    truth, mean, scale = (
        np.array([getattr(judgement, name) for judgement in judged])
        for name in ("truth", "mean", "scale")
    )
    ratios, names = np.abs(truth - mean) / scale, np.array(songs)  # [E, S], [E]
    found = []
    for stem in range(ratios.shape[1]):
        mine = ratios[:, stem : stem + 1]
        heard = np.isfinite(mine).any(1)
        found.append(_factor(mine if len(set(names[heard])) >= FEW else ratios, names, coverage))
    return tuple(found)


def _factor(ratios: Array, songs: Array, coverage: float) -> float:
    """Of the finite ones of `[E, S]`, by song `[E]`."""
    known = np.isfinite(ratios)
    groups = np.repeat(songs[:, None], ratios.shape[1], axis=1)[known]
    return weighted_quantile(ratios[known], group_weights(groups), coverage)


def _tracks(judged: Sequence[Judged]) -> list[tuple[Array, Array]]:
    """Of each stem, truth and prediction where there is a truth."""
    truth, mean = (
        np.array([getattr(judgement, name) for judgement in judged]) for name in ("truth", "mean")
    )
    return [_finite(truth[:, k], mean[:, k]) for k in range(truth.shape[1])]


def _windows(judged: Sequence[Judged]) -> list[tuple[Array, Array]]:
    truth, mean = (
        np.concatenate([getattr(one, name) for one in judged], 1)
        for name in ("truth_windows", "windows")
    )
    return [_finite(*pair) for pair in zip(truth, mean, strict=True)]


def _finite(truth: Array, mean: Array) -> tuple[Array, Array]:
    there = np.isfinite(truth)
    return truth[there], mean[there]
