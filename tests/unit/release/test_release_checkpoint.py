"""Checkpoint files: whole, or refused; the one before is never lost."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from demucs.errors import CheckpointError
from demucs.release.checkpoint import (
    NAME,
    PREVIOUS_NAME,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)

CONTENT: dict[str, Any] = {
    "model": {"weight": torch.arange(6.0).reshape(2, 3)},
    "optimiser": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0.9, 1)}]},
    "history": [{"train": {"loss": 0.5}}],
    "best": None,
    "epoch": 1,
}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / NAME, CONTENT)
    found = load_checkpoint(tmp_path / NAME)
    assert torch.equal(found.pop("model")["weight"], CONTENT["model"]["weight"])
    assert found.pop("version") == 1
    assert found == {key: value for key, value in CONTENT.items() if key != "model"}
    assert os.listdir(tmp_path) == [NAME]


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    for epoch in range(3):
        save_checkpoint(tmp_path / NAME, {"epoch": epoch})
    assert load_checkpoint(tmp_path / NAME)["epoch"] == 2
    assert load_checkpoint(tmp_path / PREVIOUS_NAME)["epoch"] == 1
    assert sorted(os.listdir(tmp_path)) == [PREVIOUS_NAME, NAME]


def test_the_one_before_is_kept_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    for epoch in range(2):
        save_checkpoint(tmp_path / NAME, {"epoch": epoch})
    assert load_checkpoint(tmp_path / PREVIOUS_NAME)["epoch"] == 0


def test_truncated_anywhere_is_refused_and_the_previous_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / NAME
    save_checkpoint(path, {"epoch": 0})
    save_checkpoint(path, {"epoch": 1})
    whole = path.read_bytes()
    for size in [0, 1, 10, 17, 18, 40, 82, 83, 84, *range(100, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=NAME):
            load_checkpoint(path)
        found = newest_checkpoint(tmp_path)
        assert found is not None
        assert found["epoch"] == 0
    assert PREVIOUS_NAME in caplog.text


def test_a_flipped_byte_is_refused_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / NAME
    save_checkpoint(path, {"epoch": 0})
    whole = path.read_bytes()
    for place in range(0, len(whole), 41):
        broken = bytearray(whole)
        broken[place] ^= 0x20
        path.write_bytes(broken)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_all_corrupted_says_what_to_do(tmp_path: Path) -> None:
    for epoch in range(2):
        save_checkpoint(tmp_path / NAME, {"epoch": epoch})
    for name in (NAME, PREVIOUS_NAME):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="backup, or begin another") as caught:
        newest_checkpoint(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_no_checkpoint_is_none_or_an_error(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(tmp_path / NAME)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path)


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demucs.release.checkpoint.VERSION", 2)
    save_checkpoint(tmp_path / NAME, {"epoch": 0})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format 2"):
        load_checkpoint(tmp_path / NAME)


def test_a_pickled_object_is_never_made(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    save_checkpoint(tmp_path / NAME, {"epoch": 0, "trap": Trap()})
    with pytest.raises(CheckpointError, match="plain containers"):
        load_checkpoint(tmp_path / NAME)
    assert not (tmp_path / "sprung").exists()


class FullDisk:
    """Takes a few bytes, then has no room."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@pytest.mark.parametrize("room", [0, 50, 500])
def test_a_full_disk_leaves_both_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    for epoch in range(2):
        save_checkpoint(tmp_path / NAME, {"epoch": epoch})
    monkeypatch.setattr(
        "demucs.release.checkpoint.open",
        lambda *args: FullDisk(open(*args), room),  # noqa: SIM115
        raising=False,
    )
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(tmp_path / NAME, {"epoch": 2, **CONTENT})
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / NAME)["epoch"] == 1
    assert load_checkpoint(tmp_path / PREVIOUS_NAME)["epoch"] == 0
    assert sorted(os.listdir(tmp_path)) == [PREVIOUS_NAME, NAME]
