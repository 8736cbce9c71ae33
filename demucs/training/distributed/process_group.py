"""The process group of a training; with one process, nothing here does anything.

Rank and world size are passed in: starting processes is up to Dora, SLURM or tools.launch.
What processes tell each other goes through the CPU (gloo); only gradients on GPUs go through NCCL.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from demucs.errors import DemucsError
from demucs.training.distributed.rendezvous import lost_peers_reported, rendezvous

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessGroup:
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
    def connected(
        self, host: str = "127.0.0.1", port: int = 29500, minutes: float = 30
    ) -> Iterator[None]:
        """Joins the others at `host:port`; inside, nobody waits longer than `minutes` for them.

        Raises:
            LostPeerError: they did not come, one of them ended, or they do not answer.
        """
        if self.world_size == 1:
            yield
            return
        store = rendezvous(self.rank, self.world_size, host, port, minutes)
        cuda = self.device.type == "cuda"
        with lost_peers_reported(self.rank, self.world_size, minutes):
            if cuda:
                torch.cuda.set_device(self.device)
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if cuda else "gloo",
                rank=self.rank,
                world_size=self.world_size,
                store=store,
                timeout=timedelta(minutes=minutes),
            )
            try:
                yield
            except BaseException:
                # NCCL would wait for what the others still have to say. That this process is gone
                # they hear when it has ended.
                if not cuda:
                    dist.destroy_process_group()
                raise
            dist.destroy_process_group()

    def wrap(self, model: nn.Module) -> nn.Module:
        """A model whose backward pass averages gradients over all processes."""
        if self.world_size == 1:
            return model
        if self.device.type == "cuda":
            return nn.parallel.DistributedDataParallel(model, device_ids=[self.device.index])
        wrapped = nn.parallel.DistributedDataParallel(model)
        wrapped.register_comm_hook(self.world_size, _mean_in_order_of_ranks)
        return wrapped

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The items that fall to this process."""
        return items[self.rank :: self.world_size]

    def gathered(self, value: T) -> list[T]:
        """The values of all processes, by rank, in each of them."""
        if self.world_size == 1:
            return [value]
        everyone: list[Any] = [None] * self.world_size
        dist.all_gather_object(everyone, value)
        return everyone

    def sums(self, values: Mapping[str, float]) -> dict[str, float]:
        """The sum over processes of each value; what a process does not have is 0 there."""
        everyone = self.gathered(dict(values))
        names = {name: None for sums in everyone for name in sums}
        return {name: sum(sums.get(name, 0.0) for sums in everyone) for name in names}

    def barrier(self) -> None:
        """Waits until all are here."""
        self.any(False)

    def first_then_all(self, work: Callable[[], T]) -> T:
        """Does `work` on the first process, then on the others, for whom caches are then filled.

        Raises:
            Exception: what `work` raises; if it fails on the first, it runs on no other, which
                raise a DemucsError.
        """
        if not self.is_first:
            if self.any(False):
                raise DemucsError("the first process failed: its log has the message")
            return work()
        try:
            result = work()
        except Exception:
            self.any(True)
            raise
        self.any(False)
        return result

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.world_size == 1:
            return flag
        raised = torch.tensor([int(flag)])  # on the CPU: no GPU waits for it
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return bool(raised.item())


def _mean_in_order_of_ranks(
    world_size: int,
    bucket: dist.GradBucket,  # type: ignore[name-defined]
) -> torch.futures.Future[Tensor]:
    """The mean gradient of a bucket, added up in the order of ranks.

    The usual ring adds up in an order that depends on where in its bucket a gradient lies, and
    buckets change after the first step: a resumed run would then round differently from one
    that was never stopped.
    """
    bucket_gradient: Tensor = bucket.buffer()
    parts = [torch.empty_like(bucket_gradient) for _ in range(world_size)]
    work = dist.all_gather(parts, bucket_gradient, async_op=True)

    def mean(_: Any) -> Tensor:
        total = parts[0]
        for part in parts[1:]:
            total += part
        return bucket_gradient.copy_(total.div_(world_size))

    future: torch.futures.Future[Tensor] = work.get_future().then(mean)
    return future
