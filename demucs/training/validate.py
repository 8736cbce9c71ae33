"""How good a state is on the validation songs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from demucs.apply import apply_model
from demucs.evaluation import nsdr
from demucs.training.averages import Averages
from demucs.training.config import TrainConfig
from demucs.training.distributed import Workers
from demucs.training.losses import stem_losses, weighted_mean
from demucs.training.progress import tracked
from demucs.training.songs import Excerpt


@torch.no_grad()
def validate(
    model: nn.Module,
    excerpts: Sequence[Excerpt],
    options: TrainConfig,
    workers: Workers,
    *,
    name: str = "valid",
) -> dict[str, float]:
    """Separates each excerpt and compares, sharded over processes.

    Returns:
        Means over excerpts: `loss` (= `reco`), `reco_STEM`, `nsdr` and `nsdr_STEM` in dB; the
        first and third weighted over stems as in the training loss. The same on all processes.
    """
    model.eval()
    averages = Averages()
    share = workers.share(excerpts)
    shown = tracked(
        share,
        total=len(share),
        name=name,
        prints=options.misc.num_prints,
        quiet=not workers.is_first,
        infos=lambda: {k: v for k, v in averages.means().items() if k in ("loss", "nsdr")},
    )
    for excerpt in shown:
        stems = excerpt.stems(normalize=options.dset.normalize)[None]
        estimates = _separate(model, stems.sum(1), options, workers.device)
        averages.update(_measures(estimates, stems, options))
    return averages.means(workers)


def _separate(model: nn.Module, mix: Tensor, options: TrainConfig, device: torch.device) -> Tensor:
    """`[1, C, T]` to `[1, S, C, T]` on the CPU, without random shifts, so that epochs compare."""
    if options.valid_apply:
        return apply_model(model, mix, shifts=0, split=options.test.split, overlap=0, device=device)
    estimates: Tensor = model(mix.to(device))
    return estimates.cpu()


def _measures(estimates: Tensor, stems: Tensor, options: TrainConfig) -> dict[str, float]:
    errors = stem_losses(estimates, stems, options.optim.loss)
    ratios = nsdr(stems, estimates)[0].to(errors)
    reco = float(weighted_mean(errors, options.weights))
    found = {"loss": reco, "reco": reco, "nsdr": float(weighted_mean(ratios, options.weights))}
    for source, error, ratio in zip(options.dset.sources, errors, ratios, strict=True):
        found[f"reco_{source}"] = float(error)
        found[f"nsdr_{source}"] = float(ratio)
    return found
