"""Measurements of tracks: the cache, and the errors that name bad files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.data import Track, find_tracks
from demucs.data import metadata as module
from demucs.data.official import stem_streams
from demucs.data.readers import StemFile, TrackReader
from demucs.errors import AudioError, DatasetError, MissingToolError

RATE = 800
SOURCES = ("bass", "drums")


def write(path: Path, frames: int = 200, rate: int = RATE, channels: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(frames).normal(0.1, 0.2, (frames, channels))
    soundfile.write(str(path), noise, rate, subtype="FLOAT")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        for source in (*SOURCES, "mixture"):
            write(tmp_path / "data" / "test" / name / f"{source}.wav")
    return tmp_path / "data"


def find(root: Path, cache: bool = False) -> list[Track]:
    metadata = root.parent / "metadata" if cache else None
    return find_tracks(root, "test", sources=SOURCES, samplerate=RATE, metadata=metadata)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tracks that were measured, as opposed to taken from the cache."""
    seen: list[str] = []
    original = module._measure

    def spy(reader: TrackReader, wanted: module.Wanted) -> object:
        seen.append(reader.name)
        return original(reader, wanted)

    monkeypatch.setattr(module, "_measure", spy)
    return seen


def test_a_second_look_measures_nothing(root: Path, measured: list[str]) -> None:
    first = find(root, cache=True)
    assert sorted(measured) == ["a", "b"]
    second = find(root, cache=True)
    assert len(measured) == 2
    assert [(t.frames, t.mean, t.std) for t in first] == [(t.frames, t.mean, t.std) for t in second]
    assert len(list((root.parent / "metadata").iterdir())) == 1  # and no temporary file is left


def test_a_changed_file_is_measured_again_and_only_that(root: Path, measured: list[str]) -> None:
    before = find(root, cache=True)
    for source in (*SOURCES, "mixture"):
        write(root / "test" / "b" / f"{source}.wav", frames=300)
    after = find(root, cache=True)
    assert sorted(measured) == ["a", "b", "b"]
    assert [t.frames for t in after] == [200, 300]
    assert after[1].mean != before[1].mean


def test_a_touched_file_is_measured_again(root: Path, measured: list[str]) -> None:
    find(root, cache=True)
    os.utime(root / "test" / "a" / "bass.wav", ns=(1, 1))
    find(root, cache=True)
    assert sorted(measured) == ["a", "a", "b"]


def test_a_file_that_vanishes_after_the_cache_is_noticed(root: Path) -> None:
    find(root, cache=True)
    (root / "test" / "a" / "bass.wav").unlink()
    with pytest.raises(DatasetError, match=r"a/bass\.wav is missing"):
        find(root, cache=True)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "tracks": {"a": {"stats": {}}}}']
)
def test_a_broken_cache_is_made_again(
    root: Path, measured: list[str], content: str, caplog: pytest.LogCaptureFixture
) -> None:
    find(root, cache=True)
    (file,) = (root.parent / "metadata").iterdir()
    good = file.read_text()
    file.write_text(content)
    assert len(find(root, cache=True)) == 2
    assert len(measured) == 4
    assert "is broken" in caplog.text
    assert file.read_text() == good


def test_a_cache_of_another_version_is_made_again(root: Path, measured: list[str]) -> None:
    find(root, cache=True)
    (file,) = (root.parent / "metadata").iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 0}))
    find(root, cache=True)
    assert len(measured) == 4


def test_other_wishes_have_a_cache_of_their_own(root: Path, measured: list[str]) -> None:
    find(root, cache=True)
    find_tracks(root, "test", sources=["bass"], samplerate=RATE, metadata=root.parent / "metadata")
    assert len(measured) == 4
    find(root, cache=True)
    assert len(measured) == 4


def test_all_problems_are_in_one_error(root: Path) -> None:
    (root / "test" / "a" / "bass.wav").unlink()
    write(root / "test" / "b" / "drums.wav", frames=150)
    with pytest.raises(DatasetError) as caught:
        find(root)
    message = str(caught.value)
    assert "2 problems found" in message
    assert "a/bass.wav is missing" in message
    assert "b/drums.wav has 150 frames, and its siblings 200" in message
    assert message.endswith("Repair these files, or take their tracks out of the dataset")


def test_a_long_list_of_problems_is_cut_with_its_count(root: Path) -> None:
    for number in range(12):
        write(root / "test" / f"c{number:02}" / "bass.wav")
    with pytest.raises(DatasetError, match=r"12 problems found") as caught:
        find(root)
    assert "... and 4 more" in str(caught.value)
    assert "c07/drums.wav" in str(caught.value)
    assert "c08/drums.wav" not in str(caught.value)


def test_a_wrong_rate_is_named_with_the_conversion(root: Path) -> None:
    write(root / "test" / "a" / "bass.wav", rate=480)
    with pytest.raises(
        DatasetError,
        match=r"a/bass\.wav has 480 Hz, and the dataset 800 Hz: .*-ar 800 .*dset\.samplerate=480",
    ):
        find(root)


def test_too_many_channels(root: Path) -> None:
    write(root / "test" / "a" / "bass.wav", channels=3)
    with pytest.raises(DatasetError, match=r"bass\.wav has 3 channels, and the dataset 2: .*-ac 2"):
        find(root)


def test_empty_unreadable_and_sampleless_files(root: Path) -> None:
    (root / "test" / "a" / "bass.wav").write_bytes(b"")
    (root / "test" / "a" / "drums.wav").write_bytes(b"this is no music" * 10)
    write(root / "test" / "b" / "bass.wav", frames=0)
    with pytest.raises(DatasetError) as caught:
        find(root)
    message = str(caught.value)
    assert "a/bass.wav is empty (0 bytes)" in message
    assert "a/drums.wav cannot be decoded" in message
    assert "b/bass.wav holds no samples" in message


def test_silent_and_infinite_mixtures(root: Path) -> None:
    silence = np.zeros((200, 2), dtype=np.float32)
    soundfile.write(str(root / "test/a/mixture.wav"), silence, RATE, subtype="FLOAT")
    silence[7] = np.nan
    soundfile.write(str(root / "test/b/mixture.wav"), silence, RATE, subtype="FLOAT")
    with pytest.raises(DatasetError) as caught:
        find(root)
    assert "test/a: the mixture is silent throughout" in str(caught.value)
    assert "test/b: the mixture holds values that are not finite" in str(caught.value)


def test_a_file_cut_off_by_a_copy_is_named(root: Path) -> None:
    path = root / "test" / "a" / "mixture.flac"
    noise = np.random.default_rng(0).normal(0, 0.2, (20000, 2))
    for source in (*SOURCES, "mixture"):
        soundfile.write(str(path.parent / f"{source}.flac"), noise, RATE)
        (path.parent / f"{source}.wav").unlink()
    path.write_bytes(path.read_bytes()[:30000])
    with pytest.raises(
        DatasetError, match=r"1 problem found.\n  - .*a/mixture\.flac is cut off or damaged"
    ):
        find(root)


def test_reading_a_file_that_vanished_names_it(root: Path) -> None:
    track = find(root)[0]
    (root / "test" / "a" / "bass.wav").unlink()
    with pytest.raises(AudioError, match=r"a/bass\.wav does not exist: check the name"):
        track.read("bass")


def test_stems_need_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.stem.mp4").write_bytes(b"x")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"a\.stem\.mp4: .*apt-get install ffmpeg"):
        StemFile(tmp_path / "a.stem.mp4").read("bass")


def test_the_official_split_needs_musdb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib.machinery import ModuleSpec

    from demucs.data import official

    official._musdb_config.cache_clear()
    try:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(MissingToolError, match=r"pip install musdb"):
            stem_streams()
        spec = ModuleSpec("musdb", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
        with pytest.raises(
            MissingToolError, match=r"mus\.yaml: pip install --force-reinstall musdb"
        ):
            stem_streams()
    finally:
        official._musdb_config.cache_clear()


def test_blocks_of_any_size_give_the_same_numbers(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = find(root)[0]
    monkeypatch.setattr(module, "BLOCK", 1)
    single = find(root)[0]
    assert single.mean == pytest.approx(whole.mean, rel=1e-9)
    assert single.std == pytest.approx(whole.std, rel=1e-9)
    assert whole.load()[0].dtype == torch.float32
