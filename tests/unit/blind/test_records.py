"""Records of scores: written, read, collected, and refused when they are broken."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from demucs.audio import write_audio
from demucs.blind.labelled_scores import collect, extend
from demucs.blind.quality import Quality
from demucs.blind.records import Measures, Record, read_records
from demucs.data import tracks_in
from demucs.errors import ConfigError, DatasetError
from tests.unit.blind_teachers import RATE, bands, song, teacher
from tools import blind_scores


@pytest.fixture
def songs(tmp_path):
    for number in range(3):
        stems = song(seconds=2, seed=number)
        for name, wav in zip(("low", "high"), stems, strict=True):
            path = tmp_path / "songs" / "test" / f"song{number}" / f"{name}.wav"
            write_audio(path, wav, RATE, float32=True)
    return tmp_path / "songs"


def tracks(songs, sources=("low", "high")):
    return tracks_in(songs / "test", sources=sources, samplerate=RATE)


def gather(songs, folder, **kwargs):
    where = {"kind": "toy", "split": "test", "family": "bands", **kwargs}
    return collect(teacher(bands), tracks(songs), folder, **where)


def test_records_come_back_as_they_were(songs, tmp_path):
    assert gather(songs, tmp_path / "records") == 3
    found = read_records(tmp_path / "records")
    assert [one.track for one in found] == ["song0", "song1", "song2"]
    one = found[0]
    assert (one.teacher, one.kind, one.split, one.family) == ("toy", "toy", "test", "bands")
    assert one.sources == ("low", "high")
    assert one.seconds == 2
    assert one.truth["nsdr"].track.shape == (2,)
    assert (one.truth["nsdr"].track > 30).all()
    assert one.truth["level"].track == pytest.approx([-20, -20], abs=0.1)
    assert "sdr" not in one.truth
    assert "cycle" in one.scores
    one.save(tmp_path / "again.json")
    again = Record.load(tmp_path / "again.json")
    np.testing.assert_array_equal(again.scores["swap"].windows, one.scores["swap"].windows)


def test_collecting_goes_on_where_it_stopped(songs, tmp_path):
    folder = tmp_path / "records"
    gather(songs, folder)
    gone = folder / "toy" / "toy" / "test" / "song1.json"
    text = gone.read_text()
    gone.unlink()
    assert gather(songs, folder) == 1
    assert gone.read_text() == text


def test_predictions_are_added_to_records_that_lack_them(songs, tmp_path):
    gather(songs, tmp_path)
    heard = []

    def hear(mixture, estimates):
        heard.append(estimates.shape)
        ones = np.ones((2, 2))
        return Quality(
            sources=("low", "high"), window=1.0, sdr=np.array([4.0, 5.0]), low=ones[0],
            high=ones[0], active=ones[0], windows=7 * ones, active_windows=ones,
        )  # fmt: skip

    where = {"kind": "toy", "split": "test", "hear": hear}
    assert extend(teacher(bands), tracks(songs), tmp_path, **where) == 3
    assert extend(teacher(bands), tracks(songs), tmp_path, **where) == 0
    assert heard == [(2, 2, 2 * RATE)] * 3
    one = read_records(tmp_path)[0]
    assert one.scores["network"].track == pytest.approx([4, 5])
    assert one.scores["network"].windows == pytest.approx(np.full((2, 2), 7))
    assert "reseparation" in one.scores


def test_records_of_other_weights_are_refused(songs, tmp_path):
    gather(songs, tmp_path)
    other = teacher(bands)
    assert read_records(tmp_path)[0].weights == other.weights != ""
    changed = replace(other, weights="0123456789")
    with pytest.raises(ConfigError, match=r"another model called toy .*now 01234567"):
        collect(changed, tracks(songs), tmp_path, kind="toy", split="test", family="f")


def test_true_sdr_on_demand(songs, tmp_path):
    gather(songs, tmp_path / "records")
    where = {"kind": "toy", "split": "test", "sdr": True}
    assert extend(teacher(bands), tracks(songs), tmp_path / "records", **where) == 3
    assert extend(teacher(bands), tracks(songs), tmp_path / "records", **where) == 0
    truth = read_records(tmp_path / "records")[0].truth
    assert truth["sdr"].windows.shape == (2, 2)
    assert np.isfinite(truth["sdr"].track).all()


def test_songs_of_other_stems_are_refused_by_name(songs, tmp_path):
    others = tracks(songs, sources=("high", "low"))
    with pytest.raises(ConfigError, match=r"toy has the stems .*low.*high.*, the songs have"):
        collect(teacher(bands), others, tmp_path, kind="k", split="test", family="f")


@pytest.mark.parametrize(
    "text", ["", "{", "{}", '{"format": "other"}', '{"format": "demucs-blind-1"}', "[1]"]
)
def test_broken_records_are_named(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(DatasetError, match=r"bad\.json is not a record of blind scores"):
        read_records(tmp_path)


def test_no_records(tmp_path):
    with pytest.raises(DatasetError, match="holds no records"):
        read_records(tmp_path)


def test_quality_in_json():
    one = Quality(
        sources=("low", "high"),
        window=1.0,
        sdr=np.array([3.0, np.nan]),
        low=np.array([1.0, -np.inf]),
        high=np.array([5.0, np.inf]),
        active=np.array([1.0, 0.0]),
        windows=np.array([[3.0, np.nan], [np.nan, np.nan]]),
        active_windows=np.ones((2, 2)),
    )
    data = json.loads(json.dumps(one.to_dict()))
    assert data["low"] == [1.0, None]
    again = Quality.from_dict(data)
    np.testing.assert_array_equal(again.windows, one.windows)
    assert again.sources == one.sources


def test_measures_keep_their_shapes_without_windows():
    empty = Measures(track=np.zeros(2), windows=np.zeros((2, 0)))
    assert empty.windows.shape == (2, 0)


def test_the_command(songs, tmp_path, monkeypatch, capsys):
    model = teacher(bands).model
    monkeypatch.setattr("demucs.pretrained.get_model", lambda name, repo: model)
    command = [str(tmp_path / "out"), "-n", "toy", "--songs", str(songs), "--split", "test"]
    assert blind_scores.main([*command, "--limit", "2", "--members", "other"]) == 0
    assert "2 songs scored" in capsys.readouterr().out
    assert blind_scores.main(command) == 0
    assert "1 songs scored, 2 were there" in capsys.readouterr().out
    assert blind_scores.main([*command, "--limit", "0"]) == 1
    assert "--limit 0" in capsys.readouterr().err
    assert torch.is_tensor(model(torch.zeros(1, 2, 100)))
