"""Applying a model to a mixture of any length: chunks, overlap-add, random shifts, bags.

The numbers are those of the public Demucs `apply_model` for the same shifts. Everything is
expressed as windows of the mixture, which is silent before its first and after its last sample:
a chunk, the context a model wants around it, and a shifted copy of the whole are all windows.
"""

import math
import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from demucs.chunks import Callback, Reporter, ordered_map, triangle
from demucs.errors import ConfigError
from demucs.memory import MemoryGuard
from demucs.passes import (
    Pass,
    check_arguments,
    members_of,
    plan,
    progress_bar,
    ready,
    separate_chunk,
)


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
    guard: MemoryGuard | None = None,
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
        guard: remembers, from one call to the next, how long a chunk fits the device's memory. A
            chunk that does not fit is cut in half and so are those after it, with a warning.

    Returns:
        Stems in the order of `model.sources`, on the device of `mix`.

    Raises:
        ConfigError: an argument out of its range, or channels that the model cannot take.
    """
    _check_mixture(mix)
    check_arguments(shifts, overlap, transition_power, num_workers)
    guard = guard or MemoryGuard()
    members = members_of(model, mix.shape[1], segment if split else math.inf, overlap, guard)
    device = torch.device(device) if device is not None else mix.device
    passes = plan(members, mix.shape[-1], shifts, rng or random.Random(seed))
    fixed = {"audio_length": mix.shape[-1], "models": len(members)}
    report = Reporter(callback, callback_arg, fixed)
    workers = num_workers if device.type == "cpu" else 0
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(passes, disable=not progress))
        for member in members:
            stack.enter_context(ready(member.module, device))
        pool = stack.enter_context(ThreadPoolExecutor(workers)) if workers else None
        job = _Job(mix, device, transition_power, pool, workers, report, bar, guard)
        total = mix.new_zeros(mix.shape[0], len(members[0].weights), *mix.shape[1:])
        for one in passes:
            total += one.member.weights.to(total) * _run(one, job)[..., one.skip :]
    return total.div_(torch.stack([one.member.weights for one in passes]).sum(0).to(total))


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
    guard: MemoryGuard


def _check_mixture(mix: Tensor) -> None:
    if mix.dim() != 3 or mix.shape[-1] == 0 or not mix.is_floating_point():
        raise ConfigError(
            f"The mixture has shape {list(mix.shape)} and type {mix.dtype}: "
            "give floats [batch, channels, samples] with at least one sample."
        )


def _run(one: Pass, job: _Job) -> Tensor:
    """The stems `[B, S, C, length]` of one pass: the weighted mean of its chunks."""
    member, mix = one.member, job.mix
    where = {"model_idx_in_bag": member.index, "shift_idx": one.shift_index}

    def separate(chunk: tuple[int, int]) -> tuple[int, Tensor]:
        offset, length = chunk
        job.report({**where, "segment_offset": offset, "state": "start"})
        stems = separate_chunk(member, mix, one.start + offset, length, job.device, job.guard)
        job.report({**where, "segment_offset": offset, "state": "end"})
        return offset, stems

    total = mix.new_zeros(mix.shape[0], len(member.weights), mix.shape[1], one.length)
    norm = mix.new_zeros(one.length)
    weight = triangle(one.size, job.transition_power).to(mix)
    for offset, stems in ordered_map(separate, one.chunks(), job.pool, job.workers):
        length = stems.shape[-1]
        total[..., offset : offset + length] += weight[:length] * stems
        norm[offset : offset + length] += weight[:length]
        job.bar.update(min(one.stride, one.length - offset))
    return total.div_(norm)
