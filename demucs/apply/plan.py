"""The inference plan: sub-models, their passes over a mixture, and the chunks of a pass.

`demucs.apply.tensor` runs the passes one after the other over a tensor, `demucs.apply.stream` all
of them at once over a signal that comes in blocks.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from demucs.apply.parameters import batch_of, number, overlap_of, shifts_of, threads_of
from demucs.errors import ConfigError

Callback = Callable[[dict[str, Any]], None]
MAX_SHIFT = 0.5  # seconds


@dataclass(frozen=True)
class SubModel:
    """One network of a bag (a single model is a bag of one) and how it is cut into chunks."""

    module: nn.Module
    index: int
    weights: Tensor  # [S, 1, 1]
    samplerate: int
    segment_length: int | None  # samples; None: everything at once
    stride: int
    overlap: float

    def context(self, length: int) -> tuple[int, int]:
        """The length that the network wants for a chunk of `length`, and what it wants before."""
        valid_length = getattr(self.module, "valid_length", None)
        padded = int(valid_length(length)) if valid_length is not None else length
        return padded, (padded - length) // 2


@dataclass(frozen=True)
class Pass:
    """One run of one network over the window of the mixture that starts at `start` samples."""

    sub_model: SubModel
    shift_index: int
    start: int
    length: int

    @property
    def skip(self) -> int:
        """Samples of the result that lie before the mixture."""
        return -self.start

    @property
    def size(self) -> int:
        """Length of all chunks but the last ones."""
        return self.sub_model.segment_length or self.length

    @property
    def stride(self) -> int:
        return self.sub_model.stride or self.length

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Offset and length of each chunk, in samples from `start`; the last may be shorter."""
        for offset in range(0, self.length, self.stride):
            yield offset, min(self.size, self.length - offset)


def check_arguments(
    shifts: int, overlap: float, transition_power: float, workers: int, batch: int | None = None
) -> None:
    """Raises ConfigError where an argument of `apply_model` is of another type or out of range."""
    shifts_of(shifts)
    overlap_of(overlap)
    if number("transition_power", transition_power, "give a number of at least 1") < 1:
        raise ConfigError(f"transition_power={transition_power}: give a number of at least 1.")
    threads_of("num_workers", workers)
    batch_of(batch)


def sub_models_of(
    model: nn.Module,
    channels: int,
    segment: float | None,
    overlap: float,
    limit: int | None = None,
) -> list[SubModel]:
    """The networks of `model` for chunks of `segment` seconds (None: their own; inf: no chunks).

    Raises:
        ConfigError: the mixture's `channels` are not what they take, or no chunk moves on.
    """
    modules = list(getattr(model, "models", [model]))
    sources = list(getattr(model, "sources", None) or modules[0].sources)
    weights = getattr(model, "weights", None) if hasattr(model, "models") else None
    sub_models = []
    for index, module in enumerate(modules):
        expected = int(module.audio_channels)
        if channels != expected:
            raise ConfigError(
                f"The mixture has {channels} channels and the model takes {expected}: "
                "convert it first (demucs.audio.convert_audio)."
            )
        rate = int(module.samplerate)
        seconds = float(module.segment) if segment is None else float(segment)
        if limit is not None and rate * seconds > limit:
            seconds = limit / rate
        length, stride = segment_and_stride(seconds, overlap, rate)
        row = torch.tensor(weights[index] if weights else [1.0] * len(sources))[:, None, None]
        sub_models.append(SubModel(module, index, row, rate, length, stride, overlap))
    return sub_models


def plan(sub_models: list[SubModel], length: int, shifts: int, rng: random.Random) -> list[Pass]:
    """Every pass over the mixture; the delays are drawn in the order of the passes."""
    passes = []
    for sub_model in sub_models:
        most = int(MAX_SHIFT * sub_model.samplerate) if shifts else 0
        for index in range(max(1, shifts)):
            lead = most - rng.randint(0, most) if shifts else 0
            passes.append(Pass(sub_model, index, -lead, length + lead))
    return passes


@contextmanager
def ready(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Puts `module` on `device` in evaluation mode; gives back its training mode after."""
    was_training = module.training
    module.to(device).eval()
    try:
        yield
    finally:
        if was_training:
            module.train()


def progress_bar(passes: list[Pass], disable: bool) -> "tqdm[Any]":
    """A bar in seconds of audio over all passes."""
    samples = sum(pass_.length for pass_ in passes)
    layout = "{l_bar}{bar}| {n:.1f}/{total:.1f}s [{elapsed}<{remaining}]"
    second = passes[0].sub_model.samplerate
    return tqdm(total=samples, unit_scale=1 / second, disable=disable, bar_format=layout)


class Reporter:
    """Calls a user's callback, if there is one, from one thread at a time.

    Args:
        callback: takes one dict, and may raise to abort.
        extra: items of the user for the dict; the engine's items override them.
        fixed: items of the engine that are the same in every call.
    """

    def __init__(
        self,
        callback: Callback | None,
        extra: Mapping[str, Any] | None,
        fixed: Mapping[str, Any],
    ) -> None:
        self._callback, self._extra, self._fixed = callback, dict(extra or {}), dict(fixed)
        self._lock = Lock()

    def __call__(self, where: Mapping[str, Any]) -> None:
        if self._callback is not None:
            with self._lock:
                self._callback({**self._extra, **where, **self._fixed})


def segment_and_stride(seconds: float, overlap: float, samplerate: int) -> tuple[int | None, int]:
    """Length of a chunk and distance from its start to that of the next, in samples.

    >>> segment_and_stride(10, 0.25, 44100)
    (441000, 330750)
    """
    if seconds == math.inf:
        return None, 0
    length = int(samplerate * seconds) if seconds > 0 else 0
    stride = int((1 - overlap) * length)
    if stride < 1:
        raise ConfigError(
            f"segment={seconds:g} seconds with overlap={overlap:g} has a stride of less than one "
            f"sample at {samplerate} Hz: give a longer segment or less overlap."
        )
    return length, stride


def overlap_window(length: int, power: float = 1.0) -> Tensor:
    """Triangular weights `[length]` of the samples of a chunk: 1 in its middle, lower at its ends.

    >>> overlap_window(4).tolist()
    [0.5, 1.0, 1.0, 0.5]
    """
    half = length // 2
    rise, fall = torch.arange(1, half + 1), torch.arange(length - half, 0, -1)
    weights = torch.cat([rise, fall]).float()
    return (weights / weights.max()) ** power


def window(mix: Tensor, start: int, length: int) -> Tensor:
    """A copy `[..., length]` of `mix` from sample `start`, zero where there is no signal."""
    out = mix.new_zeros(*mix.shape[:-1], length)
    first, last = max(0, start), min(mix.shape[-1], start + length)
    if first < last:
        out[..., first - start : last - start] = mix[..., first:last]
    return out
