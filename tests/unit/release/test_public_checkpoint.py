"""Checkpoints of the public solver that are damaged, hostile or of another network."""

import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from demucs.errors import CheckpointError
from demucs.release.checkpoint import NAME, load_checkpoint, newest_checkpoint
from demucs.release.public_run import _DType, _Node, _plain, _scalar

sys.path[:0] = [str(Path(__file__).parents[2] / "golden")]
from public_run_files import unpack  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unpack("hdemucs", tmp_path)


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Writes the checkpoint again with a change; it is ours, so all of it may be unpickled."""
    content = torch.load(folder / NAME, weights_only=False)
    change(content)
    torch.save(content, folder / NAME)
    return (folder / NAME).read_bytes()


def refused(folder: Path) -> str:
    """The message of a checkpoint that is refused, and left as it is."""
    before = (folder / NAME).read_bytes()
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder / NAME)
    with pytest.raises(CheckpointError) as no_good:
        newest_checkpoint(folder)
    for word in ("delete", "remove", "--clear"):
        assert word not in str(no_good.value)
    assert "nothing there was changed" in str(no_good.value)
    assert ".." not in str(no_good.value).replace("...", "")
    assert (folder / NAME).read_bytes() == before
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_a_checkpoint_that_was_cut_is_said_to_be(folder: Path, share: float) -> None:
    data = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(data[: round(share * len(data))])
    assert "cut short" in refused(folder)


def test_a_byte_that_changed_is_found(folder: Path) -> None:
    data = bytearray((folder / NAME).read_bytes())
    with zipfile.ZipFile(folder / NAME) as file:
        large = max(
            file.infolist(), key=lambda part: part.file_size if "/data/" in part.filename else 0
        )
    data[large.header_offset + 200] ^= 1
    (folder / NAME).write_bytes(bytes(data))
    assert "damaged" in refused(folder)


def test_the_checkpoint_of_another_network_names_the_weight(folder: Path) -> None:
    def other(content: dict[str, Any]) -> None:
        content["args"].hdemucs.channels = 8

    changed(folder, other)
    message = refused(folder)
    assert "are not those of its configuration: " in message
    assert "has the shape [" in message


@pytest.mark.parametrize("key", ["state", "optimizer", "history", "args", "best_state"])
def test_a_part_that_is_missing_is_named(folder: Path, key: str) -> None:
    changed(folder, lambda content: content.pop(key))
    assert f"it has no {key}" in refused(folder)


class Hostile:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("key", ["args", "history", "optimizer"])
def test_nothing_of_a_hostile_checkpoint_is_run(folder: Path, key: str, tmp_path: Path) -> None:
    trace = tmp_path / "was run"
    changed(folder, lambda content: content.update({key: Hostile(trace)}))
    message = refused(folder)
    assert "system" in message
    assert "Nothing of it was run" in message
    assert not trace.exists()


def test_what_refers_to_the_environment_stays_text(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "the secret")

    def referring(content: dict[str, Any]) -> None:
        content["args"].flag = "${oc.env:SECRET}"

    changed(folder, referring)
    assert load_checkpoint(folder / NAME)["config"]["flag"] == "${oc.env:SECRET}"


def test_a_configuration_inside_itself_ends() -> None:
    node = _Node()
    node.__setstate__({"_content": {"again": node}})
    with pytest.raises(ValueError, match="inside itself"):
        _plain(node)


def test_numbers_of_numpy_are_read_as_they_are() -> None:
    import numpy as np

    for value in (np.float64(-1.25), np.float32(0.5), np.int64(-7), np.bool_(True)):
        kind = value.dtype.str[1:]
        assert _scalar(_DType(kind), value.tobytes()) == value
    with pytest.raises(ValueError, match="order of bytes"):
        _DType("f8").__setstate__((3, ">", None))
    with pytest.raises(KeyError):
        _scalar(_DType("O8"), pickle.dumps(0))


def test_the_message_of_a_checkpoint_without_copies_names_those_there_are(folder: Path) -> None:
    data = (folder / NAME).read_bytes()
    (folder / "checkpoint_100.th").write_bytes(data)
    (folder / NAME).write_bytes(data[:1000])
    with pytest.raises(CheckpointError, match=r"or from checkpoint_100\.th"):
        newest_checkpoint(folder)
