"""Transfer of chunks to the device and of stems back, on a GPU while it computes.

On a GPU each direction has a stream of its own and goes through pinned memory, which the card reads
and writes by itself. PyTorch keeps pinned memory for the next copy, and does not hand it out again
before the last one has ended.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Fetch = Callable[[], Tensor]  # waits for a copy, and gives it


@dataclass(frozen=True)
class Sent:
    """Windows `[n, C, T]` on the device, once `arrived` has happened (None: they are there)."""

    windows: Tensor
    arrived: "torch.cuda.Event | None" = None


class Transfer(Protocol):
    """A way to copy windows to the device and stems back.

    Attributes:
        overlaps: copies run while the device computes, so a batch is to be sent while the one
            before it is worked on.
    """

    overlaps: bool

    def upload(self, windows: Sequence[Tensor]) -> Sent:
        """Copies of windows `[B, C, T]`, one after the other, on their way to the device."""

    def computing(self) -> AbstractContextManager[Any]:
        """Inside, in any thread, operations go to where the network runs."""

    def received(self, sent: Sent) -> Tensor:
        """What was sent, for an operation inside `computing`."""

    def download(self, stems: Tensor) -> Fetch:
        """Sends a result of `computing` on its way back."""


class Direct:
    """Copies at once: for a CPU, a device without streams, and what is there already.

    Args:
        device: where the network is.
        home: where the windows come from and the stems go.
    """

    overlaps = False

    def __init__(self, device: torch.device, home: torch.device) -> None:
        self._device, self._home = device, home

    def upload(self, windows: Sequence[Tensor]) -> Sent:
        return Sent(torch.cat(list(windows)).to(self._device))

    def computing(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def received(self, sent: Sent) -> Tensor:
        return sent.windows

    def download(self, stems: Tensor) -> Fetch:
        there = stems.to(self._home)
        return lambda: there


class Streams:
    """Copies between the CPU and a CUDA device that computes meanwhile."""

    overlaps = True

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._compute = torch.cuda.current_stream(device)
        self._up = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._down = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def upload(self, windows: Sequence[Tensor]) -> Sent:
        first = windows[0]
        shape = (sum(len(window) for window in windows), *first.shape[1:])
        pinned = torch.empty(shape, dtype=first.dtype, pin_memory=True)
        torch.cat(list(windows), out=pinned)
        with torch.cuda.stream(self._up):
            return Sent(pinned.to(self._device, non_blocking=True), self._up.record_event())

    def computing(self) -> AbstractContextManager[Any]:
        return torch.cuda.stream(self._compute)  # of this thread; new ones have the default stream

    def received(self, sent: Sent) -> Tensor:
        assert sent.arrived is not None
        self._compute.wait_event(sent.arrived)
        sent.windows.record_stream(self._compute)  # not to be reused before that has read it
        return sent.windows

    def download(self, stems: Tensor) -> Fetch:
        self._down.wait_event(self._compute.record_event())
        pinned = torch.empty(stems.shape, dtype=stems.dtype, pin_memory=True)
        # Who waits for such an event leaves the processor to others.
        copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._down):
            pinned.copy_(stems, non_blocking=True)
            copied.record(self._down)
        stems.record_stream(self._down)

        def fetch() -> Tensor:
            copied.synchronize()
            return pinned

        return fetch


def transfer_between(home: torch.device, device: torch.device) -> Transfer:
    """The transfer that suits the two devices."""
    if device.type == "cuda" and home.type == "cpu":
        return Streams(device)
    return Direct(device, home)
