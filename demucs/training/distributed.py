"""The processes that train together; with one, nothing here does anything.

Rank and world size are passed in: who starts processes (Dora, SLURM) is the door's business.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from demucs.errors import DemucsError

T = TypeVar("T")
TIMEOUT = timedelta(hours=3)  # the others wait while rank 0 evaluates the test songs


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """This process among all."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and talks to the user."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The GPU of this process, or the CPU where there is none."""
        if torch.cuda.is_available():
            return torch.device("cuda", self.local_rank)
        return torch.device("cpu")

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Joins the others, where the environment (MASTER_ADDR, MASTER_PORT) says they meet."""
        if self.world_size == 1:
            yield
            return
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        dist.init_process_group(
            "nccl" if self.device.type == "cuda" else "gloo",
            rank=self.rank,
            world_size=self.world_size,
            timeout=TIMEOUT,
        )
        try:
            yield
        finally:
            dist.destroy_process_group()

    def wrap(self, model: nn.Module) -> nn.Module:
        """A model whose backward pass averages gradients over all processes."""
        if self.world_size == 1:
            return model
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The items that fall to this process."""
        return items[self.rank :: self.world_size]

    def sums(self, values: Mapping[str, float]) -> dict[str, float]:
        """The sum over processes of each value; all have the same keys, or none at all."""
        if self.world_size == 1:
            return dict(values)
        everyone: list[dict[str, float]] = [{} for _ in range(self.world_size)]
        dist.all_gather_object(everyone, dict(values))
        names = {name: None for one in everyone for name in one}
        return {name: sum(one.get(name, 0.0) for one in everyone) for name in names}

    def barrier(self) -> None:
        """Waits until all are here."""
        if self.world_size > 1:
            dist.barrier()

    def first_then_all(self, work: Callable[[], T]) -> T:
        """Does `work` on the first process, then on the others, for whom caches are then filled.

        Raises:
            DemucsError: what `work` raises; if it fails on the first, it runs on no other.
        """
        if not self.is_first:
            if self.any(False):
                raise DemucsError("the first process failed: its log has the message")
            return work()
        try:
            result = work()
        except DemucsError:
            self.any(True)
            raise
        self.any(False)
        return result

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self.sums({"flag": float(flag)})["flag"] > 0


def available_cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
