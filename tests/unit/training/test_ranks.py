"""Processes that meet, add up in the same order, and do not wait for ever."""

import os
import re
import socket
import time

import pytest
import torch
from training_world import free_port, in_processes

from demucs.errors import ConfigError, DemucsError
from demucs.training import ProcessGroup
from demucs.training.distributed.rendezvous import LostPeerError, lost_peers_reported, rendezvous

SHORT = 0.02  # minutes


class Backwards(torch.nn.Module):
    """Uses its layers in another order than it has them, as buckets then do after a step."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = torch.nn.Linear(90, 30), torch.nn.Linear(40, 90)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.first(values).tanh())
        return found


def test_they_tell_each_other() -> None:
    def work(group: ProcessGroup) -> None:
        assert group.gathered(group.rank) == [0, 1, 2]
        assert group.sums({"a": 1.0, f"only {group.rank}": 2.0}) == {
            "a": 3.0, "only 0": 2.0, "only 1": 2.0, "only 2": 2.0
        }  # fmt: skip
        assert group.any(group.rank == 1)
        assert not group.any(False)
        group.barrier()
        assert group.first_then_all(lambda: group.rank) == group.rank

        def fail() -> None:
            raise ConfigError("my reason")

        with pytest.raises(DemucsError, match="my reason" if group.is_first else "the first"):
            group.first_then_all(fail)

    in_processes(3, work)


def test_gradients_do_not_depend_on_when_a_run_was_stopped() -> None:
    """PyTorch arranges its buckets anew after the first step; a ring then rounds differently."""

    def steps(model: torch.nn.Module, group: ProcessGroup, numbers: range) -> None:
        wrapped = group.wrap(model)
        for number in numbers:
            torch.manual_seed(10 * number + group.rank)
            model.zero_grad()
            wrapped(torch.randn(4, 40)).square().sum().backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 1e-3 * parameter.grad  # type: ignore[operator]

    def trained(group: ProcessGroup, *parts: range) -> torch.Tensor:
        torch.manual_seed(0)
        model = Backwards()
        for part in parts:
            steps(model, group, part)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    def work(group: ProcessGroup) -> None:
        whole = trained(group, range(4))
        assert torch.equal(trained(group, range(1), range(1, 3), range(3, 4)), whole)
        assert all(torch.equal(whole, other) for other in group.gathered(whole))

    in_processes(3, work)


def test_the_mean_gradient_is_that_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    model, batch = torch.nn.Linear(6, 2), torch.randn(6, 6)
    model(batch).square().mean().backward()
    assert model.weight.grad is not None
    expected = model.weight.grad.clone()

    def work(group: ProcessGroup) -> None:
        model.zero_grad()
        own = batch[2 * group.rank : 2 * group.rank + 2]
        wrapped = group.wrap(model)
        wrapped(own).square().mean().backward()
        assert model.weight.grad is not None
        torch.testing.assert_close(model.weight.grad, expected)

    in_processes(3, work)


def test_who_waits_for_nobody_is_told() -> None:
    began = time.monotonic()
    with pytest.raises(LostPeerError, match=r"process 0 of 3 waited 0\.02 min.* 1 of 3 came"):
        rendezvous(0, 3, "127.0.0.1", free_port(), SHORT)
    with pytest.raises(LostPeerError, match=r"process 1 of 3 could not reach.*127\.0\.0\.1:"):
        rendezvous(1, 3, "127.0.0.1", free_port(), SHORT)
    assert time.monotonic() - began < 120  # two waits of 1.2 s, not of PyTorch's 30 minutes


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LostPeerError, match=rf"port {port}.*MASTER_PORT={port + 1}"):
            rendezvous(0, 2, "127.0.0.1", port, SHORT)


def test_others_that_end_or_sleep_are_told() -> None:
    def ends(group: ProcessGroup) -> None:
        group.barrier()
        if group.rank == 1:
            os._exit(0)
        group.barrier()

    def sleeps(group: ProcessGroup) -> None:
        group.barrier()
        if group.rank == 1:
            time.sleep(4)
            os._exit(0)
        group.barrier()

    def told(group: ProcessGroup) -> None:
        for number, (what, words) in enumerate(
            [(ends, "process 0 of 2: another process ended"), (sleeps, "waited 0.02 min")]
        ):
            if group.rank == 1 and os.fork() == 0:
                with group.connected("127.0.0.1", ports[number], SHORT):
                    what(group)
                os._exit(1)
            if group.rank == 0:
                with (
                    pytest.raises(LostPeerError, match=re.escape(words)),
                    group.connected("127.0.0.1", ports[number], SHORT),
                ):
                    what(group)

    ports = [free_port(), free_port()]
    in_processes(2, told, connected=False)


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match="shape"), lost_peers_reported(0, 2, 1):
        raise RuntimeError("wrong shape")
