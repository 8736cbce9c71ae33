"""What applying a model to a mixture consists of: passes over it, their chunks, one chunk.

`demucs.apply.tensor` runs the passes one after the other over a tensor, `demucs.apply.stream` all
of them at once over a signal that comes in blocks.
"""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from demucs.apply.chunks import grid, triangle, window
from demucs.apply.memory import MemoryGuard
from demucs.apply.parameters import batch_of, number, overlap_of, shifts_of, threads_of
from demucs.errors import ConfigError, is_out_of_memory

MAX_SHIFT = 0.5  # seconds


@dataclass(frozen=True)
class Member:
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

    member: Member
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
        return self.member.segment_length or self.length

    @property
    def stride(self) -> int:
        return self.member.stride or self.length

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


def members_of(
    model: nn.Module,
    channels: int,
    segment: float | None,
    overlap: float,
    guard: MemoryGuard | None = None,
) -> list[Member]:
    """The networks of `model` for chunks of `segment` seconds (None: their own; inf: no chunks).

    Raises:
        ConfigError: the mixture's `channels` are not what they take, or no chunk moves on.
    """
    modules = list(getattr(model, "models", [model]))
    sources = list(getattr(model, "sources", None) or modules[0].sources)
    weights = getattr(model, "weights", None) if hasattr(model, "models") else None
    members = []
    for index, module in enumerate(modules):
        wanted = int(module.audio_channels)
        if channels != wanted:
            raise ConfigError(
                f"The mixture has {channels} channels and the model takes {wanted}: "
                "convert it first (demucs.audio.convert_audio)."
            )
        rate = int(module.samplerate)
        seconds = float(module.segment) if segment is None else float(segment)
        if guard is not None and guard.limit is not None and rate * seconds > guard.limit:
            seconds = guard.limit / rate
        length, stride = grid(seconds, overlap, rate)
        row = torch.tensor(weights[index] if weights else [1.0] * len(sources))[:, None, None]
        members.append(Member(module, index, row, rate, length, stride, overlap))
    return members


def plan(members: list[Member], length: int, shifts: int, rng: random.Random) -> list[Pass]:
    """Every pass over the mixture; the delays are drawn in the order of the passes."""
    passes = []
    for member in members:
        most = int(MAX_SHIFT * member.samplerate) if shifts else 0
        for index in range(max(1, shifts)):
            lead = most - rng.randint(0, most) if shifts else 0
            passes.append(Pass(member, index, -lead, length + lead))
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
    samples = sum(one.length for one in passes)
    layout = "{l_bar}{bar}| {n:.1f}/{total:.1f}s [{elapsed}<{remaining}]"
    second = passes[0].member.samplerate
    return tqdm(total=samples, unit_scale=1 / second, disable=disable, bar_format=layout)


def separate_chunk(
    member: Member, mix: Tensor, start: int, length: int, device: torch.device, guard: MemoryGuard
) -> Tensor:
    """The stems `[B, S, C, length]` of one window of `mix` `[B, C, T]`, on the device of `mix`.

    If the device's memory does not suffice, the window is cut into chunks of half its length, and
    so on, and so are all later ones.

    Raises:
        torch.OutOfMemoryError: not even short chunks fit.
    """
    while guard.limit is None or length <= guard.limit:
        try:
            return _forward(member, mix, start, length, device).to(mix.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            guard.halve(length, member.samplerate, error)
        guard.clear(device)  # out of the `except`, whose traceback holds the tensors
    return _in_parts(member, mix, start, length, device, guard)


def _forward(member: Member, mix: Tensor, start: int, length: int, device: torch.device) -> Tensor:
    """The stems of one window, given the context its model wants, then cut back to it."""
    padded, before = member.context(length)
    with torch.no_grad():
        stems: Tensor = member.module(window(mix, start - before, padded).to(device))
    return cropped(stems, length)


def cropped(stems: Tensor, length: int) -> Tensor:
    """The middle `[..., length]` of what a network gave for a window."""
    extra = stems.shape[-1] - length
    return stems[..., extra // 2 : extra // 2 + length]


def _in_parts(
    member: Member, mix: Tensor, start: int, length: int, device: torch.device, guard: MemoryGuard
) -> Tensor:
    """Overlap-add of one window by chunks of what the memory allows."""
    assert guard.limit is not None
    size = guard.limit
    stride = max(1, math.floor((1 - member.overlap) * size))
    total = mix.new_zeros(mix.shape[0], len(member.weights), mix.shape[1], length)
    norm, weight = mix.new_zeros(length), triangle(size).to(mix)
    for offset in range(0, length, stride):
        part = min(size, length - offset)
        stems = separate_chunk(member, mix, start + offset, part, device, guard)
        total[..., offset : offset + part] += weight[:part] * stems
        norm[offset : offset + part] += weight[:part]
    return total.div_(norm)
