"""What is shown while training, and what one process does where several would talk."""

import logging
from typing import TypeAlias

import pytest

from demucs.console import tracked
from demucs.errors import ConfigError
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.monitor.epoch_line import describe

Log: TypeAlias = pytest.LogCaptureFixture


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Log:
    """The log, as it is where standard error is no terminal."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    return caplog


def test_a_log_has_as_many_lines_as_asked_for(log: Log) -> None:
    infos = {"loss": 0.5}
    shown = tracked(range(100), total=100, name="train", prints=4, quiet=False, infos=lambda: infos)
    assert list(shown) == list(range(100))
    assert [message.split(" | ")[1] for message in log.messages] == [
        "25/100", "50/100", "75/100", "100/100"
    ]  # fmt: skip
    assert all("left" in message and "loss 0.5" in message for message in log.messages)


def test_a_resumed_stage_counts_what_was_done(log: Log) -> None:
    list(tracked(range(3), total=10, name="train", prints=2, quiet=False, start=7))
    assert [message.split(" | ")[1] for message in log.messages] == ["10/10"]


@pytest.mark.parametrize(("prints", "quiet"), [(0, False), (4, True)])
def test_nothing_is_shown_when_nothing_is_asked_for(
    caplog: pytest.LogCaptureFixture, prints: int, quiet: bool
) -> None:
    caplog.set_level(logging.INFO)
    assert len(list(tracked(range(5), total=5, name="x", prints=prints, quiet=quiet))) == 5
    assert not caplog.messages


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    list(tracked(range(5), total=5, name="train 1/2", prints=4, quiet=False))
    shown = capsys.readouterr().err
    assert "train 1/2: 100%" in shown
    assert "5/5" in shown


def test_an_epoch_is_told_on_one_line() -> None:
    metrics = {
        "train": {"loss": 0.25, "skipped": 0.5},
        "valid": {"loss": 0.2, "nsdr": 3.14159, "bname": "ema_batch_0"},
        "test": {"nsdr": 2.0},
        "seconds": {"train": 61.2, "valid": 3},
    }
    assert describe(metrics) == (
        "train loss 0.25000 | 50% of steps skipped | valid loss 0.20000, nSDR 3.14 dB "
        "(ema_batch_0) | test nSDR 2.00 dB | 61 + 3 s"
    )


def test_alone_there_is_nobody_to_wait_for() -> None:
    alone = ProcessGroup()
    alone.barrier()
    assert alone.is_first
    assert alone.share([1, 2, 3]) == [1, 2, 3]
    assert alone.sums({"a": 1.0}) == {"a": 1.0}
    assert alone.any(True)
    assert not alone.any(False)
    with alone.connected():
        assert alone.first_then_all(lambda: 7) == 7

    def fail() -> None:
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        alone.first_then_all(fail)


def test_shares_are_a_partition() -> None:
    items = list(range(10))
    shares = [ProcessGroup(rank=rank, world_size=4).share(items) for rank in range(4)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
