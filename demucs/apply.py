"""Applying a model to a mixture of any length: chunks, overlap-add, random shifts, bags.

The numbers are those of the public Demucs `apply_model` for the same shifts. Everything is
expressed as windows of the mixture, which is silent before its first and after its last sample:
a chunk, the context a model wants around it, and a shifted copy of the whole are all windows.
"""

import math
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from demucs.chunks import Callback, Reporter, grid, ordered_map, triangle, window
from demucs.errors import ConfigError

MAX_SHIFT = 0.5  # seconds


def apply_model(
    model: nn.Module,
    mix: Tensor,
    shifts: int = 1,
    split: bool = True,
    overlap: float = 0.25,
    transition_power: float = 1.0,
    progress: bool = False,
    device: torch.device | str | None = None,
    num_workers: int = 0,
    segment: float | None = None,
    *,
    callback: Callback | None = None,
    callback_arg: Mapping[str, Any] | None = None,
    seed: int = 0,
    rng: random.Random | None = None,
) -> Tensor:
    """Separates `mix` `[B, C, T]` into stems `[B, S, C, T]`.

    Args:
        model: has `sources`, `audio_channels`, `samplerate` and `segment`; may have
            `valid_length(length)`, the length it wants its input padded to. A bag has `models`
            and `weights` (`[model][source]`): the weighted mean of its models' stems.
        mix: the mixture, already normalised; it is never modified.
        shifts: if positive, the mean over that many random delays of up to half a second.
        split: work chunk by chunk; otherwise on the whole mixture at once.
        overlap: share of a chunk that the next one covers again, in [0, 1).
        transition_power: the triangular weights of a chunk are raised to it; at least 1.
        progress: show a bar, in seconds of audio.
        device: where the model and single chunks are put; all else stays where `mix` is.
        num_workers: chunks worked on at a time, in threads; on the CPU only.
        segment: length of a chunk in seconds, instead of the model's own.
        callback: called with a dict before and after each chunk: `callback_arg` and
            `model_idx_in_bag`, `shift_idx`, `segment_offset` (samples), `state` ("start" or
            "end"), `audio_length` (samples), `models`. It may raise to abort.
        seed: of the random delays: equal seeds give equal stems.
        rng: the source of the delays, instead of a new one from `seed`.

    Returns:
        Stems in the order of `model.sources`, on the device of `mix`.

    Raises:
        ConfigError: an argument out of its range, or channels that the model cannot take.
    """
    _check_arguments(mix, shifts, overlap, transition_power, num_workers)
    members = _members(model, mix, segment if split else math.inf, overlap)
    device = torch.device(device) if device is not None else mix.device
    passes = _plan(members, mix.shape[-1], shifts, rng or random.Random(seed))
    fixed = {"audio_length": mix.shape[-1], "models": len(members)}
    report = Reporter(callback, callback_arg, fixed)
    workers = num_workers if device.type == "cpu" else 0
    with ExitStack() as stack:
        bar = stack.enter_context(_progress_bar(passes, disable=not progress))
        for member in members:
            stack.enter_context(_ready(member.module, device))
        pool = stack.enter_context(ThreadPoolExecutor(workers)) if workers else None
        job = _Job(mix, device, transition_power, pool, workers, report, bar)
        total = mix.new_zeros(mix.shape[0], len(members[0].weights), *mix.shape[1:])
        for one in passes:
            total += one.member.weights.to(total) * _run(one, job)[..., one.skip :]
    return total.div_(torch.stack([one.member.weights for one in passes]).sum(0).to(total))


@dataclass(frozen=True)
class _Member:
    """One network of a bag (a single model is a bag of one) and how it is cut into chunks."""

    module: nn.Module
    index: int
    weights: Tensor  # [S, 1, 1]
    samplerate: int
    segment_length: int | None  # samples; None: everything at once
    stride: int


@dataclass(frozen=True)
class _Pass:
    """One run of one network over the window of the mixture that starts at `start` samples."""

    member: _Member
    shift_index: int
    start: int
    length: int

    @property
    def skip(self) -> int:
        """Samples of the result that lie before the mixture."""
        return -self.start

    def chunks(self) -> list[tuple[int, int]]:
        """Offset and length of each chunk, in samples from `start`; the last may be shorter."""
        size = self.member.segment_length
        if size is None:
            return [(0, self.length)]
        offsets = range(0, self.length, self.member.stride)
        return [(offset, min(size, self.length - offset)) for offset in offsets]


@dataclass(frozen=True)
class _Job:
    """What all passes share."""

    mix: Tensor
    device: torch.device
    transition_power: float
    pool: ThreadPoolExecutor | None
    workers: int
    report: Reporter
    bar: "tqdm[Any]"


def _check_arguments(
    mix: Tensor, shifts: int, overlap: float, transition_power: float, num_workers: int
) -> None:
    if mix.dim() != 3 or mix.shape[-1] == 0 or not mix.is_floating_point():
        raise ConfigError(
            f"The mixture has shape {list(mix.shape)} and type {mix.dtype}: "
            "give floats [batch, channels, samples] with at least one sample."
        )
    if shifts < 0:
        raise ConfigError(f"shifts={shifts}: give 0 (no random shift) or a positive number.")
    if not 0 <= overlap < 1:
        raise ConfigError(f"overlap={overlap}: give a share in [0, 1), such as 0.25.")
    if not transition_power >= 1:
        raise ConfigError(f"transition_power={transition_power}: give a number of at least 1.")
    if num_workers < 0:
        raise ConfigError(f"num_workers={num_workers}: give 0 (no threads) or a positive number.")


def _members(model: nn.Module, mix: Tensor, segment: float | None, overlap: float) -> list[_Member]:
    modules = list(getattr(model, "models", [model]))
    sources = list(getattr(model, "sources", None) or modules[0].sources)
    weights = getattr(model, "weights", None) if hasattr(model, "models") else None
    members = []
    for index, module in enumerate(modules):
        wanted = int(module.audio_channels)
        if mix.shape[1] != wanted:
            raise ConfigError(
                f"The mixture has {mix.shape[1]} channels and the model takes {wanted}: "
                "convert it first (demucs.audio.convert_audio)."
            )
        seconds = float(module.segment) if segment is None else float(segment)
        length, stride = grid(seconds, overlap, int(module.samplerate))
        row = torch.tensor(weights[index] if weights else [1.0] * len(sources))[:, None, None]
        members.append(_Member(module, index, row, int(module.samplerate), length, stride))
    return members


def _plan(members: list[_Member], length: int, shifts: int, rng: random.Random) -> list[_Pass]:
    """Every pass over the mixture; the delays are drawn in the order of the passes."""
    passes = []
    for member in members:
        most = int(MAX_SHIFT * member.samplerate) if shifts else 0
        for index in range(max(1, shifts)):
            lead = most - rng.randint(0, most) if shifts else 0
            passes.append(_Pass(member, index, -lead, length + lead))
    return passes


@contextmanager
def _ready(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Puts `module` on `device` in evaluation mode; gives back its training mode after."""
    was_training = module.training
    module.to(device).eval()
    try:
        yield
    finally:
        if was_training:
            module.train()


def _progress_bar(passes: list[_Pass], disable: bool) -> "tqdm[Any]":
    """A bar in seconds of audio over all passes."""
    samples = sum(one.length for one in passes)
    layout = "{l_bar}{bar}| {n:.1f}/{total:.1f}s [{elapsed}<{remaining}]"
    second = passes[0].member.samplerate
    return tqdm(total=samples, unit_scale=1 / second, disable=disable, bar_format=layout)


def _run(one: _Pass, job: _Job) -> Tensor:
    """The stems `[B, S, C, length]` of one pass: the weighted mean of its chunks."""
    member, mix = one.member, job.mix
    where = {"model_idx_in_bag": member.index, "shift_idx": one.shift_index}

    def separate(chunk: tuple[int, int]) -> tuple[int, Tensor]:
        offset, length = chunk
        job.report({**where, "segment_offset": offset, "state": "start"})
        stems = _forward(member.module, mix, one.start + offset, length, job.device)
        job.report({**where, "segment_offset": offset, "state": "end"})
        return offset, stems.to(mix.device)

    total = mix.new_zeros(mix.shape[0], len(member.weights), mix.shape[1], one.length)
    norm = mix.new_zeros(one.length)
    weight = triangle(member.segment_length or one.length, job.transition_power).to(mix)
    for offset, stems in ordered_map(separate, one.chunks(), job.pool, job.workers):
        length = stems.shape[-1]
        total[..., offset : offset + length] += weight[:length] * stems
        norm[offset : offset + length] += weight[:length]
        job.bar.update(min(member.stride or length, one.length - offset))
    return total.div_(norm)


def _forward(
    module: nn.Module, mix: Tensor, start: int, length: int, device: torch.device
) -> Tensor:
    """The stems of one window, given the context its model wants, then cut back to it."""
    valid_length = getattr(module, "valid_length", None)
    padded = int(valid_length(length)) if valid_length is not None else length
    begin = start - (padded - length) // 2
    with torch.no_grad():
        stems: Tensor = module(window(mix, begin, padded).to(device))
    extra = stems.shape[-1] - length
    return stems[..., extra // 2 : extra // 2 + length]
