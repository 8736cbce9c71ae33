"""Results of tracks on disk, and how tracks are divided."""

from dataclasses import dataclass

import pytest

from demucs.errors import ConfigError
from demucs.evaluation.results.results import TrackResult
from demucs.evaluation.results.shards import Parts, share_of
from demucs.experiment.cluster import find_share

KEY = {"weights": "abc", "how": [1, 0.25, True]}


def result(value):
    return TrackResult(
        2.0, {"nsdr": {"a": value}}, notes=["odd"], windows={"nsdr": {"a": [value, None]}}
    )


def test_what_is_saved_is_loaded(tmp_path):
    parts = Parts(tmp_path / "r.json", KEY)
    parts.save("AC/DC – Ünïcode", result(1.5))
    parts.save("two", TrackResult(failed="no such file"))
    again = Parts(tmp_path / "r.json", dict(reversed(KEY.items())))
    found = again.load(["AC/DC – Ünïcode", "two", "three"])
    assert found == {"AC/DC – Ünïcode": result(1.5), "two": TrackResult(failed="no such file")}
    again.forget(["two", "three"])
    assert list(parts.load(["AC/DC – Ünïcode", "two"])) == ["AC/DC – Ünïcode"]
    parts.remove()
    again.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("changed", [{"weights": "abd"}, {"how": [2, 0.25, True]}, {"new": 0}])
def test_other_settings_are_another_folder(tmp_path, changed):
    one, other = (Parts(tmp_path / "r.json", key) for key in (KEY, {**KEY, **changed}))
    one.save("song", result(1))
    assert other.load(["song"]) == {}
    assert one.run != other.run


@pytest.mark.parametrize("text", ["", "{", "[]", '{"track": "other"}', '{"track": "song", "x": 1}'])
def test_a_part_that_is_no_result_is_measured_again(tmp_path, text):
    parts = Parts(tmp_path / "r.json", KEY)
    parts.save("song", result(1))
    next(parts.folder.iterdir()).write_text(text)
    assert parts.load(["song"]) == {}


@dataclass(frozen=True)
class Song:
    name: str
    frames: int


@pytest.mark.parametrize("number", [1, 2, 3, 8, 60])
def test_shares_are_all_tracks_once_and_alike(number):
    songs = [Song(f"{k}", 100 + 37 * k % 211) for k in range(50)]
    shares = [share_of(songs, rank, number) for rank in range(number)]
    assert sorted((song.name for share in shares for song in share), key=int) == [
        song.name for song in songs
    ]
    loads = [sum(song.frames for song in share) for share in shares]
    assert max(loads) - min(loads) <= max(song.frames for song in songs)
    assert all(share == sorted(share, key=lambda song: int(song.name)) for share in shares)


def test_no_such_share():
    with pytest.raises(ConfigError, match="share 3 of 2"):
        share_of([Song("a", 1)], 2, 2)


STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_PROCID": "3",
        "SLURM_LOCALID": "1"}  # fmt: skip
ARRAY = {"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_MIN": "10",
         "SLURM_ARRAY_TASK_STEP": "2"}  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "share"),
    [
        ({}, (0, 1, 0)),
        (STEP, (3, 4, 1)),
        (ARRAY, (1, 3, 0)),
        (STEP | ARRAY, (7, 12, 1)),
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, (1, 2, 1)),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, (0, 1, 0)),
    ],
)
def test_the_share_that_an_environment_says(environ, share):
    found = find_share(environ)
    assert (found.rank, found.world_size, found.local_rank) == share


def test_an_irregular_array_is_refused():
    with pytest.raises(ConfigError, match=r"no place among 3.*--array=0-7"):
        find_share(ARRAY | {"SLURM_ARRAY_TASK_ID": "11"})
    with pytest.raises(ConfigError, match="array task 30 has no place"):
        find_share(ARRAY | {"SLURM_ARRAY_TASK_ID": "30"})
