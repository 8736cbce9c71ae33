"""Clocks for the parts of a training step, for the sides of `bench_training.py`."""

import functools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from meter import product_seconds, wait

PHASES = ("forward", "penalty", "backward", "optimiser", "averages")
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Clock:
    """Adds up the seconds that functions take while it runs; a GPU is waited for after each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] | None = None
        self.wrap(torch.Tensor, "backward", "backward")

    def wait(self) -> None:
        wait(self.device)

    def timed(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        """The function, whose time counts as that of `phase`."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.seconds is None:
                return function(*args, **kwargs)
            self.wait()
            began = time.perf_counter()
            result = function(*args, **kwargs)
            self.wait()
            self.seconds[phase] += time.perf_counter() - began
            return result

        return call

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        """Puts the timed function in the place of a method or a module's function."""
        setattr(owner, name, self.timed(getattr(owner, name), phase))

    @contextmanager
    def running(self) -> Iterator[dict[str, float]]:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        yield self.seconds
        self.seconds = None


@contextmanager
def convolution_seconds(device: torch.device) -> Iterator[list[float]]:
    """The time of convolutions, forward and backward, inside the block; filled in at its end."""
    gpu = device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if gpu:
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    result: list[float] = []
    with torch.profiler.profile(activities=kinds) as profile:
        yield result
    events = [event for event in profile.key_averages() if "convolution" in event.key]
    times = [event.self_device_time_total if gpu else event.self_cpu_time_total for event in events]
    result.append(sum(times) / 1e6)


def matrix_peak(precision: str, device: torch.device, rounds: int = 11) -> float:
    """FLOP/s of a product of large square matrices in this precision: what can be attained."""
    size = 8192 if device.type == "cuda" else 2048
    seconds = product_seconds(size, _TYPES.get(precision, torch.float32), device, rounds)
    return 2 * size**3 / statistics.median(seconds[1:])
