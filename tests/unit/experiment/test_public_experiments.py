"""Runs of the public Demucs, found by what was typed, and the values they keep."""

import copy
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from demucs.errors import CheckpointError, ConfigError, ModelNotFoundError
from demucs.experiment.public_runs import find_public_run, other_values, overrides_of
from demucs.experiment.record import keep_public_history
from demucs.train import main

sys.path[:0] = [str(Path(__file__).parents[2] / "golden")]
from public_run_files import unpack  # noqa: E402

SIGNATURE = "12f122fe"  # with the folder dset.musdb in it, as it is made by the public Demucs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = unpack("htdemucs", tmp_path)
    assert found.name == SIGNATURE
    return found


@pytest.fixture
def train(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The entry point, with its experiments in `folder`; it cannot be copied."""
    dora = copy.copy(main.dora)
    dora.dir = folder.parents[1]
    monkeypatch.setattr(main, "dora", dora)
    monkeypatch.setattr(main, "_resumed", None)
    return main


def typed(folder: Path) -> list[str]:
    words: list[str] = json.loads((folder / ".argv.json").read_text())
    return words


def test_the_command_that_was_typed_there_finds_its_run(train: Any, folder: Path) -> None:
    assert train.get_xp(typed(folder)).sig == SIGNATURE
    spelt = [word.replace("model=htdemucs", 'model="htdemucs"') for word in typed(folder)]
    assert train.get_xp([*spelt, "misc.num_workers=3"]).sig == SIGNATURE
    moved = [word.replace("/data/", "/elsewhere/") for word in typed(folder)]
    assert train.get_xp(moved).sig == SIGNATURE
    assert train.get_xp([*typed(folder), "seed=43"]).sig != SIGNATURE


def test_a_run_of_ones_own_comes_first(train: Any, folder: Path) -> None:
    (folder / "checkpoint.th").write_bytes(b"demucs-checkpoint\n")
    own = train.get_xp(typed(folder))
    assert own.sig != SIGNATURE  # dset.musdb is no part of ours


def test_minus_f_takes_other_folders_and_nothing_else(train: Any, folder: Path) -> None:
    assert train._read(["-f", SIGNATURE]) == (False, typed(folder))
    moved = "dset.musdb=/elsewhere"
    assert train._read(["-f", SIGNATURE, moved]) == (False, [*typed(folder), moved])
    assert train.get_xp([*typed(folder), moved]).sig == SIGNATURE
    train._resumed = None
    with pytest.raises(ConfigError, match="is another experiment"):
        train._read(["-f", SIGNATURE, "seed=43"])


def test_values_of_another_configuration_are_kept(
    train: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / ".hydra" / "config.yaml"
    text = path.read_text()
    assert "  lr: 0.0003\n" in text
    text = text.replace("  lr: 0.0003\n", "  lr: 0.0001\n").replace(
        "num_prints: 4", "num_prints: 9"
    )
    path.write_text(text.replace("flag: null", "flag: ${oc.env:SECRET}"))
    overrides = train._as_trained(typed(folder))
    assert overrides == [*typed(folder), "optim.lr=0.0001"]
    assert "optim.lr=0.0001" in capsys.readouterr().err
    xp = train.get_xp(overrides)
    assert (xp.sig, xp.cfg.optim.lr) == (SIGNATURE, 1e-4)
    train.init_xp(xp)
    path.write_text("optim: [")  # while Hydra writes, another task comes
    assert train._as_trained(typed(folder)) == overrides
    assert typed(folder) == [word for word in overrides if word != "optim.lr=0.0001"]


def test_a_run_of_the_same_configuration_needs_no_more_overrides(train: Any, folder: Path) -> None:
    assert train._as_trained(typed(folder)) == typed(folder)
    assert (folder / ".hydra" / "config.public.yaml").read_bytes() == (
        folder / ".hydra" / "config.yaml"
    ).read_bytes()


def test_a_configuration_that_cannot_be_read_is_one_message(train: Any, folder: Path) -> None:
    (folder / ".hydra" / "config.yaml").write_text("optim: [")
    with pytest.raises(CheckpointError, match=r"config.*\.yaml cannot be read .*backup"):
        train._as_trained(typed(folder))


def test_overrides_are_found_where_hydra_wrote_them(train: Any, folder: Path) -> None:
    words = typed(folder)
    (folder / ".argv.json").unlink()
    found = overrides_of(folder)
    assert found is not None
    assert train._read(["-f", SIGNATURE]) == (False, found)
    xp = train.get_xp(found)
    assert (xp.sig, xp.argv) == (SIGNATURE, words)  # Dora leaves out what was overridden again
    shutil.rmtree(folder / ".hydra")
    with pytest.raises(ModelNotFoundError, match=f"has no .argv.json.*continue_from={SIGNATURE}"):
        train._read(["-f", SIGNATURE])


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "3"])
def test_overrides_that_are_not_a_list_are_not_taken(train: Any, folder: Path, text: str) -> None:
    (folder / ".argv.json").write_text(text)
    with pytest.raises(ModelNotFoundError, match="continue_from"):
        train._read(["-f", SIGNATURE])
    assert find_public_run(folder.parent, ["seed=1"], lambda key: False) is None


def test_a_run_of_our_own_is_not_taken_for_a_public_one(folder: Path) -> None:
    words = typed(folder)
    assert find_public_run(folder.parent, words, lambda key: False) == folder
    (folder / "checkpoint.th").write_bytes(b"demucs-checkpoint\n")
    assert find_public_run(folder.parent, words, lambda key: False) is None
    (folder / "checkpoint.public.th").write_bytes(b"PK\x03\x04")
    assert find_public_run(folder.parent, words, lambda key: False) == folder


def test_values_are_compared_by_key_that_both_have(folder: Path) -> None:
    config = {"optim": {"lr": 3e-4, "warmup": 0}, "model": "hdemucs", "misc": {"num_workers": 1}}
    values = other_values(folder, config, lambda key: key.startswith("misc."))
    assert values == {"model": "htdemucs"}


def test_the_public_history_is_kept_once(folder: Path) -> None:
    assert keep_public_history(folder) == 2
    (folder / "history.json").write_text("[]")
    assert keep_public_history(folder) == 2
    assert len(json.loads((folder / "history.public.json").read_text())) == 2
