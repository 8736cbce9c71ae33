"""A run that is stopped anywhere resumes as if nothing had happened: in training, validation, test.

Compared is the last checkpoint with all of its tensors, bit for bit, the history without times, and
the results of the test.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from training_support import same, tiny_config, write_songs
from training_world import in_processes

from demucs.release.checkpoint import NAME, save_checkpoint
from demucs.training import (
    Interrupted,
    ProcessGroup,
    Solver,
    find_songs,
    load_checkpoint,
    read_config,
)
from demucs.training.distributed.averages import Averages
from demucs.training.stages.stop import Stop
from demucs.training.stages.validation import measure, validate

RUN = (
    "epochs=2", "max_batches=2", "test.every=1", "test.sdr=false", "test.workers=0",
    "ema.batch=[0.5]", "ema.epoch=[0.5]", "svd.penalty=1e-5", "svd.min_size=0.001",
)  # fmt: skip
STEPS, EXCERPTS, SONGS = 2, 2 * 3, 2  # of an epoch: batches, validations of three states, tests


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"), train=2, valid=2, test=2)


@pytest.fixture(scope="module")
def whole(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The end of the undisturbed run."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    solver(songs, folder).train()
    return end_of(folder)


class Calls:
    """A `should_stop` that is asked and counts; true from the `number`-th call on."""

    def __init__(self, number: int) -> None:
        self.number, self.calls = number, 0

    def __call__(self) -> bool:
        self.calls += 1
        return self.calls >= self.number


def solver(songs: Path, folder: Path, *overrides: str, **kwargs: Any) -> Solver:
    run = read_config(tiny_config(songs, *RUN, *overrides))
    return Solver(run, find_songs(run), folder=folder, signature="abc", **kwargs)


def end_of(folder: Path, epochs: int = 2) -> dict[str, Any]:
    content = load_checkpoint(folder / NAME)
    for epoch in content["history"]:
        assert epoch.pop("seconds").keys() == {"train", "valid", "test"}
    results = [
        json.loads((folder / f"test/epoch_{k}.json").read_text()) for k in range(1, epochs + 1)
    ]
    for one in results:
        one.pop("date")
    return {**content, "results": results}


def stopped_over_and_over(make: Any, limit: int) -> int:
    """Runs to the end, asked to stop all the time; how often it was stopped."""
    for stops in range(limit):
        run = make()
        try:
            run.train()
            return stops
        except Interrupted as stop:
            said = str(stop)
        assert "saved; the same command continues" in said
    raise AssertionError(f"not at its end after {limit} stops")


def test_stopped_after_each_step_excerpt_and_song(
    songs: Path, tmp_path: Path, whole: dict[str, Any]
) -> None:
    stops = stopped_over_and_over(
        lambda: solver(songs, tmp_path, should_stop=lambda: True), limit=40
    )
    # The last song of a test ends the epoch without a stop; so does that of the run.
    per_epoch = STEPS + EXCERPTS + SONGS
    assert per_epoch < stops <= 2 * per_epoch
    assert same(end_of(tmp_path), whole)


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (4, "epoch 1 in its validation"),
        (9, "epoch 1 in its test"),
        (12, "epoch 2 after 1 batches"),
    ],
)
def test_stopped_once(
    songs: Path, tmp_path: Path, whole: dict[str, Any], call: int, where: str
) -> None:
    with pytest.raises(Interrupted, match=f"stopped in {where}"):
        solver(songs, tmp_path, should_stop=Calls(call)).train()
    solver(songs, tmp_path).train()
    assert same(end_of(tmp_path), whole)


@pytest.mark.long
def test_two_processes_stopped_over_and_over(songs: Path, tmp_path: Path) -> None:
    """Only the second is asked to stop, and the first agrees; an epoch has all of the stages."""

    def work(group: ProcessGroup) -> None:
        solver(songs, tmp_path / "whole", "epochs=1", group=group).train()
        stops = stopped_over_and_over(
            lambda: solver(
                songs, tmp_path / "parts", "epochs=1", group=group,
                should_stop=lambda: group.rank == 1,
            ),
            limit=20,
        )  # fmt: skip
        assert stops >= 4

    in_processes(2, work)
    assert same(end_of(tmp_path / "parts", epochs=1), end_of(tmp_path / "whole", epochs=1))


def test_an_error_in_the_test_costs_the_test_alone(
    songs: Path, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("demucs.training.stages.test.test_songs", fail)
        with pytest.raises(MemoryError):
            solver(songs, tmp_path).train()
    resumed = solver(songs, tmp_path)
    assert {"train", "valid"} <= resumed.state.pending.keys()
    assert resumed.state.epoch == 0
    resumed.train()
    assert same(end_of(tmp_path), whole)


def test_where_it_goes_on_is_told(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for call, words in ((1, "0 epochs and 1 batches"), (4, "training"), (9, "and validation")):
        folder = tmp_path / str(call)
        with pytest.raises(Interrupted):
            solver(songs, folder, should_stop=Calls(call)).train()
        solver(songs, folder)
        (line,) = [text for text in caplog.messages if text.startswith("resuming after")]
        assert words in line
        caplog.clear()


def test_checkpoints_of_old_have_nothing_pending(
    songs: Path, tmp_path: Path, whole: dict[str, Any]
) -> None:
    """They have the sums of one process, as a dictionary, and no stages."""
    with pytest.raises(Interrupted):
        solver(songs, tmp_path, should_stop=Calls(1)).train()
    content = load_checkpoint(tmp_path / NAME)
    (content["sums"],) = content["sums"]
    seconds = content.pop("pending")
    assert seconds.keys() == {"seconds"}
    save_checkpoint(tmp_path / NAME, content)
    solver(songs, tmp_path).train()
    assert same(end_of(tmp_path), whole)


def test_validation_is_the_same_for_any_number_of_processes(songs: Path, tmp_path: Path) -> None:
    """Two excerpts and three processes: the third has none."""
    alone = solver(songs, tmp_path)
    options, valid = alone.options, alone.songs.valid
    expected = validate(alone.model, valid, options, ProcessGroup())

    def work(group: ProcessGroup) -> None:
        assert validate(alone.model, valid, options, group) == expected

    in_processes(3, work)


def test_measures_that_are_done_are_kept(songs: Path, tmp_path: Path) -> None:
    alone = solver(songs, tmp_path)
    stop = Stop(lambda: True)
    first = measure(alone.model, alone.songs.valid, alone.options, ProcessGroup(), stop)
    assert first.keys() == {0}
    marked = {0: {**first[0], "loss": -1.0}}
    both = measure(
        alone.model, alone.songs.valid, alone.options, ProcessGroup(), Stop(), done=marked
    )
    assert both.keys() == {0, 1}
    assert both[0]["loss"] == -1


def test_a_run_works_before_it_stops() -> None:
    stop = Stop(lambda: True)
    assert not stop.wanted()
    stop.worked()
    assert stop.wanted()
    never = Stop()
    never.worked()
    assert not never.wanted()


def test_a_wish_is_remembered() -> None:
    answers = iter([False, True])
    stop = Stop(lambda: next(answers))
    stop.worked()
    assert [stop.wanted() for _ in range(4)] == [False, True, True, True]


def test_sums_go_to_the_processes_they_are_from_or_to_the_first() -> None:
    saved = [{"a": 1.0, "#a": 1.0}, {"a": 2.0, "#a": 1.0}]

    def resumed(world_size: int) -> list[dict[str, float]]:
        return [
            Averages.resumed(saved, ProcessGroup(rank=rank, world_size=world_size)).sums
            for rank in range(world_size)
        ]

    assert resumed(2) == saved
    assert resumed(3) == [{"a": 3.0, "#a": 2.0}, {}, {}]
    assert resumed(1) == [{"a": 3.0, "#a": 2.0}]
