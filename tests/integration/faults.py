"""A plug-in (`$DEMUCS_PLUGINS`) for tests: a tiny network, and faults in the run that trains it.

`$DEMUCS_FAULT` names the fault, and `$DEMUCS_FAULT_RANK` the only rank that has it (else all do).
`$DEMUCS_FAULT_MARK` is a file that gets the number of the process which has reached it.
"""

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from demucs.experiment.record import CHECKPOINT
from demucs.nn import register_model
from demucs.process import signals as stopping
from demucs.release.checkpoint import _HashingWriter
from demucs.training import run
from demucs.training.stages import test as testing

RANK = os.environ.get("RANK", "0")
FAULT = os.environ.get("DEMUCS_FAULT", "")
if os.environ.get("DEMUCS_FAULT_RANK", RANK) != RANK:
    FAULT = ""
SECOND = 2  # the step with the fault
CORES = 8  # so that there are as many readers as the test asks for
state = {"testing": False}


class _Backward(torch.autograd.Function):
    """The identity, with a gradient that fails."""

    @staticmethod
    def forward(ctx: Any, wav: Tensor) -> Tensor:
        return wav.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        raise RuntimeError("fault in backward")


@register_model("faulty")
class Faulty(nn.Module):
    """A gain for each stem, and the faults."""

    def __init__(
        self, sources: Sequence[str], audio_channels: int, samplerate: int, segment: float
    ) -> None:
        super().__init__()
        self.sources, self.audio_channels = list(sources), audio_channels
        self.samplerate, self.segment = samplerate, segment
        self.gains = nn.Parameter(torch.full((len(self.sources), 1, 1), 0.2))
        self.steps = 0

    def forward(self, mix: Tensor) -> Tensor:
        stems = mix[:, None] * self.gains
        if self.training:
            self.steps += 1
            if FAULT == "diverged":
                return stems * torch.nan
            return fail(stems) if self.steps == SECOND else stems
        if state["testing"]:
            raise RuntimeError("fault in the test")
        if FAULT == "valid":
            raise RuntimeError("fault in validation")
        return stems


def fail(stems: Tensor) -> Tensor:
    """What goes wrong in a step; else the stems."""
    if "DEMUCS_FAULT_MARK" in os.environ:
        Path(os.environ["DEMUCS_FAULT_MARK"]).write_text(str(os.getpid()))
    if FAULT == "forward":
        raise RuntimeError("fault in forward")
    if FAULT == "backward":
        return _Backward.apply(stems)  # type: ignore[no-any-return]
    if FAULT == "memory":
        raise MemoryError
    if FAULT == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    if FAULT == "reader":
        for reader in multiprocessing.active_children():
            os.kill(reader.pid or 0, signal.SIGKILL)
            break
        else:
            raise RuntimeError("there is no reader")
    if FAULT == "dead":
        os.kill(os.getpid(), signal.SIGKILL)
    if FAULT == "deaf":  # as in a wait of a library's, Python's main thread answers no signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        stopping.CLEAN_UP = stopping.LAST_SECONDS = 1.0  # not to wait so long in a test
    if FAULT in ("interrupt", "reader", "hang", "deaf"):
        time.sleep(600)
    return stems


def _write(self: _HashingWriter, data: bytes) -> int:
    """In place of the checkpoint's, on a disk that is full at the second one."""
    if self.file.tell() > 1000 and Path(self.file.name).with_name(CHECKPOINT).exists():
        self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise self.error
    return written(self, data)


def _evaluate(*args: Any, **kwargs: Any) -> Any:
    """In place of the test's, with a network that fails."""
    state["testing"] = True
    return evaluate(*args, **kwargs)


written, evaluate = _HashingWriter.write, testing.evaluate
run.core_count = lambda: CORES  # type: ignore[assignment]
if FAULT == "checkpoint":
    _HashingWriter.write = _write  # type: ignore[method-assign]
if FAULT == "test":
    testing.evaluate = _evaluate  # type: ignore[assignment]
