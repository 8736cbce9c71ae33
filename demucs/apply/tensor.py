"""Overlap-add inference on a tensor of any length: chunks, random shifts, bags.

The numbers are those of the public Demucs `apply_model` for the same shifts. Everything is
expressed as windows of the mixture, which is silent before its first and after its last sample:
a chunk, the context a model wants around it, and a shifted copy of the whole are all windows.
"""

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from demucs.apply.memory import MemoryGuard
from demucs.apply.parameters import flag, pick_device, segment_of
from demucs.apply.plan import (
    Callback,
    Pass,
    Reporter,
    check_arguments,
    overlap_window,
    plan,
    progress_bar,
    ready,
    sub_models_of,
    window,
)
from demucs.apply.runner import Chunk, Runner
from demucs.errors import ConfigError


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
    batch: int | None = None,
) -> Tensor:
    """Separates `mix` `[B, C, T]` into stems `[B, S, C, T]`.

    Args:
        model: has `sources`, `audio_channels`, `samplerate` and `segment`; may have
            `valid_length(length)`, the length it wants its input padded to. A bag has `models`
            and `weights` (`[model][source]`): the weighted mean of its models' stems.
        mix: the mixture, already normalised; it is never modified.
        shifts: average over this number of random delays of up to half a second; 0 disables them.
        split: separate chunk by chunk; otherwise the whole mixture at once.
        overlap: fraction of a chunk that the next one covers again, in [0, 1).
        transition_power: exponent of the triangular overlap window of a chunk; at least 1.
        progress: show a bar, in seconds of audio.
        device: of the model and the chunks; all else stays on the device of `mix`.
        num_workers: chunks separated at the same time, in threads; on the CPU only.
        segment: length of a chunk in seconds, instead of the model's own.
        callback: called with a dict before and after each chunk: `callback_arg` and
            `model_idx_in_bag`, `shift_idx`, `segment_offset` (samples), `state` ("start" or
            "end"), `audio_length` (samples), `models`. It may raise to abort.
        seed: of the random delays: equal seeds give equal stems.
        rng: the source of the delays, instead of a new one from `seed`.
        guard: keeps, from one call to the next, the limits set by running out of memory. A batch
            that does not fit is halved, then a chunk, and so are later ones, with a warning.
        batch: chunks in a batch; None: as many as the memory of a GPU allows, one elsewhere. The
            stems are the same up to rounding.

    Returns:
        Stems in the order of `model.sources`, on the device of `mix`.

    Raises:
        ConfigError: an argument out of its range, or channels that the model cannot take.
    """
    _check_mixture(mix)
    check_arguments(shifts, overlap, transition_power, num_workers, batch)
    split, progress, segment = flag("split", split), flag("progress", progress), segment_of(segment)
    guard = guard or MemoryGuard()
    seconds = segment if split else math.inf
    sub_models = sub_models_of(model, mix.shape[1], seconds, overlap, guard.limit)
    device = pick_device(device) if device is not None else mix.device
    passes = plan(sub_models, mix.shape[-1], shifts, rng or random.Random(seed))
    fixed = {"audio_length": mix.shape[-1], "models": len(sub_models)}
    report = Reporter(callback, callback_arg, fixed)
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(passes, disable=not progress))
        for sub_model in sub_models:
            stack.enter_context(ready(sub_model.module, device))
        runner = Runner(passes, device, mix.device, len(mix), batch, num_workers, report, guard)
        stack.enter_context(runner)
        total = mix.new_zeros(mix.shape[0], len(sub_models[0].weights), *mix.shape[1:])
        for pass_ in passes:
            stems = _run(pass_, mix, transition_power, runner, bar)
            total += pass_.sub_model.weights.to(total) * stems[..., pass_.skip :]
    return total.div_(torch.stack([pass_.sub_model.weights for pass_ in passes]).sum(0).to(total))


def _check_mixture(mix: Tensor) -> None:
    if not isinstance(mix, Tensor):
        raise ConfigError(
            f"The mixture is of the type {type(mix).__name__}: give a torch tensor of floats "
            "[batch, channels, samples] (torch.as_tensor makes one)."
        )
    if mix.dim() != 3 or mix.shape[-1] == 0 or not mix.is_floating_point():
        raise ConfigError(
            f"The mixture has shape {list(mix.shape)} and type {mix.dtype}: "
            "give floats [batch, channels, samples] with at least one sample."
        )


def _run(pass_: Pass, mix: Tensor, power: float, runner: Runner, bar: "tqdm[Any]") -> Tensor:
    """The stems `[B, S, C, length]` of one pass: the weighted mean of its chunks."""
    total = mix.new_zeros(mix.shape[0], len(pass_.sub_model.weights), mix.shape[1], pass_.length)
    norm = mix.new_zeros(pass_.length)
    weight = overlap_window(pass_.size, power).to(mix)
    for chunk, stems in runner.run(_chunks(pass_, mix)):
        offset, length = chunk.offset, chunk.length
        total[..., offset : offset + length] += weight[:length] * stems
        norm[offset : offset + length] += weight[:length]
        bar.update(min(pass_.stride, pass_.length - offset))
        del chunk, stems  # frees its memory while the next one is separated
    return total.div_(norm)


def _chunks(pass_: Pass, mix: Tensor) -> Iterator[Chunk]:
    for offset, length in pass_.chunks():
        padded, before = pass_.sub_model.context(length)
        heard = window(mix, pass_.start + offset - before, padded)
        yield Chunk(pass_, offset, length, heard, before)
