"""Meters that the sides of several benchmarks share; any of them, so torch alone is imported."""

import time
from pathlib import Path

import torch


def wait(device: torch.device) -> None:
    """Returns when the device has done its work: a GPU answers before that."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def process_peak() -> float:
    """The most memory that this process has had, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def peak_memory(device: torch.device) -> float:
    """MiB: of tensors on a GPU, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return process_peak()


def product_seconds(
    size: int, dtype: torch.dtype, device: torch.device, rounds: int
) -> list[float]:
    """By the clock, of `rounds` products of two square matrices of `size` rows."""
    left, right = torch.randn(2, size, size, device=device).to(dtype)
    seconds = []
    for _ in range(rounds):
        wait(device)
        began = time.perf_counter()
        left @ right
        wait(device)
        seconds.append(time.perf_counter() - began)
    return seconds
