"""Rendezvous of the processes of a run, and clear errors when one of them is lost.

Every wait has an end and a message: what PyTorch itself does is to hang, or to fill the log.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import torch.distributed as dist

from demucs.errors import DemucsError

Store: TypeAlias = Any  # of torch.distributed, whose stubs leave it out

POLL = 0.05  # seconds
_ARRIVED = "arrived"
_LOST = ("gloo", "closed by peer", "reset by peer", "nccl")
_LATE = ("timed out", "timeout")


class LostPeerError(DemucsError):
    """Another process of the run ended, or does not answer."""


def rendezvous(rank: int, world_size: int, host: str, port: int, minutes: float) -> Store:
    """Waits until all processes are at `host:port`; the first of them listens there.

    Raises:
        LostPeerError: not all came in time, or the port is taken.
    """
    deadline = time.monotonic() + 60 * minutes
    who = f"process {rank} of {world_size}"
    try:
        store = _store(rank, world_size, host, port, deadline)
        arrived = store.add(_ARRIVED, 1)
        while arrived < world_size and time.monotonic() < deadline:
            time.sleep(POLL)
            arrived = store.add(_ARRIVED, 0)
    except (dist.DistError, OSError) as error:
        reason = str(error).splitlines()[0]
        if "in use" in reason:
            raise LostPeerError(
                f"port {port} of {host} is taken by another program, and the processes were to "
                f"meet there: start again with MASTER_PORT={port + 1} in the environment"
            ) from error
        raise LostPeerError(
            f"{who} could not reach the first one at {host}:{port} within {minutes:g} min "
            f"({reason}): its lines in the log say whether it started; nodes must be able to "
            "connect to each other"
        ) from error
    if arrived < world_size:
        raise LostPeerError(
            f"{who} waited {minutes:g} min at {host}:{port}, and {arrived} of {world_size} came: "
            "the log says what became of the others; start again, or raise misc.timeout if they "
            "only start slowly"
        )
    return store


def _store(rank: int, world_size: int, host: str, port: int, deadline: float) -> Store:
    listens = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if not listens:
        _wait_for_port(host, port, deadline)
    left = timedelta(seconds=max(1.0, deadline - time.monotonic()))
    store = dist.TCPStore(  # type: ignore[attr-defined]
        host, port, world_size, listens, left, wait_for_workers=False
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
    return dist.PrefixStore(f"demucs{attempt}", store)  # type: ignore[attr-defined]


def _wait_for_port(host: str, port: int, deadline: float) -> None:
    """Returns once something listens there."""
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL)


@contextmanager
def lost_peers_reported(rank: int, world_size: int, minutes: float) -> Iterator[None]:
    """Turns what PyTorch raises when a process is gone into one clear error.

    Raises:
        LostPeerError: another process ended, or was waited for in vain.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        if not isinstance(error, dist.DistError) and not any(word in text for word in _LOST):
            raise
        who = f"process {rank} of {world_size}"
        if any(word in text for word in _LATE):
            raise LostPeerError(
                f"{who} waited {minutes:g} min for the others: the log says what holds them up; "
                "start again to resume, and raise misc.timeout if they are only slow"
            ) from error
        raise LostPeerError(
            f"{who}: another process ended, and its lines in the log have the reason; start again "
            "to resume from the last saved state"
        ) from error
