"""Training of a quality network: epochs of a step each batch, the best state kept, and its file.

Data order and corruption depend on (seed, epoch, position), and a checkpoint holds the rest, so a
run that was stopped ends as if it had not been.
"""

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from demucs.blind.network.feature_cache import Memory
from demucs.blind.network.features import Features
from demucs.blind.network.loss import loss_of
from demucs.blind.network.network_export import export
from demucs.blind.network.quality_network import QualityNetwork
from demucs.blind.network.settings import QualityConfig
from demucs.blind.network.training_windows import example, find_items, summary, together
from demucs.blind.network.truth import Targets
from demucs.blind.network.validate import halves, judge, scores
from demucs.data.changes import changes, joined
from demucs.data.rng import Purpose, generator
from demucs.errors import CheckpointError, DemucsError
from demucs.experiment.identity import Experiment
from demucs.experiment.record import CHECKPOINT, RunRecord, recorded
from demucs.process.signals import Interrupted, noting
from demucs.release.checkpoint import newest_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)


def train_network(
    config: QualityConfig,
    plain: Mapping[str, Any],
    experiment: Experiment,
    environ: Mapping[str, str],
    should_stop: Callable[[], bool],
) -> Path:
    """Trains to the end, or resumes what is in the folder; returns the exported file.

    Args:
        config: what to train.
        plain: the same as plain values, which go into checkpoint and file.
        experiment: what is trained.
        environ: tells of SLURM, for the run's record.
        should_stop: asked after each batch; if true, the run saves and stops.

    Raises:
        DemucsError: data or a checkpoint that cannot be used.
        Interrupted: the run was asked to stop, and it has saved.
    """
    record = RunRecord.begin(
        signature=experiment.signature,
        name=experiment.name,
        epochs=config.epochs,
        processes=1,
        environ=environ,
    )

    def tell(history: list[dict[str, Any]]) -> None:
        experiment.on_history(history)
        record.advance(experiment.folder, history)

    with recorded(experiment.folder, record, (Interrupted, KeyboardInterrupt)):
        training = _Training(config, plain, experiment, tell, should_stop)
        with noting():
            return training.run()


class _Training:
    """The state of a run, and its stages."""

    def __init__(
        self,
        config: QualityConfig,
        plain: Mapping[str, Any],
        experiment: Experiment,
        tell: Callable[[list[dict[str, Any]]], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.config, self.plain, self.experiment = config, dict(plain), experiment
        self.tell, self.should_stop = tell, should_stop
        self.items = find_items(config.data, "train")
        valid = find_items(config.data, "valid")
        self.chosen, self.kept = halves(valid)
        torch.manual_seed(config.seed)
        self.network = QualityNetwork(config.sources, config.network)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.optim.lr, weight_decay=config.optim.weight_decay
        )
        self.memory = Memory(config.misc.memory)
        self.epoch = self.batch = 0
        self.loss = 0.0  # summed over the batches of this epoch
        self.seconds = 0.0  # of this epoch, before a stop
        self.cut = False  # whether this epoch ends where it was stopped
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"epoch": 0, "metric": -math.inf, "state": {}}
        self.data = summary(train=self.items, valid=valid)
        self._resume()

    @property
    def batches(self) -> int:
        """Of an epoch."""
        every = -(-len(self.items) // self.config.batch_size)
        return min(every, self.config.max_batches or every)

    def run(self) -> Path:
        """All epochs that are left, and the export."""
        size = sum(parameter.numel() for parameter in self.network.parameters())
        logger.info(
            "experiment %s in %s: %d parameters, %d estimates to train on, %d to choose by and %d "
            "for the intervals", self.experiment.signature, self.experiment.folder, size,
            len(self.items), len(self.chosen), len(self.kept),
        )  # fmt: skip
        self.tell(self.history)
        while self.epoch < self.config.epochs:
            if not self.cut:
                self._train_epoch()
            self._end_epoch()
        path = export(self.network, self.best, self.kept, self.config, self.plain, self.experiment)
        logger.info("exported the state after epoch %d: %s", self.best["epoch"], path)
        return path

    def _train_epoch(self) -> None:
        began = time.monotonic()
        order = generator(self.config.seed, Purpose.ORDER, self.epoch).permutation(len(self.items))
        every = -(-self.batches // max(1, self.config.misc.num_prints))
        self.network.train()
        while self.batch < self.batches:
            first = self.batch * self.config.batch_size
            self._step(order[first : first + self.config.batch_size].tolist(), first)
            if self.batch % every == 0 and self.config.misc.num_prints:
                logger.info(
                    "train %d/%d | %d/%d | loss %.4f", self.epoch + 1, self.config.epochs,
                    self.batch, self.batches, self.loss / self.batch,
                )  # fmt: skip
            if self.should_stop():
                self.seconds += time.monotonic() - began
                self._save()
                raise Interrupted(
                    f"stopped in epoch {self.epoch + 1} after {self.batch} batches, and saved; the "
                    "same command continues from there"
                )
        self.seconds += time.monotonic() - began

    def _example(self, place: int) -> tuple[Features, Targets]:
        """An example of the item at this place; so many epochs later it is the same again."""
        config, item = self.config, self.items[place]
        version = self.epoch % config.versions

        def make() -> tuple[Features, Targets]:
            rng = generator(config.seed, Purpose.AUGMENT, version, place)
            return example(item, config.segment, self.network.bands, config.synthetic, rng)

        return self.memory((version, place), make)

    def _step(self, chosen: list[int], first: int) -> None:
        """One batch: `chosen` items, the first of which is at position `first` of the epoch."""
        config = self.config
        features, target = together([self._example(place) for place in chosen])
        done = (self.epoch * self.batches + self.batch) / (config.epochs * self.batches)
        for group in self.optimiser.param_groups:
            group["lr"] = config.optim.lr * min(1.0, 20 * done + 0.05) * _cosine(done)
        # What dropout draws depends on the place alone, too.
        torch.manual_seed(
            int(generator(config.seed, Purpose.REMIX, self.epoch, first).integers(2**31))
        )
        loss = loss_of(self.network(features, target.mask), target, config.loss)
        value = loss.item()
        if not math.isfinite(value):
            raise DemucsError(f"the loss is {value}: try a smaller optim.lr")
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optim.clip_grad:
            clip_grad_norm_(self.network.parameters(), config.optim.clip_grad)
        self.optimiser.step()
        self.loss += value
        self.batch += 1

    def _end_epoch(self) -> None:
        began = time.monotonic()
        measured = self._scores(self.network)
        metric = measured.get("spearman", WORST)
        self.history.append(
            {
                "train": {"loss": self.loss / max(1, self.batch)},
                "valid": measured,
                "seconds": {"train": self.seconds, "valid": time.monotonic() - began},
                **({"cut": self.batch} if self.cut else {}),
            }
        )
        self.epoch += 1
        if metric > self.best["metric"]:
            state = {name: one.clone() for name, one in self.network.state_dict().items()}
            self.best = {"epoch": self.epoch, "metric": metric, "state": state}
        self.batch, self.loss, self.seconds, self.cut = 0, 0.0, 0.0, False
        self._save()
        self.tell(self.history)
        shown = " | ".join(f"{name} {value:.3f}" for name, value in measured.items())
        logger.info("epoch %d/%d | %s | best %d", self.epoch, self.config.epochs, shown,
                    self.best["epoch"])  # fmt: skip

    def _scores(self, network: QualityNetwork) -> dict[str, float]:
        """How well a network predicts the estimates to choose by."""
        config = self.config
        network.eval()
        judged = [
            judge(network, item, config.valid_seconds, self.memory, config.loss)
            for item in self.chosen
        ]
        return scores(judged, config.sources, config.loss)

    def _save(self) -> None:
        content = {
            "signature": self.experiment.signature,
            "config": self.plain,
            "data": self.data,
            "model": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            **{name: getattr(self, name) for name in _COUNTED},
        }
        save_checkpoint(self.experiment.folder / CHECKPOINT, content)

    def _resume(self) -> None:
        content = newest_checkpoint(self.experiment.folder)
        if content is None:
            return
        try:
            self.network.load_state_dict(content["model"])
            self.optimiser.load_state_dict(content["optimiser"])
            for name in _COUNTED:
                setattr(self, name, content[name])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"the checkpoint in {self.experiment.folder} is of another network ({error}): "
                "train another experiment, e.g. with dummy=2"
            ) from error
        logger.info("resuming after %d epochs and %d batches", self.epoch, self.batch)
        self._fit(content.get("data") or {})

    def _fit(self, before: Mapping[str, Any]) -> None:
        """Fits a restored state to the estimates that are there now, and says what has changed.

        Inside an epoch, a position stands for other estimates if one to train on has changed: the
        epoch ends there. If one to choose by has, the best state is measured again.
        """
        different = changes(before, self.data)
        if not different:
            return
        self.cut = "train" in different and self.batch > 0
        if "valid" in different and self.best["state"]:
            network = copy.deepcopy(self.network)
            network.load_state_dict(self.best["state"])
            self.best["metric"] = self._scores(network).get("spearman", WORST)
        logger.warning(
            "since the checkpoint the estimates changed: %s%s", joined(different),
            f". Epoch {self.epoch + 1} ends where it was stopped, after {self.batch} batches; the "
            "next one is the first with the estimates as they are now" if self.cut else "",
        )  # fmt: skip


WORST = -1.0  # of a rank correlation, where there is none
_COUNTED = ("epoch", "batch", "loss", "seconds", "history", "best")


def _cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done)) * 0.98 + 0.02
