"""The solver on a tiny model and dataset: stages, resume, what it starts from, what it refuses."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from training_support import same, tiny_config, write_songs

from demucs.errors import CheckpointError, ConfigError, DatasetError, ModelNotFoundError
from demucs.release.checkpoint import NAME, PREVIOUS_NAME
from demucs.training import (
    Interrupted,
    Solver,
    check_start,
    find_songs,
    load_checkpoint,
    read_config,
)
from demucs.training.stages.validation import validate

EMAS = ("ema.batch=[0.5]", "ema.epoch=[0.5]")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"), train=3, valid=2, test=1)


def solver(songs: Path, folder: Path, *overrides: str, **kwargs: Any) -> Solver:
    run = read_config(tiny_config(songs, *overrides))
    return Solver(run, find_songs(run), folder=folder, signature=folder.name, **kwargs)


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in history]


def checkpoint_without_times(folder: Path) -> dict[str, Any]:
    content = load_checkpoint(folder / NAME)
    content["history"] = without_times(content["history"])
    return {k: v for k, v in content.items() if k not in ("signature", "config")}


def test_an_epoch_goes_through_all_stages(songs: Path, tmp_path: Path) -> None:
    told: list[int] = []
    overrides = ("epochs=2", "test.every=2", "test.sdr=false", "svd.penalty=1e-5", *EMAS)
    trained = solver(
        songs, tmp_path, *overrides, "svd.min_size=0.001", on_history=lambda h: told.append(len(h))
    )
    trained.train()
    first, last = trained.state.history
    assert {"loss", "reco", "grad", "penalty", "reco_drums"} <= first["train"].keys()
    assert first["train"]["loss"] > first["train"]["reco"]
    assert {"main", "ema_batch_0", "ema_epoch_0", "bname", "best"} <= first["valid"].keys()
    assert first["valid"]["loss"] == first["valid"][first["valid"]["bname"]]["loss"]
    assert {"nsdr", "nsdr_vocals", "penalty"} <= last["valid"].keys()
    assert "test" not in first
    assert "nsdr" in last["test"]
    assert json.loads((tmp_path / "test" / "epoch_2.json").read_text())["complete"]
    assert told == [0, 1, 2]


def test_training_lowers_the_loss(songs: Path, tmp_path: Path) -> None:
    trained = solver(songs, tmp_path, "epochs=4", "optim.lr=3e-3", "max_batches=6")
    trained.train()
    losses = [epoch["valid"]["loss"] for epoch in trained.state.history]
    assert losses[-1] < 0.97 * losses[0]


def test_the_best_is_kept_from_all_epochs_and_averages(songs: Path, tmp_path: Path) -> None:
    trained = solver(songs, tmp_path, "epochs=3", "test.metric=nsdr", *EMAS)
    trained.train()
    names = ("main", "ema_batch_0", "ema_epoch_0")
    every = {
        (number, name): epoch["valid"][name]["nsdr"]
        for number, epoch in enumerate(trained.state.history, 1)
        for name in names
    }
    best = load_checkpoint(tmp_path / NAME)["best"]
    assert best["metric"] == max(every.values())
    assert every[best["epoch"], best["weights"]] == best["metric"]
    assert best["name"] == "nsdr"
    # the weights really are those that were measured
    again = solver(songs, tmp_path / "again", "epochs=1")
    again.model.load_state_dict(best["state"])
    found = validate(again.model, again.songs.valid, again.options, again.group)
    assert found["nsdr"] == pytest.approx(best["metric"], abs=1e-5)


def test_resumed_after_an_epoch_is_bit_for_bit_the_undisturbed_run(
    songs: Path, tmp_path: Path
) -> None:
    overrides = ("epochs=4", "svd.penalty=1e-5", "svd.min_size=0.001", "svd.proba=0.5", *EMAS)
    solver(songs, tmp_path / "whole", *overrides).train()
    first = solver(songs, tmp_path / "parts", *overrides)
    first.run_epoch()
    first.run_epoch()
    torch.manual_seed(999)  # whatever happened since
    solver(songs, tmp_path / "parts", *overrides).train()
    whole, parts = (checkpoint_without_times(tmp_path / name) for name in ("whole", "parts"))
    assert same(whole, parts)


@pytest.fixture(scope="module")
def undisturbed(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The end of a run of two epochs."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    solver(songs, folder, "epochs=2", *EMAS).train()
    return checkpoint_without_times(folder)


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_stopped_at_a_step_and_resumed_is_the_undisturbed_run(
    songs: Path, tmp_path: Path, undisturbed: dict[str, Any], steps: int
) -> None:
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) == steps

    overrides = ("epochs=2", *EMAS)
    with pytest.raises(Interrupted, match="saved"):
        solver(songs, tmp_path, *overrides, should_stop=stop).train()
    solver(songs, tmp_path, *overrides).train()
    assert same(checkpoint_without_times(tmp_path), undisturbed)


def test_the_number_of_readers_changes_nothing(songs: Path, tmp_path: Path) -> None:
    solver(songs, tmp_path / "none", "epochs=1").train()
    solver(songs, tmp_path / "two", "epochs=1", num_workers=2).train()
    none, two = (checkpoint_without_times(tmp_path / name) for name in ("none", "two"))
    assert same(none, two)


def test_a_finished_run_is_left_alone(songs: Path, tmp_path: Path) -> None:
    solver(songs, tmp_path, "epochs=1").train()
    before = (tmp_path / NAME).read_bytes()
    solver(songs, tmp_path, "epochs=1").train()
    assert (tmp_path / NAME).read_bytes() == before


def test_a_corrupted_checkpoint_costs_one_epoch(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    solver(songs, tmp_path, "epochs=2").train()
    whole = checkpoint_without_times(tmp_path)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-100])
    resumed = solver(songs, tmp_path, "epochs=2")
    assert resumed.state.epoch == 1
    assert "corrupted" in caplog.text
    assert PREVIOUS_NAME in caplog.text
    resumed.train()
    assert same(checkpoint_without_times(tmp_path), whole)


def test_a_checkpoint_of_another_model_is_refused(songs: Path, tmp_path: Path) -> None:
    solver(songs, tmp_path, "epochs=1").train()
    with pytest.raises(
        CheckpointError, match=r"encoder.0.conv.weight: .*more\): .*continue_from=.*left as it is"
    ):
        solver(songs, tmp_path, "epochs=1", "hdemucs.channels=8")


def test_a_changed_key_is_told(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    solver(songs, tmp_path, "epochs=1").train()
    solver(songs, tmp_path, "epochs=1", "optim.lr=1e-5", "misc.num_prints=1")
    assert "optim.lr: 0.0003 → 1e-05" in caplog.text
    assert "num_prints" not in caplog.text


def test_continue_from_takes_the_best_or_the_latest(songs: Path, tmp_path: Path) -> None:
    solver(songs, tmp_path / "old", "epochs=2", "ema.batch=[0.9]").train()
    old = load_checkpoint(tmp_path / "old" / NAME)
    more = ("epochs=1", "continue_from=old")
    best = solver(songs, tmp_path / "best", *more)
    assert same(dict(best.model.state_dict()), old["best"]["state"])
    assert best.state.epoch == 0
    assert not best.state.optimiser.state_dict()["state"]
    last = solver(songs, tmp_path / "last", *more, "continue_best=false", "continue_opt=true")
    assert same(dict(last.model.state_dict()), old["model"])
    assert same(last.state.optimiser.state_dict()["state"], old["optimiser"]["state"])


def test_continue_from_other_stems_says_what_fitted(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    solver(songs, tmp_path / "old", "epochs=1").train()
    more = ("epochs=1", "continue_from=old", "dset.sources=[drums,bass]", "weights=[1,1]")
    solver(songs, tmp_path / "new", *more)
    assert "stems taken over: drums, bass" in caplog.text
    with pytest.raises(ConfigError, match="continue_opt=false"):
        solver(songs, tmp_path / "new", *more, "continue_opt=true")


def test_continue_from_nowhere_names_what_there_is(songs: Path, tmp_path: Path) -> None:
    solver(songs, tmp_path / "abcd", "epochs=1").train()
    with pytest.raises(ModelNotFoundError, match="abcd"):
        solver(songs, tmp_path / "new", "epochs=1", "continue_from=abce")
    with pytest.raises(ModelNotFoundError):
        solver(songs, tmp_path / "new", "continue_pretrained=x", f"pretrained_repo={tmp_path}")


def test_songs_shorter_than_a_segment_are_told_and_only_such_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    songs = write_songs(tmp_path / "songs", train=2, valid=1)
    with pytest.raises(ConfigError, match=r"dset.segment=2.0 s is longer than every.*1.0 or less"):
        solver(songs, tmp_path / "a", "dset.segment=2")
    for path in (songs / "train" / "train0").glob("*.wav"):
        wav, rate = soundfile.read(path)
        soundfile.write(path, wav[: rate // 2], rate)
    solver(songs, tmp_path / "b", "dset.segment=0.6")
    assert "1 of 2 tracks are shorter than dset.segment=0.6 s" in caplog.text
    assert "train0 (0.5 s)" in caplog.text


def test_a_run_that_goes_on_needs_its_origin_no_more(songs: Path, tmp_path: Path) -> None:
    run = read_config(tiny_config(songs, "continue_from=abcd"))
    with pytest.raises(ModelNotFoundError, match="abcd"):
        check_start(run, tmp_path / "own")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / PREVIOUS_NAME).touch()
    check_start(run, tmp_path / "own")


def test_copies_are_kept_every_so_many_epochs(songs: Path, tmp_path: Path) -> None:
    solver(songs, tmp_path, "epochs=3", "max_batches=1", "save_every=2").train()
    assert [path.name for path in tmp_path.glob("checkpoint_*.th")] == ["checkpoint_2.th"]
    assert load_checkpoint(tmp_path / "checkpoint_2.th")["epoch"] == 2


@pytest.mark.long
@pytest.mark.parametrize(
    "overrides",
    [
        ("dset.full_cv=false", "dset.valid_samples=1"),
        ("valid_apply=false", "debug=true"),
        ("dset.train_valid=true", "optim.loss=mse", "optim.optim=adamw", "optim.clip_grad=0.001"),
        ("dset.channels=1", "svd.penalty=1e-5", "svd.powm=true", "svd.min_size=0.001"),
        (
            "model=htdemucs",
            "model_segment=null",
            "htdemucs.channels=8",
            "htdemucs.nfft=256",
            "htdemucs.depth=2",
            "htdemucs.t_heads=4",
            "svd.penalty=1e-5",
            "test.every=1",
        ),
        ("model=demucs", "demucs.channels=4", "demucs.depth=3"),
    ],
)
def test_other_ways_run(songs: Path, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    trained = solver(songs, tmp_path, "epochs=1", *overrides)
    trained.train()
    assert trained.state.history[0]["valid"]["loss"] > 0


def test_a_second_dataset_adds_songs(songs: Path, tmp_path: Path) -> None:
    more = write_songs(tmp_path / "more", train=2, valid=1)
    run = read_config(tiny_config(songs, f"dset.wav={more}"))
    found = find_songs(run)
    assert found.summary()["tracks"] == {"train": 5, "valid": 3, "test": 0}
    alone = read_config(tiny_config(songs, f"dset.wav={more}", "dset.use_musdb=false"))
    assert find_songs(alone).summary()["tracks"] == {"train": 2, "valid": 1, "test": 0}


def test_wrong_songs_are_refused_before_training(songs: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        find_songs(read_config(tiny_config(tmp_path / "nowhere")))
    with pytest.raises(ConfigError, match="batch_size=64"):
        find_songs(read_config(tiny_config(songs, "batch_size=64")))
    twins = [f"dset.wav={songs}", "test.every=1"]
    with pytest.raises(DatasetError, match="test0"):
        find_songs(read_config(tiny_config(songs, *twins)))
