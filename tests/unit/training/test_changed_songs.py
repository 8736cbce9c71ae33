"""A run is resumed with songs that were added, removed or changed since it was stopped."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from distilled_support import write_distilled
from training_support import same, tiny_config, write_songs
from training_world import in_processes

from demucs.errors import DatasetError
from demucs.release.checkpoint import NAME, save_checkpoint
from demucs.release.provenance import provenance_of
from demucs.training import (
    Interrupted,
    ProcessGroup,
    Solver,
    find_songs,
    load_checkpoint,
    read_config,
)
from demucs.training.stages.validation import validate

RUN = ("epochs=2", "max_batches=4", "test.sdr=false", "test.workers=0")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    return write_songs(tmp_path / "songs", train=3, valid=2, test=2)


def solver(songs: Path, folder: Path, *overrides: str, **kwargs: Any) -> Solver:
    run = read_config(tiny_config(songs, *RUN, *overrides))
    return Solver(run, find_songs(run), folder=folder, signature="abc", **kwargs)


class Calls:
    """A `should_stop` that is true from the `number`-th call on."""

    def __init__(self, number: int) -> None:
        self.number, self.calls = number, 0

    def __call__(self) -> bool:
        self.calls += 1
        return self.calls >= self.number


def stop_at(call: int, songs: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    """A run that is stopped at a call of `should_stop`; its checkpoint."""
    with pytest.raises(Interrupted):
        solver(songs, folder, *overrides, should_stop=Calls(call)).train()
    return load_checkpoint(folder / NAME)


def message_of(caplog: pytest.LogCaptureFixture) -> str:
    (message,) = [text for text in caplog.messages if "since the checkpoint" in text]
    return message


def remove(songs: Path, *names: str) -> None:
    for name in names:
        shutil.rmtree(next(songs.glob(f"*/{name}")))


def rewrite(songs: Path, name: str, gain: float) -> None:
    """Other audio of the same length."""
    for path in songs.glob(f"*/{name}/*.wav"):
        wav, rate = soundfile.read(path, dtype="float32")
        soundfile.write(path, gain * wav, rate, subtype="FLOAT")


def test_fewer_batches_than_were_done_end_the_epoch_there(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = stop_at(4, songs, tmp_path / "run", "max_batches=5")
    assert before["batch"] == 4
    remove(songs, "train1", "train2")
    resumed = solver(songs, tmp_path / "run", "max_batches=5")
    assert resumed.context.batches < 4
    assert message_of(caplog) == (
        "since the checkpoint the songs changed: train 3 → 1 (removed train1, train2). epoch 1 was "
        f"stopped after 4 batches; the {resumed.context.batches} it has now are others, so it ends "
        "there, with the training metrics of those 4, and epoch 2 is the first with the songs as "
        "they are now"
    )
    weights = {name: one.clone() for name, one in resumed.model.state_dict().items()}
    resumed.run_epoch()
    assert same(weights, resumed.model.state_dict())  # nothing was learnt in what was left of it
    resumed.train()
    first, last = resumed.state.history
    (sums,) = before["sums"]
    assert first["train"]["loss"] == pytest.approx(sums["loss"] / 4, rel=1e-6)
    assert first["cut"] == 4
    assert {"nsdr", "loss"} <= first["valid"].keys()
    assert "cut" not in last
    assert resumed.state.steps(resumed.context.batches) == 2 * resumed.context.batches


@pytest.mark.parametrize("kind", ["added", "changed"])
def test_as_many_batches_of_other_songs_end_the_epoch_too(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    stop_at(2, songs, tmp_path / "run", "ema.epoch=[0.5]")
    if kind == "added":
        shutil.copytree(songs / "train" / "train0", songs / "train" / "another")
    else:
        rewrite(songs, "train1", 0.5)
    resumed = solver(songs, tmp_path / "run", "ema.epoch=[0.5]")
    name = {"added": "4 (added another)", "changed": "3 (changed train1)"}[kind]
    assert f"train 3 → {name}. epoch 1 was stopped after 2 batches" in message_of(caplog)
    resumed.train()
    assert [epoch.get("cut") for epoch in resumed.state.history] == [2, None]
    assert "ema_epoch_0" in resumed.state.history[0]["valid"]


def test_between_two_epochs_there_is_a_message_and_nothing_to_cut(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    solver(songs, tmp_path / "run").run_epoch()
    remove(songs, "train2")
    resumed = solver(songs, tmp_path / "run")
    assert message_of(caplog) == (
        "since the checkpoint the songs changed: train 3 → 2 (removed train2)"
    )
    resumed.train()
    assert all("cut" not in epoch for epoch in resumed.state.history)
    caplog.clear()
    solver(songs, tmp_path / "run")
    assert not caplog.messages


def test_unchanged_songs_are_no_change_though_they_are_measured_again(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    solver(songs, tmp_path / "whole").train()
    stop_at(2, songs, tmp_path / "parts")
    shutil.rmtree(songs / "metadata")
    solver(songs, tmp_path / "parts").train()
    assert not caplog.messages
    whole, parts = (load_checkpoint(tmp_path / name / NAME) for name in ("whole", "parts"))
    for content in (whole, parts):
        content["history"] = [{**epoch, "seconds": None} for epoch in content["history"]]
    assert same(whole, parts)


def test_other_validation_songs_begin_the_validation_and_measure_the_best_again(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    before = stop_at(4 + 2 + 1 + 4 + 2, songs, folder, "epochs=3")  # in epoch 2's validation
    assert before["pending"]["measures"]["main"]
    remove(songs, "valid1")
    resumed = solver(songs, folder, "epochs=3")
    assert message_of(caplog) == (
        "since the checkpoint the songs changed: valid 2 → 1 (removed valid1). The best state is "
        "measured again on the validation songs as they are now"
    )
    assert "measures" not in resumed.state.pending
    resumed._judge()
    best = resumed.state.best
    assert best is not None
    resumed.model.load_state_dict(best.state)
    now = validate(resumed.model, resumed.songs.valid, resumed.options, resumed.group)
    assert best.metric == pytest.approx(now["loss"], rel=1e-6)
    assert best.metric != before["best"]["metric"]
    resumed = solver(songs, folder, "epochs=3")
    resumed.train()
    assert len(resumed.state.history) == 3


def test_stopped_before_the_best_is_measured_it_is_measured_next_time(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    solver(songs, tmp_path / "run").run_epoch()
    rewrite(songs, "valid0", 0.1)
    with pytest.raises(Interrupted, match="the best state was measured"):
        solver(songs, tmp_path / "run", should_stop=lambda: True).train()
    caplog.clear()
    again = solver(songs, tmp_path / "run")
    assert not caplog.messages  # the checkpoint knows the songs as they are
    old = again.state.best
    again._judge()
    assert old is not None
    assert again.state.best is not None
    assert again.state.best.metric != old.metric


def test_results_of_test_songs_that_stayed_are_kept(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    before = stop_at(4 + 2 + 2, songs, folder, "epochs=1", "test.every=1")
    (done,) = before["pending"]["tracks"]
    other = {"test0": "test1", "test1": "test0"}[done]
    remove(songs, other)
    kept = solver(songs, folder, "epochs=1", "test.every=1")
    assert f"test 2 → 1 (removed {other})" in message_of(caplog)
    assert list(kept.state.pending["tracks"]) == [done]
    rewrite(songs, done, 0.5)
    dropped = solver(songs, folder, "epochs=1", "test.every=1")
    assert not dropped.state.pending["tracks"]
    dropped.train()
    assert "nsdr" in dropped.state.history[0]["test"]


@pytest.mark.parametrize("known", ["tracks", "nothing"])
def test_older_checkpoints_say_what_they_know(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, known: str
) -> None:
    content = stop_at(4, songs, tmp_path / "run", "max_batches=5")
    del content["data"]["lists"]
    if known == "nothing":
        del content["data"]
    save_checkpoint(tmp_path / "run" / NAME, content)
    solver(songs, tmp_path / "run", "max_batches=5")
    assert not caplog.messages
    remove(songs, "train1", "train2")
    resumed = solver(songs, tmp_path / "run", "max_batches=5")
    (message,) = caplog.messages
    if known == "tracks":
        assert "changed: train 3 → 1 | valid 2 → 2 | test 0 → 0 (an older checkpoint" in message
    assert "epoch 1 was stopped after 4 batches" in message
    resumed.train()
    assert len(resumed.state.history) == 2


def test_an_epoch_without_a_good_step_begins_again(songs: Path, tmp_path: Path) -> None:
    content = stop_at(2, songs, tmp_path / "run")
    content["sums"] = [{"skipped": 2.0, "#skipped": 2.0}]
    save_checkpoint(tmp_path / "run" / NAME, content)
    remove(songs, "train2")
    resumed = solver(songs, tmp_path / "run")
    assert (resumed.state.batch, resumed.state.sums) == (0, [])
    resumed.train()
    assert all("cut" not in epoch for epoch in resumed.state.history)


def test_other_labels_are_other_songs(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    distilled = write_distilled(tmp_path / "distilled")
    overrides = ("semi=weighted", f"semi.folder={distilled}")
    stop_at(2, songs, tmp_path / "run", *overrides)
    labels = sorted(distilled.glob("train/*/distilled.json"))[0]
    labels.write_text(labels.read_text().replace("20.0", "2.0"))
    resumed = solver(songs, tmp_path / "run", *overrides)
    assert f"pseudo 2 → 2 (changed {labels.parent.name}). epoch 1" in message_of(caplog)
    assert resumed.state.pending["cut"] == 2


def test_a_teacher_is_measured_again_on_other_validation_songs(songs: Path, tmp_path: Path) -> None:
    distilled = write_distilled(tmp_path / "distilled")
    solver(songs, tmp_path / "11112222", "epochs=1", "max_batches=1").train()
    overrides = (
        "semi=refresh", f"semi.folder={distilled}", "max_batches=2", "continue_from=11112222",
    )  # fmt: skip
    first = solver(songs, tmp_path / "run", *overrides)
    first.run_epoch()
    rewrite(songs, "valid0", 0.1)
    resumed = solver(songs, tmp_path / "run", *overrides)
    assert resumed.state.teacher is not None
    assert resumed.state.teacher.metric is None
    resumed.train()
    assert resumed.state.teacher.metric is not None


def test_two_processes_cut_the_epoch_together(songs: Path, tmp_path: Path) -> None:
    def begin(group: ProcessGroup) -> None:
        with pytest.raises(Interrupted):
            solver(songs, tmp_path / "run", should_stop=Calls(2), group=group).train()

    def go_on(group: ProcessGroup) -> None:
        resumed = solver(songs, tmp_path / "run", group=group)
        assert resumed.state.pending["cut"] == 2
        resumed.train()
        first, _ = resumed.state.history
        assert first["train"]["loss"] == pytest.approx(expected, rel=1e-6)

    in_processes(2, begin)
    sums = load_checkpoint(tmp_path / "run" / NAME)["sums"]
    expected = sum(one["loss"] for one in sums) / sum(one["#loss"] for one in sums)
    remove(songs, "train2")
    in_processes(2, go_on)


def test_processes_that_find_other_songs_all_end_with_the_reason(
    songs: Path, tmp_path: Path
) -> None:
    more = write_songs(tmp_path / "more", train=4, valid=2, test=2)

    def begin(group: ProcessGroup) -> None:
        root = (songs, more)[group.rank]
        with pytest.raises(DatasetError, match=r"process 1 .* train 3 → 4 \(added train3\)"):
            solver(root, tmp_path / "run", group=group)

    in_processes(2, begin)


def test_a_release_does_not_name_the_songs(songs: Path, tmp_path: Path) -> None:
    solver(songs, tmp_path / "run", "epochs=1", "max_batches=1").train()
    content = load_checkpoint(tmp_path / "run" / NAME)
    assert [entry[0] for entry in content["data"]["lists"]["valid"]] == ["valid0", "valid1"]
    assert "train0" not in str(provenance_of(content, ""))
