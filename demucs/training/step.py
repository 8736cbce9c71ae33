"""One optimisation step."""

import math
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from demucs.errors import ConfigError
from demucs.training.config import TrainConfig
from demucs.training.losses import stem_losses, weighted_mean
from demucs.training.optim import gradient_norm
from demucs.training.svd import penalty_applies, svd_penalty

MAX_SKIPPED = 10  # steps in a row without a finite gradient


def place_seed(seed: int, epoch: int, batch: int) -> int:
    """The seed of a step's randomness: the same on all ranks, and after any interruption."""
    return int(np.random.SeedSequence((seed, epoch, batch)).generate_state(1, np.uint64)[0])


class Step:
    """Loss, gradients and update for one batch.

    Args:
        model: what is called (it may average gradients over processes).
        module: the network itself, for its weights.
        optimiser: of those weights.
        options: loss, weights of the stems, penalty, clipping.
        sources: names of the stems.
    """

    def __init__(
        self,
        model: nn.Module,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        options: TrainConfig,
        sources: Sequence[str],
    ) -> None:
        self.model, self.module, self.optimiser = model, module, optimiser
        self.options, self.sources = options, list(sources)
        self.skipped = 0

    def __call__(self, stems: Tensor, epoch: int, batch: int) -> dict[str, float]:
        """Learns from stems `[B, S, C, T]` whose sum is the mixture.

        Returns:
            `loss` (what is minimised), `reco` and `reco_STEM` (the error), `penalty` (of singular
            values, before its weight; 0 in a step that leaves it out), `grad` (norm of the
            gradient). A step whose gradient is not finite changes nothing and returns `skipped`
            alone.

        Raises:
            ConfigError: too many such steps in a row.
        """
        torch.manual_seed(place_seed(self.options.seed, epoch, batch))
        estimates = self.model(stems.sum(1))
        errors = stem_losses(estimates, stems, self.options.optim.loss)
        loss = reco = weighted_mean(errors, self.options.weights)
        penalty = self._penalty(epoch, batch)
        if penalty is not None:
            loss = reco + self.options.svd.penalty * penalty
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(gradient_norm(self.module.parameters()))
        if not math.isfinite(norm):
            return self._skip()
        self.skipped = 0
        self._update(norm)
        losses = {"loss": loss.item(), "reco": reco.item(), "grad": norm}
        losses.update(
            {f"reco_{name}": e.item() for name, e in zip(self.sources, errors, strict=True)}
        )
        if self.options.svd.penalty > 0:  # also where it is left out: the mean is then of all steps
            losses["penalty"] = 0.0 if penalty is None else penalty.item()
        return losses

    def _penalty(self, epoch: int, batch: int) -> Tensor | None:
        svd = self.options.svd
        if svd.penalty == 0 or not penalty_applies(svd.proba, self.options.seed, epoch, batch):
            return None
        return svd_penalty(self.module, svd) / svd.proba

    def _update(self, norm: float) -> None:
        limit = self.options.optim.clip_grad
        if 0 < limit < norm:
            for parameter in self.module.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(limit / norm)
        self.optimiser.step()

    def _skip(self) -> dict[str, float]:
        self.skipped += 1
        if self.skipped >= MAX_SKIPPED:
            self.give_up()
        self.optimiser.zero_grad()
        return {"skipped": 1.0}

    def give_up(self) -> NoReturn:
        """Says that nothing is learnt any more."""
        raise ConfigError(
            f"training diverged: {self.skipped} steps in a row had a gradient that is not "
            f"finite. Lower optim.lr={self.options.optim.lr}, or set optim.clip_grad; "
            "what earlier epochs saved is intact"
        )
