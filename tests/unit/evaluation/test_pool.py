"""The scoring processes: they answer, they fail one track at a time, and they end."""

import os
import signal
import time

import pytest
import torch

from demucs.errors import DemucsError
from demucs.evaluation.scoring_pool import ScoringPool
from demucs.evaluation.track_scores import Track

RATE = 2000


def stems(seed, length=2 * RATE):
    return torch.randn(2, 1, length, generator=torch.Generator().manual_seed(seed))


def job(references, estimates, rate=RATE):
    return Track(
        mixture=references.sum(0).numpy(),
        references=references.numpy(),
        estimates=estimates.numpy(),
        samplerate=rate,
        sources=["a", "b"],
    )


def scoring(workers):
    return ScoringPool(workers, metrics=["nsdr", "sdr"])


def rounded(values):
    """To 1e-9 dB: another number of threads sums in another order."""
    return {
        metric: {stem: round(value, 9) for stem, value in row.items()}
        for metric, row in values.items()
    }


def test_processes_answer_as_this_one_does():
    with scoring(0) as here, scoring(1) as there:
        jobs = [job(stems(k), stems(k) + stems(k + 9)) for k in range(3)]
        expected = [here.submit(one).result() for one in jobs]
        found = [there.submit(one) for one in jobs][2].result()
        assert rounded(found.values) == rounded(expected[2].values)
        assert found.notes == expected[2].notes
        assert found.audio == expected[2].audio
        assert [len(row) for row in found.windows["sdr"].values()] == [2, 2]
        assert expected[0] != expected[1]
        processes = list(there._processes)
    assert len(processes) == 1
    assert not processes[0].alive()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failure_is_one_tracks_own(workers):
    with scoring(workers) as pool:
        bad = pool.submit(job(stems(0), stems(0), rate=0))  # no windows of 0 samples
        good = pool.submit(job(stems(0), 0.5 * stems(0) + stems(1)))
        with pytest.raises(DemucsError, match="Error: "):
            bad.result()
        assert good.result().values["sdr"]["a"] is not None


def test_a_killed_process_is_reported_and_replaced():
    with scoring(1) as pool:
        pool.submit(job(stems(0), stems(1))).result()
        process = pool._processes[0]
        long = pool.submit(job(stems(0, 4000 * RATE), stems(1, 4000 * RATE)))
        time.sleep(0.2)
        os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(DemucsError, match=r"ended with code -9 \(out of memory"):
            long.result()
        again = pool.submit(job(stems(0), stems(1))).result()
        assert again.values["sdr"]["a"] is not None
        assert len(pool._processes) == 2


def test_signals_while_it_scores_are_left_to_the_parent():
    with scoring(1) as pool:
        pool.submit(job(stems(0), stems(1))).result()
        for number in (signal.SIGUSR1, signal.SIGINT):
            os.kill(pool._processes[0]._process.pid, number)
        assert pool.submit(job(stems(0), stems(1))).result().notes == []
        assert len(pool._processes) == 1


def leave_by_an_exception(pool):
    with pool:
        pool.submit(job(stems(0), stems(1))).result()
        pool.submit(job(stems(0, 4000 * RATE), stems(1, 4000 * RATE)))
        pool.submit(job(stems(0), stems(1)))  # waits behind the long one
        raise KeyboardInterrupt


def test_leaving_by_an_exception_does_not_wait():
    pool = scoring(1)
    with pytest.raises(KeyboardInterrupt):
        leave_by_an_exception(pool)
    assert [process._process.poll() for process in pool._processes] == [-signal.SIGKILL]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_signals_of_a_scheduler_are_left_to_the_parent(name):
    """They come at any moment, also before the process has loaded what could ignore them."""
    with scoring(1) as pool:
        future = pool.submit(job(stems(0), stems(1)))
        while not pool._processes:
            time.sleep(0.01)
        process = pool._processes[0]._process
        while not future.done():
            os.kill(process.pid, getattr(signal, name))
            time.sleep(0.05)
        assert future.result().values["sdr"]["a"] is not None
        assert process.poll() is None
