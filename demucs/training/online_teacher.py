"""A teacher that labels unlabelled mixtures in each step; a better student takes its place."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from demucs.apply import apply_model
from demucs.data import AugmentConfig
from demucs.data.augment import draw_stems
from demucs.data.batch import Batch
from demucs.data.rng import Purpose, generator
from demucs.errors import ConfigError
from demucs.nn import build_model
from demucs.pretrained import get_model
from demucs.training.config.schema import TrainConfig
from demucs.training.optim.ema import Best
from demucs.training.run_config import RunConfig


class OnlineTeacher:
    """The network whose estimates are the labels of unlabelled examples.

    At first the release `semi.teacher`, or if none is named what the student itself starts from.

    Attributes:
        origin: what it is, for messages.
        metric: its value of `test.metric` on the validation songs; None: not measured yet.
    """

    def __init__(self, run: RunConfig, device: torch.device) -> None:
        self.run, self.device = run, device
        self.origin = ""
        self.metric: float | None = None
        self._model: nn.Module | None = None
        self._is_release = False

    @property
    def model(self) -> nn.Module:
        assert self._model is not None, "the teacher has not begun"
        return self._model

    def begin(self, student: nn.Module) -> None:
        """Takes its first weights, unless a checkpoint gave it some.

        Raises:
            ModelNotFoundError, ReleaseError, ConfigError: as `load_teacher`.
        """
        if self._model is not None:
            return
        name = self.run.options.semi.teacher
        if name is None:
            self._become(student.state_dict(), "the weights that the student started from")
        else:
            self.origin, self._is_release = f"the release {name}", True
            self._model = load_teacher(self.run.options).to(self.device).eval()

    def replace(self, best: Best) -> None:
        """Becomes the student's best state."""
        self._become(best.state, f"the student of epoch {best.epoch} ({best.weights})")
        self.metric = best.metric

    @torch.no_grad()
    def label(
        self,
        batch: Batch,
        *,
        place: int,
        first: int,
        size: int,
        autocast: AbstractContextManager[Any],
    ) -> Batch:
        """The batch with stems of its unlabelled mixtures, augmented as those of the others are.

        Stems are exchanged within groups of the unlabelled examples of this batch, which is this
        process's share: with another number of processes they are exchanged otherwise.

        Args:
            batch: on the device of the teacher.
            place: seed of the step, see `demucs.training.step.place_seed`.
            first: position in the global batch of the first example of this one.
            size: mixtures that are separated at a time.
            autocast: the precision, as a context.
        """
        if batch.unlabelled is None or not bool(batch.unlabelled.any()):
            return batch
        rows = batch.unlabelled.nonzero().flatten()
        with autocast:
            separated = [self._separate(part) for part in torch.split(batch.stems[rows, 0], size)]
        estimates = torch.cat(separated).to(batch.stems)
        augment = self.run.augment
        estimates = remixed(estimates, augment, place=place, first=first)
        stems = batch.stems.clone()
        for row, estimate in zip(rows.tolist(), estimates, strict=True):
            draws = draw_stems(
                augment, seed=place, epoch=0, position=first + row, stems=len(estimate), shift=1
            )
            stems[row] = torch.stack(
                [draw.apply(wav) for draw, wav in zip(draws, estimate, strict=True)]
            )
        return batch._replace(stems=stems)

    def state_dict(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "is_release": self._is_release,
            "metric": self.metric,
            "state": dict(self.model.state_dict()),
        }

    def load_state_dict(self, data: Mapping[str, Any]) -> None:
        """Takes on what `state_dict` gave; a release is loaded again, for what kind of model it is.

        Raises:
            ModelNotFoundError, ReleaseError, ConfigError: as `load_teacher`.
            RuntimeError: weights of another model.
        """
        if data["is_release"]:
            self._model = load_teacher(self.run.options).to(self.device).eval()
            self._model.load_state_dict(data["state"])
            self.origin, self._is_release = str(data["origin"]), True
        else:
            self._become(data["state"], str(data["origin"]))
        self.metric = data["metric"]

    def _become(self, state: Mapping[str, Tensor], origin: str) -> None:
        if self._is_release or self._model is None:
            self._model = build_model(self.run.spec).to(self.device).eval()
        self._model.load_state_dict(state)
        self.origin, self._is_release = origin, False

    def _separate(self, mixtures: Tensor) -> Tensor:
        """`[B, C, T]` to `[B, S, C, T]`."""
        return apply_model(self.model, mixtures, shifts=0, device=self.device)


def remixed(stems: Tensor, augment: AugmentConfig, *, place: int, first: int) -> Tensor:
    """Stems `[B, S, C, T]`, each dealt out anew within groups of examples; see `EpochPlan`."""
    done = stems.clone()
    for start in range(0, len(stems), augment.remix_group):
        group = stems[start : start + augment.remix_group]
        rng = generator(place, Purpose.TEACHER, first, start)
        if rng.random() < augment.remix_proba:
            for stem in range(stems.shape[1]):
                order = torch.as_tensor(rng.permutation(len(group)), device=stems.device)
                done[start : start + len(group), stem] = group[order, stem]
    return done


def load_teacher(options: TrainConfig) -> nn.Module:
    """The release `semi.teacher`.

    Raises:
        ModelNotFoundError, ReleaseError: it does not exist, or is broken.
        ConfigError: its stems, rate or channels are not those of the student.
    """
    semi, dset = options.semi, options.dset
    assert semi.teacher is not None
    model = get_model(semi.teacher, semi.teacher_repo)
    facts: Any = model
    check_stems(semi.teacher, list(facts.sources), dset.sources)
    for name, has, wanted in (
        ("samplerate", int(facts.samplerate), dset.samplerate),
        ("channels", int(facts.audio_channels), dset.channels),
    ):
        if has != wanted:
            raise ConfigError(
                f"semi.teacher={semi.teacher} has {name} {has}, and dset.{name}={wanted}: they "
                "must be the same"
            )
    return model


def check_stems(teacher: str, has: Sequence[str], wanted: Sequence[str]) -> None:
    """Teacher and student must have the same stems in the same order.

    Raises:
        ConfigError: they have not; names both.
    """
    if list(has) == list(wanted):
        return
    remedy = (
        f"give them in its order, dset.sources=[{','.join(has)}]"
        if set(has) == set(wanted)
        else "name a teacher of these stems, or set dset.sources to its"
    )
    raise ConfigError(
        f"semi.teacher={teacher} has the stems {', '.join(has)}, and dset.sources are "
        f"{', '.join(wanted)}: {remedy}"
    )
