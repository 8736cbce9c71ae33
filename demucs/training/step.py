"""One optimisation step."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from demucs.data.batch import Batch
from demucs.errors import ConfigError
from demucs.training.config.schema import TrainConfig
from demucs.training.losses import batch_losses, weighted_mean
from demucs.training.optim.optimizer import gradients, norm_of
from demucs.training.optim.precision import Precision
from demucs.training.optim.quantise import Quantiser
from demucs.training.optim.subspace import SubspaceIteration
from demucs.training.optim.svd import penalty_applies, svd_penalty

MAX_SKIPPED = 5  # steps in a row without a finite gradient
Penalties = dict[str, tuple[float, Tensor]]  # by name, the weight in the loss and the value


class DivergedError(ConfigError):
    """Nothing is learnt any more, and what was learnt is being lost."""


def place_seed(seed: int, epoch: int, batch: int, attempt: int = 0) -> int:
    """The seed of a step's randomness: the same on all ranks, and after any interruption.

    Args:
        attempt: how often the run went back to an earlier state: it then draws anew.
    """
    place = (seed, epoch, batch, attempt) if attempt else (seed, epoch, batch)
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0])


def diverged(reason: str, options: TrainConfig) -> DivergedError:
    """The error that says so, and what to do."""
    return DivergedError(
        f"training diverged: {reason}. Lower optim.lr={options.optim.lr}, or set optim.clip_grad; "
        "what earlier epochs saved is intact"
    )


class Step:
    """Loss, gradients and update for one batch.

    Args:
        model: what is called (it may average gradients over processes).
        module: the network itself, for its weights.
        optimiser: of those weights.
        options: loss, weights of the stems, penalty, clipping, precision, micro-batches.
        sources: names of the stems.
        quantiser: of the network, if it is trained for few bits.
    """

    def __init__(
        self,
        model: nn.Module,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        options: TrainConfig,
        sources: Sequence[str],
        quantiser: Quantiser | None = None,
    ) -> None:
        self.model, self.module, self.optimiser = model, module, optimiser
        self.options, self.sources, self.quantiser = options, list(sources), quantiser
        self.precision = Precision(options.precision, next(module.parameters()).device)
        # Kept apart from the optimiser's state, which may be another run's, with its rates.
        self._rates = [float(group["lr"]) for group in optimiser.param_groups]
        self.leading = SubspaceIteration()
        self.skipped = 0

    def __call__(
        self,
        examples: Tensor | Batch,
        epoch: int,
        batch: int,
        *,
        rate: float = 1.0,
        attempt: int = 0,
    ) -> dict[str, float]:
        """Learns from stems whose sum is the mixture.

        Args:
            examples: `[B, S, C, T]`, or these with what is known of them.
            epoch, batch: its place in the run, which decides what is random in it.
            rate: share of the learning rate that the optimiser was built with.
            attempt: see `place_seed`.

        Returns:
            `loss` (what is minimised), `reco` and `reco_STEM` (the error), `penalty` (of singular
            values, before its weight; 0 in a step that leaves it out), `ms` (MB of a quantised
            model, with fractional bits), `grad` (norm of the gradient). A step whose gradient is
            not finite changes nothing and returns `skipped` alone.

        Raises:
            DivergedError: too many such steps in a row.
        """
        torch.manual_seed(place_seed(self.options.seed, epoch, batch, attempt))
        for group, full in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = full * rate
        self.optimiser.zero_grad()
        errors, penalties = self._gradients(Batch.of(examples), epoch, batch)
        self.precision.unscale(self.optimiser)
        measures = self._measures(errors, penalties)
        finite = math.isfinite(measures["grad"])
        if finite:
            self._clip(measures["grad"])
        excused = self.precision.apply(self.optimiser, finite=finite)
        if not finite:
            return self._skip(excused)
        self.skipped = 0
        return measures

    def _gradients(self, whole: Batch, epoch: int, batch: int) -> tuple[Tensor, Penalties]:
        """Adds up the gradients of micro-batches, of penalties with the last; errors `[S]`."""
        size = len(whole.stems)
        parts = whole.split(self.options.micro_batch or size)
        errors = torch.zeros(len(self.sources), device=whole.stems.device)
        for number, part in enumerate(parts, 1):
            last, share = number == len(parts), len(part.stems) / size
            with nullcontext() if last else self._without_exchange():
                with self.precision.autocast():
                    estimates = self.model(part.stems.sum(1))
                part_errors = batch_losses(
                    estimates, part, self.options.optim.loss, self.options.semi.silence_weight
                )
                loss = weighted_mean(part_errors, self.options.weights) * share
                penalties = self._penalties(epoch, batch) if last else {}
                for weight, value in penalties.values():
                    loss = loss + weight * value
                self.precision.backward(loss)
            errors = errors + part_errors.detach() * share
        return errors, penalties

    def _without_exchange(self) -> AbstractContextManager[Any]:
        """Processes exchange gradients once a step, not once a micro-batch."""
        no_sync = getattr(self.model, "no_sync", nullcontext)
        exchange: AbstractContextManager[Any] = no_sync()
        return exchange

    def _penalties(self, epoch: int, batch: int) -> Penalties:
        svd, penalties = self.options.svd, {}
        if svd.penalty > 0 and penalty_applies(svd.proba, self.options.seed, epoch, batch):
            value = svd_penalty(self.module, svd, leading=self.leading if svd.warm else None)
            penalties["penalty"] = (svd.penalty, value / svd.proba)
        if self.quantiser is not None:
            penalties["ms"] = (self.quantiser.weight, self.quantiser.size())
        return penalties

    def _clip(self, norm: float) -> None:
        limit = self.options.optim.clip_grad
        if 0 < limit < norm:
            torch._foreach_mul_(gradients(self.module.parameters()), limit / norm)

    def _measures(self, errors: Tensor, penalties: Penalties) -> dict[str, float]:
        """What a call returns; the one time in a step that a GPU is waited for."""
        norm = norm_of(gradients(self.module.parameters()))
        reco = weighted_mean(errors, self.options.weights)
        values = {"loss": reco, "reco": reco, "grad": norm}
        values.update({f"reco_{n}": e for n, e in zip(self.sources, errors, strict=True)})
        if self.options.svd.penalty > 0:  # also where it is left out: the mean is then of all steps
            values["penalty"] = torch.zeros_like(reco)
        values.update({name: value.detach() for name, (_, value) in penalties.items()})
        measures = dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))
        for name, (weight, _) in penalties.items():
            measures["loss"] += weight * measures[name]
        return measures

    def _skip(self, excused: bool) -> dict[str, float]:
        """Leaves the weights as they are; a scale that has only to fall is not counted."""
        self.optimiser.zero_grad()
        if not excused:
            self.skipped += 1
            if self.skipped >= MAX_SKIPPED:
                raise diverged(
                    f"{self.skipped} steps in a row had a gradient that is not finite", self.options
                )
        return {"skipped": 1.0}

    def state_dict(self) -> dict[str, Any]:
        """What a step remembers of those before it."""
        return {
            "skipped": self.skipped,
            "precision": self.precision.state_dict(),
            "leading": self.leading.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.skipped = int(state.get("skipped", 0))
        self.precision.load_state_dict(state.get("precision", {}))
        self.leading.load_state_dict(state.get("leading", {}))
