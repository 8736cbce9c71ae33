"""The scoring processes: they answer, they fail one track at a time, and they end."""

import os
import signal
import time

import pytest
import torch

from demucs.errors import DemucsError
from demucs.evaluation.pool import ScoringPool

RATE = 2000


def stems(seed, length=2 * RATE):
    return torch.randn(2, 1, length, generator=torch.Generator().manual_seed(seed))


def rounded(values):
    """To 1e-9 dB: another number of threads sums in another order."""
    return {
        metric: {stem: round(value, 9) for stem, value in row.items()}
        for metric, row in values.items()
    }


def test_processes_answer_as_this_one_does():
    with ScoringPool(0) as here, ScoringPool(1) as there:
        jobs = [(stems(k), stems(k) + stems(k + 9), RATE, ["a", "b"]) for k in range(3)]
        expected = [here.submit(*job).result() for job in jobs]
        found = [there.submit(*job) for job in jobs][2].result()
        assert rounded(found.values) == rounded(expected[2].values)
        assert found.notes == expected[2].notes
        assert expected[0] != expected[1]
        processes = list(there._processes)
    assert len(processes) == 1
    assert not processes[0].alive()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failure_is_one_tracks_own(workers):
    with ScoringPool(workers) as pool:
        bad = pool.submit(stems(0), stems(0), 0, ["a", "b"])  # no windows of 0 samples
        good = pool.submit(stems(0), 0.5 * stems(0) + stems(1), RATE, ["a", "b"])
        with pytest.raises(DemucsError, match="Error: "):
            bad.result()
        assert good.result().values["sdr"]["a"] is not None


def test_a_killed_process_is_reported_and_replaced():
    with ScoringPool(1) as pool:
        pool.submit(stems(0), stems(1), RATE, ["a", "b"]).result()
        process = pool._processes[0]
        long = pool.submit(stems(0, 4000 * RATE), stems(1, 4000 * RATE), RATE, ["a", "b"])
        time.sleep(0.2)
        os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(DemucsError, match=r"ended with code -9 \(out of memory"):
            long.result()
        again = pool.submit(stems(0), stems(1), RATE, ["a", "b"]).result()
        assert again.values["sdr"]["a"] is not None
        assert len(pool._processes) == 2


def test_signals_while_it_scores_are_left_to_the_parent():
    with ScoringPool(1) as pool:
        pool.submit(stems(0), stems(1), RATE, ["a", "b"]).result()
        for number in (signal.SIGUSR1, signal.SIGINT):
            os.kill(pool._processes[0]._process.pid, number)
        assert pool.submit(stems(0), stems(1), RATE, ["a", "b"]).result().notes == []
        assert len(pool._processes) == 1


def leave_by_an_exception(pool, started):
    with pool:
        pool.submit(stems(0), stems(1), RATE, ["a", "b"]).result()
        pool.submit(stems(0, 4000 * RATE), stems(1, 4000 * RATE), RATE, ["a", "b"])
        pool.submit(stems(0), stems(1), RATE, ["a", "b"])  # waits behind the long one
        started.append(time.monotonic())
        raise KeyboardInterrupt


def test_leaving_by_an_exception_does_not_wait():
    pool, started = ScoringPool(1), []
    with pytest.raises(KeyboardInterrupt):
        leave_by_an_exception(pool, started)
    assert time.monotonic() - started[0] < 3
    assert not any(process.alive() for process in pool._processes)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_signals_of_a_scheduler_are_left_to_the_parent(name):
    """They come at any moment, also before the process has loaded what could ignore them."""
    with ScoringPool(1) as pool:
        future = pool.submit(stems(0), stems(1), RATE, ["a", "b"])
        while not pool._processes:
            time.sleep(0.01)
        process = pool._processes[0]._process
        while not future.done():
            os.kill(process.pid, getattr(signal, name))
            time.sleep(0.05)
        assert future.result().values["sdr"]["a"] is not None
        assert process.poll() is None
