"""The model whose stems are judged."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from demucs.evaluation import separate_track
from demucs.evaluation.facts import weights_of
from demucs.nn.inference import inference_form
from demucs.process.signals import Interrupted


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A function from a mixture to stems, and what it needs and gives.

    Attributes:
        name: of the model.
        model: `[B, C, T]` → `[B, S, C, T]`, in evaluation mode; may be a bag.
        sources: names of the stems, in the order of S.
        samplerate: Hz.
        channels: of mixture and stems.
        device: where it computes.
        weights: sha256 of its weights.
    """

    name: str
    model: nn.Module
    sources: tuple[str, ...]
    samplerate: int
    channels: int
    device: str = "cpu"
    weights: str = ""

    @classmethod
    def of(cls, model: nn.Module, name: str, device: str = "cpu") -> "Teacher":
        """A teacher of a network or bag as `demucs.pretrained.get_model` returns it."""
        facts: Any = model  # nn.Module declares its attributes as tensors or modules
        return cls(
            name=name,
            model=inference_form(model.eval()) if device == "cpu" else model.eval(),
            sources=tuple(facts.sources),
            samplerate=int(facts.samplerate),
            channels=int(facts.audio_channels),
            device=device,
            weights=weights_of(model),
        )

    @cached_property
    def members(self) -> "list[Teacher]":
        """The models of a bag of several, each as a teacher; none of a single network."""
        models = getattr(self.model, "models", ())
        if len(models) < 2:  # it would be compared with itself
            return []
        return [
            Teacher.of(model, f"{self.name}[{n}]", self.device) for n, model in enumerate(models)
        ]

    @torch.no_grad()
    def __call__(self, mixture: Tensor) -> Tensor:
        """Separates `[C, T]` into `[S, C, T]`; the same mixture always gives the same stems.

        A mixture that fits one chunk of the model is one: overlapping chunks would add work.
        """
        length: Any = self.model.segment
        split = mixture.shape[-1] > float(length) * self.samplerate
        return separate_track(self.model, mixture, shifts=0, split=split, device=self.device)


@dataclass(frozen=True, kw_only=True)
class StoppableTeacher(Teacher):
    """Separates as `teacher` does.

    Attributes:
        teacher: whose attributes it has.
        stop: whether to end; asked before each separation.
    """

    teacher: Teacher
    stop: Callable[[], bool]

    @classmethod
    def wrap(cls, teacher: Teacher, stop: Callable[[], bool]) -> "StoppableTeacher":
        attributes = {field.name: getattr(teacher, field.name) for field in fields(teacher)}
        return cls(**attributes, teacher=teacher, stop=stop)

    def __call__(self, mixture: Tensor) -> Tensor:
        """Raises Interrupted if it was asked to stop."""
        if self.stop():
            raise Interrupted
        return self.teacher(mixture)
