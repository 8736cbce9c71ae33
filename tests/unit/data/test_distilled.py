"""Reading a pseudo-labelled set, and what is refused of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distilled_support import labels, write_distilled
from training_support import RATE, SOURCES

from demucs.data.distilled import LABELS_FILE, distilled_tracks, read_labels
from demucs.errors import DatasetError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_distilled(tmp_path_factory.mktemp("distilled"))


def found(folder: Path, sources: tuple[str, ...] = SOURCES) -> Any:
    return distilled_tracks(folder, sources=sources, samplerate=RATE, channels=2)


def test_tracks_come_with_their_labels(folder: Path) -> None:
    tracks, read = found(folder)
    assert [track.name for track in tracks] == ["train0", "train1"]
    assert [one.nsdr.shape for one in read] == [(4, 10)] * 2
    assert read[0].nsdr[:, 0].tolist() == [0, 5, 10, 20]


def test_stems_in_another_order_are_put_in_ours(folder: Path) -> None:
    _, read = found(folder, ("vocals", "drums", "bass", "other"))
    assert read[0].nsdr[:, 0].tolist() == [20, 0, 5, 10]
    assert read[0].active[0, 9] == 0.05


def test_null_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / LABELS_FILE
    path.write_text(json.dumps(labels([[1, None]], [[None, 1]], ["a"])))
    read = read_labels(path, ["a"])
    assert np.isnan(read.nsdr[0, 1])
    assert np.isnan(read.active[0, 0])


ONE = [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["distilled.json", "tools.distil"]),
        ("{", ["does not tell"]),
        ("[]", ["does not tell"]),
        (json.dumps({**labels(ONE, ONE, ["a"]), "format": "x-2"}), ["'x-2'", "demucs-distilled-1"]),
        (json.dumps(labels(ONE, ONE, ["b"])), ["stems are b", "dset.sources are a"]),
        (json.dumps(labels(ONE, [[1.0]], ["a"])), ["[1, 2]", "[1, 1]"]),
        (json.dumps(labels([[]], [[]], ["a"])), ["[1, 0]"]),
        (json.dumps(labels([], [], ["a"])), ["does not tell"]),
        (json.dumps(labels(3, ONE, ["a"])), ["does not tell"]),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    tmp_path: Path, content: str | None, words: list[str]
) -> None:
    path = tmp_path / LABELS_FILE
    if content is not None:
        path.write_text(content)
    with pytest.raises(DatasetError) as caught:
        read_labels(path, ["a"])
    assert all(word in str(caught.value) for word in words), caught.value


def _without_mixture(folder: Path) -> None:
    (folder / "train" / "train1" / "mixture.wav").unlink()


def _without_labels(folder: Path) -> None:
    for path in folder.glob(f"train/*/{LABELS_FILE}"):
        path.unlink()


def _without_songs(folder: Path) -> None:
    for path in sorted((folder / "train").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_mixture, ["train1", "has no mixture.wav"]),
        (_without_labels, ["train0/distilled.json", "train1/distilled.json"]),
        (_without_songs, ["is empty", "threshold"]),
    ],
)
def test_a_set_that_is_not_whole_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    folder = write_distilled(tmp_path)
    spoil(folder)
    with pytest.raises(DatasetError) as caught:
        found(folder)
    assert all(word in str(caught.value) for word in words), caught.value


def test_no_such_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"semi\.folder=.*nowhere.*tools\.distil"):
        found(tmp_path / "nowhere")
