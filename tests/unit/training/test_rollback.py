"""A run that diverges goes back to its last good checkpoint, and says so."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_support import tiny_config, write_songs
from training_world import in_processes

from demucs.errors import ConfigError
from demucs.release.checkpoint import NAME
from demucs.training import (
    Interrupted,
    ProcessGroup,
    Solver,
    find_songs,
    load_checkpoint,
    read_config,
)
from demucs.training.monitor.monitor import FACTOR, PenaltyGuard
from demucs.training.solver import MAX_ROLLBACKS
from demucs.training.step import MAX_SKIPPED

BATCHES = MAX_SKIPPED + 2


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"), train=4, valid=1)


def solver(songs: Path, folder: Path, *overrides: str, **kwargs: Any) -> Solver:
    run = read_config(
        tiny_config(songs, f"max_batches={BATCHES}", "misc.board=0", "epochs=3", *overrides)
    )
    return Solver(run, find_songs(run), folder=folder, signature="abc", **kwargs)


class Spoiled(nn.Module):
    """A model whose output is NaN in the given calls, counted from 0; from the last one on if
    `for_good`."""

    def __init__(self, model: nn.Module, calls: range, *, for_good: bool = False) -> None:
        super().__init__()
        self.model, self.spoiled, self.for_good, self.calls = model, calls, for_good, 0

    def forward(self, mix: Tensor) -> Tensor:
        spoiled = self.calls in self.spoiled or (self.for_good and self.calls >= self.spoiled.stop)
        self.calls += 1
        found: Tensor = self.model(mix)
        return found * math.nan if spoiled else found


def spoil(run: Solver, calls: range, *, for_good: bool = False) -> None:
    run.context.step.model = Spoiled(run.context.step.model, calls, for_good=for_good)


def test_a_few_bad_steps_are_left_out_and_counted(songs: Path, tmp_path: Path) -> None:
    run = solver(songs, tmp_path, "epochs=1")
    spoil(run, range(1, MAX_SKIPPED))
    run.train()
    (epoch,) = run.state.history
    assert epoch["train"]["skipped"] == pytest.approx((MAX_SKIPPED - 1) / BATCHES)
    assert math.isfinite(epoch["train"]["loss"])
    assert "rollbacks" not in epoch
    assert all(torch.isfinite(one).all() for one in run.model.state_dict().values())


def test_more_of_them_lead_back_to_the_last_checkpoint(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = solver(songs, tmp_path)
    run.run_epoch()
    good = {name: one.clone() for name, one in run.model.state_dict().items()}
    with torch.no_grad():
        next(run.model.parameters()).fill_(math.nan)
    spoil(run, range(0))
    seen: list[bool] = []
    run.context.step.model.register_forward_pre_hook(
        lambda *_: seen.append(
            all(torch.equal(good[name], one) for name, one in run.model.state_dict().items())
        )
    )
    run.train()
    assert run.state.epoch == 3
    assert seen.index(True) == MAX_SKIPPED  # the first step after them starts from the checkpoint
    assert [epoch.get("rollbacks") for epoch in run.state.history] == [None, 1, None]
    (line,) = [text for text in caplog.messages if "Going back" in text]
    assert line.startswith("training diverged: 5 steps in a row had a gradient that is not finite.")
    assert "after 1 epochs and 0 batches" in line
    assert load_checkpoint(tmp_path / NAME)["rollbacks"] == [2]


@pytest.mark.long
def test_a_run_that_went_back_is_resumed_as_it_was(songs: Path, tmp_path: Path) -> None:
    def diverged(folder: Path) -> Solver:
        run = solver(songs, folder)
        run.run_epoch()
        with torch.no_grad():
            next(run.model.parameters()).fill_(math.nan)
        return run

    diverged(tmp_path / "whole").train()
    stopped = diverged(tmp_path / "parts")
    stopped.stop._asked = lambda: stopped.state.attempt == 1 and stopped.state.batch == 2
    with pytest.raises(Interrupted):
        stopped.train()
    solver(songs, tmp_path / "parts").train()
    one, other = (load_checkpoint(tmp_path / name / NAME) for name in ("whole", "parts"))
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())


def test_going_back_has_an_end(songs: Path, tmp_path: Path) -> None:
    run = solver(songs, tmp_path)
    run.run_epoch()
    spoil(run, range(0), for_good=True)
    with pytest.raises(ConfigError, match="diverged"):
        run.train()
    assert run.state.rollbacks == [2] * MAX_ROLLBACKS
    content = load_checkpoint(tmp_path / NAME)
    assert content["epoch"] == 1
    assert all(torch.isfinite(one).all() for one in content["model"].values())


def exploding(run: Solver, epochs: set[int]) -> None:
    """Weights a million times too large at the end of the training of these epochs, once each."""
    usual = run.context.step

    class Step:
        model = usual.model

        def __call__(self, stems: Tensor, epoch: int, batch: int, **kwargs: Any) -> Any:
            found = usual(stems, epoch, batch, **kwargs)
            if epoch in epochs and batch == BATCHES - 1:
                epochs.discard(epoch)
                with torch.no_grad():
                    for parameter in run.model.parameters():
                        parameter.mul_(1e6)
            return found

    object.__setattr__(run.context, "step", Step())


@pytest.mark.long
def test_weights_that_explode_but_stay_finite_are_not_saved(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = solver(songs, tmp_path)
    exploding(run, {1})
    run.train()
    assert [epoch.get("rollbacks") for epoch in run.state.history] == [None, 1, None]
    (line,) = [text for text in caplog.messages if "Going back" in text]
    assert "the validation loss is" in line
    assert "and the best so far 0." in line


def test_in_the_first_epoch_an_explosion_is_an_error(songs: Path, tmp_path: Path) -> None:
    run = solver(songs, tmp_path)
    exploding(run, {0})
    with pytest.raises(ConfigError, match=r"the validation loss is .*Lower optim.lr"):
        run.train()
    assert not (tmp_path / NAME).exists()


def test_a_checkpoint_that_was_saved_after_the_explosion_is_not_gone_back_to_twice(
    songs: Path, tmp_path: Path
) -> None:
    """The run is stopped between the explosion and the validation that would have told."""
    run = solver(songs, tmp_path)
    exploding(run, {1})
    run.stop._asked = lambda: run.state.epoch == 1 and run.state.batch == BATCHES
    with pytest.raises(Interrupted):
        run.train()
    again = solver(songs, tmp_path)
    again.train()
    assert again.state.rollbacks == [2, 2]
    assert again.state.epoch == 3


def test_with_nothing_saved_there_is_nowhere_to_go(songs: Path, tmp_path: Path) -> None:
    run = solver(songs, tmp_path)
    spoil(run, range(0), for_good=True)
    with pytest.raises(ConfigError, match=r"diverged: 5 steps in a row.*Lower optim.lr"):
        run.train()
    assert not (tmp_path / NAME).exists()


def test_all_processes_go_back_together(songs: Path, tmp_path: Path) -> None:
    def work(group: ProcessGroup) -> None:
        run = solver(songs, tmp_path, group=group)
        run.run_epoch()
        if group.rank == 1:  # its gradient spoils that of all
            spoil(run, range(MAX_SKIPPED))
        run.train()
        assert run.state.rollbacks == [2]
        first, second = group.gathered(
            {name: one.clone() for name, one in run.model.state_dict().items()}
        )
        assert all(torch.equal(value, second[name]) for name, value in first.items())

    in_processes(2, work)


@pytest.mark.parametrize("proba", [1.0, 0.25])
def test_the_alarm_rings_once_an_epoch(proba: float) -> None:
    alarm = PenaltyGuard(1e-5, proba)
    alarm.begin([])
    usual, exploded = 40.0 / proba, 1.01 * FACTOR * 40.0 / proba
    assert alarm.look({"penalty": usual}) is None
    assert alarm.look({"penalty": 0.0}) is None  # a step that leaves it out
    said = alarm.look({"penalty": exploded, "loss": 0.25})
    assert said is not None
    assert said.startswith("the penalty on singular values explodes: 404, and it was 40;")
    assert "Lower optim.lr" in said
    assert alarm.look({"penalty": exploded}) is None
    alarm.begin([{"train": {"penalty": 40.0}}, {"train": {}}])
    assert alarm.look({"penalty": math.inf}) is not None


def test_the_alarm_is_in_the_log(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = solver(songs, tmp_path, "epochs=1", "svd.penalty=1e-9", "svd.min_size=0.001")
    with caplog.at_level(logging.WARNING):
        step = run.context.step
        usual = step._penalties

        def larger(epoch: int, batch: int) -> Any:
            found = usual(epoch, batch)
            return {name: (w, v * (100 if batch else 1)) for name, (w, v) in found.items()}

        step._penalties = larger  # type: ignore[method-assign]
        run.train()
    assert len([text for text in caplog.messages if "explodes" in text]) == 1
