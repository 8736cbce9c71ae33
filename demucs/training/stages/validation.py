"""Loss, nSDR and, if wanted, SDR of a model on the validation songs."""

import math
import statistics
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from demucs.apply import apply_model
from demucs.console import tracked
from demucs.evaluation import nsdr
from demucs.evaluation.metrics.sdr import track_sdr
from demucs.training.config.schema import TrainConfig
from demucs.training.distributed.averages import Averages
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.losses import stem_losses, weighted_mean
from demucs.training.songs import Excerpt
from demucs.training.stages.stop import Stop

Measures = dict[int, dict[str, float]]  # of excerpts, by their place in the validation set


def validate(
    model: nn.Module,
    excerpts: Sequence[Excerpt],
    options: TrainConfig,
    group: ProcessGroup,
    *,
    name: str = "valid",
) -> dict[str, float]:
    """Separates each excerpt and compares, sharded over processes.

    Returns:
        See `means`. The same on all processes, and for any number of them.
    """
    return means(measure(model, excerpts, options, group, Stop(), name=name), options)


@torch.no_grad()
def measure(
    model: nn.Module,
    excerpts: Sequence[Excerpt],
    options: TrainConfig,
    group: ProcessGroup,
    stop: Stop,
    *,
    name: str = "valid",
    done: Mapping[int, dict[str, float]] | None = None,
) -> Measures:
    """The measures of each excerpt, on all processes; of fewer than all if it was stopped.

    Args:
        stop: looked at before each excerpt, by each process for itself: shares are uneven, and
            they agree when all are through theirs.
        name: of the stage.
        done: measures that are there already, and taken over.
    """
    model.eval()
    averages, new, measures = Averages(), {}, dict(done or {})
    share = group.share([place for place in range(len(excerpts)) if place not in measures])
    shown = tracked(
        share,
        total=len(share),
        name=name,
        prints=options.misc.num_prints,
        quiet=not group.is_first,
        infos=lambda: {k: v for k, v in averages.means().items() if k in ("loss", "nsdr")},
    )
    for place in shown:
        if stop.wanted():
            break
        new[place] = _measure(model, excerpts[place], options, group.device)
        averages.update(new[place])
        stop.worked()
    for part in group.gathered(new):
        measures.update(part)
    return measures


def means(measures: Measures, options: TrainConfig) -> dict[str, float]:
    """Means over excerpts, added up in their order.

    Returns:
        `loss` (= `reco`), `reco_STEM`, `nsdr` and `nsdr_STEM` in dB; the first and third weighted
        over stems as in the training loss. With `options.measures_sdr` also `sdr` and `sdr_STEM` in
        dB, and `sdr_med` and `sdr_med_STEM`, medians over excerpts where these are means; without
        those of a stem that no excerpt has a value of.
    """
    averages = Averages()
    for _, excerpt in sorted(measures.items()):
        averages.update(excerpt)
    results = averages.means()
    for source in options.dset.sources:
        name = f"sdr_{source}"
        values = [excerpt[name] for excerpt in measures.values() if name in excerpt]
        if values:
            results[f"sdr_med_{source}"] = statistics.median(values)
    for kind in ("sdr", "sdr_med"):
        weighted = [
            (weight, results[f"{kind}_{source}"])
            for source, weight in zip(options.dset.sources, options.weights, strict=True)
            if f"{kind}_{source}" in results
        ]
        total = sum(weight for weight, _ in weighted)
        if total > 0:
            results[kind] = sum(weight * value for weight, value in weighted) / total
    return results


@torch.no_grad()
def separate(model: nn.Module, mix: Tensor, options: TrainConfig, device: torch.device) -> Tensor:
    """`[1, C, T]` to `[1, S, C, T]` on the CPU, without random shifts, so that epochs compare."""
    if options.valid_apply or hasattr(model, "models"):  # a bag has no other way
        return apply_model(model, mix, shifts=0, split=options.test.split, overlap=0, device=device)
    estimates: Tensor = model(mix.to(device))
    return estimates.cpu()


def _measure(
    model: nn.Module, excerpt: Excerpt, options: TrainConfig, device: torch.device
) -> dict[str, float]:
    wav = excerpt.stems()[None]
    stems = excerpt.normalize(wav) if options.dset.normalize else wav
    estimates = separate(model, stems.sum(1), options, device)
    errors = stem_losses(estimates, stems, options.optim.loss)
    ratios = nsdr(stems, estimates)[0].to(errors)
    reco = float(weighted_mean(errors, options.weights))
    measures = {"loss": reco, "reco": reco, "nsdr": float(weighted_mean(ratios, options.weights))}
    for source, error, ratio in zip(options.dset.sources, errors, ratios, strict=True):
        measures[f"reco_{source}"] = float(error)
        measures[f"nsdr_{source}"] = float(ratio)
    if options.measures_sdr:
        # Of what is on disk: digital silence is not silent any more once it is normalized.
        guess = excerpt.restore(estimates) if options.dset.normalize else estimates
        ratios = track_sdr(wav[0], guess[0], options.dset.samplerate)
        values = zip(options.dset.sources, ratios.tolist(), strict=True)
        measures.update({f"sdr_{name}": value for name, value in values if math.isfinite(value)})
    return measures
