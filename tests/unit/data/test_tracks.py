"""Layouts, splits and reading of wav folders."""

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.data import Track, find_tracks
from demucs.data.official import stem_streams, validation_names
from demucs.data.readers import WavFolder
from demucs.errors import AudioError, ConfigError, DatasetError

RATE = 800
SOURCES = ("drums", "bass", "other", "vocals")


def write_track(
    folder: Path,
    sources: tuple[str, ...] = (*SOURCES, "mixture"),
    frames: int = 200,
    channels: int = 2,
) -> None:
    """Noise in each source, float so that reading back is exact; the mixture is noise too."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.name))
    for source in sources:
        noise = rng.normal(0.1, 0.2, (frames, channels)).astype(np.float32)
        soundfile.write(str(folder / f"{source}.wav"), noise, RATE, subtype="FLOAT")


def find(root: Path, split: str = "train", **options: object) -> list[Track]:
    given: dict[str, object] = {"sources": SOURCES, "samplerate": RATE, **options}
    return find_tracks(root, split, **given)  # type: ignore[arg-type]


def names(tracks: list[Track]) -> list[str]:
    return [track.name for track in tracks]


def test_reads_exactly_the_range_that_is_asked(tmp_path: Path) -> None:
    write_track(tmp_path / "train" / "b")
    write_track(tmp_path / "train" / "a song – ünï")
    write_track(tmp_path / "valid" / "c")
    tracks = find(tmp_path)
    assert names(tracks) == ["a song – ünï", "b"]
    track = tracks[1]
    expected = soundfile.read(str(tmp_path / "train/b/bass.wav"), dtype="float32")[0].T
    assert (track.samplerate, track.frames, track.channels) == (RATE, 200, 2)
    np.testing.assert_array_equal(track.read("bass").numpy(), expected)
    np.testing.assert_array_equal(track.read("bass", 30, 50).numpy(), expected[:, 30:80])
    np.testing.assert_array_equal(track.read("bass", 190, 50).numpy(), expected[:, 190:])
    assert track.read("bass", 500, 50).shape == (2, 0)
    mixture, stems = track.load()
    assert mixture.shape == (2, 200)
    assert stems.shape == (4, 2, 200)
    assert torch.equal(stems[1], track.read("bass"))
    assert torch.equal(mixture, track.read("mixture"))


def test_without_a_mixture_file_it_is_the_sum(tmp_path: Path) -> None:
    write_track(tmp_path / "train" / "a", ("piano", "flute", "cello"))
    write_track(tmp_path / "valid" / "b", ("piano", "flute", "cello"))
    (track,) = find(tmp_path, sources=["flute", "piano", "cello"])
    mixture, stems = track.load()
    torch.testing.assert_close(mixture, stems.sum(0))
    torch.testing.assert_close(track.read("mixture", 10, 20), mixture[:, 10:30])
    assert torch.equal(stems[0], track.read("flute"))
    assert track.mean == pytest.approx(float(mixture.mean()), rel=1e-5)


def test_mean_and_deviation_are_those_of_the_mono_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demucs.data.metadata.BLOCK", 37)  # many blocks, the last one short
    write_track(tmp_path / "train" / "a")
    write_track(tmp_path / "valid" / "b")
    (track,) = find(tmp_path)
    mono = track.load()[0].mean(0)
    assert track.mean == pytest.approx(float(mono.mean()), rel=1e-5)
    assert track.std == pytest.approx(float(mono.std()), rel=1e-5)
    normal = track.normalize(mono)
    assert float(normal.mean()) == pytest.approx(0, abs=1e-5)
    assert float(normal.std()) == pytest.approx(1, abs=1e-5)


def test_mono_files_are_copied_and_stereo_is_averaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_track(tmp_path / "train" / "a", channels=1)
    write_track(tmp_path / "train" / "b", channels=1)
    write_track(tmp_path / "valid" / "c")
    with caplog.at_level(logging.WARNING):
        track = find(tmp_path)[0]
    assert [r.message for r in caplog.records if "mono" in r.message] == [
        f"{tmp_path / 'train'}: 2 tracks have mono files, copied to each channel"
    ]
    wav = track.read("drums")
    assert wav.shape == (2, 200)
    assert torch.equal(wav[0], wav[1])
    (mono,) = find(tmp_path, "valid", channels=1)
    stereo = soundfile.read(str(tmp_path / "valid/c/drums.wav"), dtype="float32")[0].T
    torch.testing.assert_close(mono.read("drums"), torch.from_numpy(stereo).mean(0, keepdim=True))


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("flac", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT")],
)
def test_samples_are_those_of_libsndfile(tmp_path: Path, suffix: str, subtype: str) -> None:
    wav = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
    wav[:2] = [[-1, 1], [0, -0.5]]
    soundfile.write(tmp_path / f"bass.{suffix}", wav, RATE, subtype=subtype)
    expected, _ = soundfile.read(
        tmp_path / f"bass.{suffix}", start=100, frames=300, dtype="float32", always_2d=True
    )
    got = WavFolder(tmp_path).read("bass", 100, 300)
    assert got.is_contiguous()
    assert torch.equal(got, torch.from_numpy(expected.T.copy()))


def test_large_finite_samples_are_read(tmp_path: Path) -> None:
    """Their sum is not finite."""
    wav = np.full((50, 2), 3e38, dtype=np.float32)
    soundfile.write(tmp_path / "bass.wav", wav, RATE, subtype="FLOAT")
    track = Track("song", ("bass",), RATE, 2, 50, 0.0, 1.0, WavFolder(tmp_path))
    assert torch.equal(track.read("bass"), torch.from_numpy(wav.T.copy()))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_name_their_file(tmp_path: Path, value: float) -> None:
    write_track(tmp_path / "train" / "a")
    write_track(tmp_path / "valid" / "b")
    path = tmp_path / "train/a/bass.wav"
    wav, _ = soundfile.read(str(path), dtype="float32")
    wav[50] = value
    soundfile.write(str(path), wav, RATE, subtype="FLOAT")
    (track,) = find(tmp_path)
    assert track.read("bass", 0, 50).isfinite().all()
    with pytest.raises(AudioError, match=r"a/bass\.wav holds samples that are NaN or infinite"):
        track.read("bass")


def test_tracks_with_bad_files_can_be_left_out(tmp_path: Path) -> None:
    for name in ("bad", "good"):
        write_track(tmp_path / "train" / name)
    write_track(tmp_path / "valid" / "c")
    (tmp_path / "train/bad/drums.wav").write_bytes(b"junk")
    problems: list[str] = []
    assert names(find(tmp_path, on_bad=problems.append)) == ["good"]
    assert len(problems) == 1
    assert "bad/drums.wav" in problems[0]
    with pytest.raises(DatasetError, match=r"bad.drums\.wav"):
        find(tmp_path)


def test_official_songs_are_for_validation_and_never_in_both(tmp_path: Path) -> None:
    official = sorted(validation_names())
    assert len(official) == 14
    for name in [*official, "first", "second"]:
        write_track(tmp_path / "train" / name, frames=20)
    train, valid = find(tmp_path), find(tmp_path, "valid")
    assert names(train) == ["first", "second"]
    assert names(valid) == official
    assert not set(names(train)) & set(names(valid))


def test_stem_streams_are_those_of_musdb() -> None:
    assert sorted(stem_streams()) == ["bass", "drums", "mixture", "other", "vocals"]
    assert sorted(stem_streams().values()) == [0, 1, 2, 3, 4]
    assert stem_streams()["mixture"] == 0


@pytest.mark.parametrize(("count", "held"), [(2, 1), (9, 1), (25, 2)])
def test_a_share_of_train_validates_where_nobody_says_which(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int, held: int
) -> None:
    for number in range(count):
        write_track(tmp_path / "train" / f"song{number}", ("drums",), frames=20)
    with caplog.at_level(logging.WARNING):
        valid = find(tmp_path, "valid", sources=["drums"])
    assert f"validating on {held} of its {count}" in caplog.text
    train = find(tmp_path, sources=["drums"])
    assert len(valid) == held
    assert len(train) == count - held
    assert not set(names(train)) & set(names(valid))
    assert names(valid) == names(find(tmp_path, "valid", sources=["drums"]))


@pytest.mark.parametrize("file", ["automix.json", "distilled.json"])
def test_songs_that_were_made_are_never_held_out(tmp_path: Path, file: str) -> None:
    for name in ("mix0", "mix1", "song0", "song1"):
        write_track(tmp_path / "train" / name, frames=20)
    for name in ("mix0", "mix1"):
        (tmp_path / "train" / name / file).write_text("{}")
    (held,) = names(find(tmp_path, "valid"))
    assert held.startswith("song")
    for name in ("song0", "song1"):
        (tmp_path / "train" / name / file).write_text("{}")
    assert find(tmp_path, "valid") == []
    assert len(find(tmp_path)) == 4


def test_a_valid_folder_comes_first_and_leaks_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        write_track(tmp_path / "train" / name, frames=20)
    write_track(tmp_path / "valid" / "b", frames=20)
    write_track(tmp_path / "test" / "t", frames=20)
    assert names(find(tmp_path, "valid")) == ["b"]
    assert names(find(tmp_path, "test")) == ["t"]
    with caplog.at_level(logging.WARNING):
        assert names(find(tmp_path)) == ["a", "b"]
    assert "1 tracks are in train and in" in caplog.text


def test_hidden_files_are_passed_over_and_flac_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "test" / "a"
    write_track(folder, ("bass",))
    wav = soundfile.read(str(folder / "bass.wav"))[0]
    (folder / "._drums.wav").write_bytes(b"finder")
    (tmp_path / "test" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "test" / "readme.txt").write_text("x")
    soundfile.write(str(folder / "drums.flac"), wav, RATE)
    soundfile.write(str(folder / "bass.flac"), wav * 0, RATE)
    assert WavFolder(folder).path("bass").suffix == ".wav"
    (track,) = find(tmp_path, "test", sources=["bass", "drums"])
    assert track.read("drums").shape == (2, 200)


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere/train does not exist: set dset\.musdb"):
        find(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"/test does not exist"):
        find(tmp_path, "test")
    (tmp_path / "test").mkdir()
    with pytest.raises(DatasetError, match=r"/test is empty: it must hold"):
        find(tmp_path, "test")


def test_nothing_left_to_train_or_validate_on(tmp_path: Path) -> None:
    write_track(tmp_path / "train" / min(validation_names()), frames=20)
    with pytest.raises(DatasetError, match=r"leaves no track for train"):
        find(tmp_path)
    write_track(tmp_path / "other" / "train" / "only", frames=20)
    with pytest.raises(DatasetError, match=r"holds one track, .* folder .*valid"):
        find(tmp_path / "other", "valid")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], r"dset\.sources is empty: .*'bass'"),
        (["bass", "bass"], r"names bass more than once"),
        (["bass", "kazoo"], r"has the source 'kazoo'; there are \['bass', 'drums'"),
    ],
)
def test_wrong_sources(tmp_path: Path, sources: list[str], message: str) -> None:
    write_track(tmp_path / "test" / "a", frames=20)
    with pytest.raises(ConfigError, match=message):
        find(tmp_path, "test", sources=sources)


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Unknown split 'dev': use one of train, valid, test"):
        find(tmp_path, "dev")
