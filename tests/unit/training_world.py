"""Several processes that train together, forked from the tests'."""

import multiprocessing
import socket
import time
import traceback
from collections.abc import Callable

import torch

from demucs.training import ProcessGroup

PATIENCE = 120  # seconds


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def in_processes(
    count: int,
    work: Callable[[ProcessGroup], object],
    *,
    connected: bool = True,
    minutes: float = 1,
) -> None:
    """Runs `work` in `count` processes that are connected; all have to succeed."""
    port = free_port()
    fork = multiprocessing.get_context("fork")

    def run(rank: int) -> None:
        torch.set_num_threads(1)
        group = ProcessGroup(rank=rank, local_rank=rank, world_size=count)
        try:
            if connected:
                with group.connected("127.0.0.1", port, minutes):
                    work(group)
            else:
                work(group)
        except BaseException:
            traceback.print_exc()
            raise

    processes = [fork.Process(target=run, args=(rank,)) for rank in range(count)]
    for process in processes:
        process.start()
    deadline = time.monotonic() + PATIENCE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    late = [process for process in processes if process.is_alive()]
    for process in late:
        process.kill()
        process.join()
    assert not late, f"{len(late)} of {count} processes did not end"
    assert [process.exitcode for process in processes] == [0] * count
