"""Songs whose stems are not wav files: what is read, what is not, and who says so."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs.audio.parts import part_info, read_part
from demucs.data.doctor import Finding, Severity, Wanted, diagnose
from demucs.data.readers import NOT_AUDIO, WavFolder
from demucs.data.tracks import Track, find_tracks
from demucs.errors import AudioError, ConfigError, DatasetError, DemucsError
from tests.unit.sound_files import RATE, encoded, ffmpeg, lag, noise

SOURCES = ("bass", "drums")
FRAMES = 24_000


def song(folder: Path, kind: str, suffix: str, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    for place, source in enumerate(SOURCES, seed):
        (folder / f"{source}{suffix}").write_bytes(encoded(kind, FRAMES, seed=place))


def tracks(root: Path) -> list[Track]:
    return find_tracks(root, "train", sources=SOURCES, samplerate=RATE)


def findings(root: Path, **wanted: object) -> list[Finding]:
    asked = Wanted(samplerate=RATE, segment=1, **wanted)  # type: ignore[arg-type]
    return diagnose(root, asked, workers=1, progress=False).findings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    song(tmp_path / "train" / "plain", "wav", ".wav")
    song(tmp_path / "valid" / "held", "wav", ".wav", seed=2)
    return tmp_path


KINDS = {".mp3": "mp3", ".ogg": "ogg", ".flac": "flac", ".WAV": "wav", ".Flac": "flac",
         ".opus": "opus", ".aiff": "aiff", ".m4a": "m4a"}  # fmt: skip


@pytest.mark.parametrize("suffix", KINDS)
def test_what_the_decoder_reads_is_trained_on(
    root: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    song(root / "train" / "other", KINDS[suffix], suffix, seed=4)
    with caplog.at_level(logging.WARNING):
        track = tracks(root)[0]
    assert (track.name, track.frames) == ("other", FRAMES)
    part = track.read("drums", 9000, 5000).numpy()
    assert part.shape == (2, 5000)
    for channel in (0, 1):
        assert lag(noise(FRAMES, seed=5)[9000:14_000, channel], part[channel]) == 0
    assert track.read("drums", FRAMES + 5, 100).shape == (2, 0)
    slow = suffix in (".mp3", ".ogg", ".opus", ".m4a")
    assert (f"holds {suffix} files, which are decoded at each read" in caplog.text) == slow
    mine = [found for found in findings(root) if found.track == "train/other"]
    assert not [found for found in mine if found.severity is Severity.ERROR]
    assert [found.check for found in mine if found.check == "slow"] == ["slow"] * slow


def test_the_first_kind_of_a_stem_is_read_and_the_other_named(root: Path) -> None:
    (root / "train" / "plain" / "drums.mp3").write_bytes(encoded("mp3", FRAMES))
    assert WavFolder(root / "train" / "plain").path("drums").name == "drums.wav"
    (found,) = [one for one in findings(root) if one.check == "unread"]
    assert (found.severity, found.stem) == (Severity.NOTE, "drums")
    assert found.value == "drums.mp3 is not read, as drums.wav is"


def test_a_stem_in_a_file_that_is_not_read_is_told_of_by_both(root: Path) -> None:
    song(root / "train" / "other", "wav", ".wav", seed=4)
    path = root / "train" / "plain" / "drums.wav"
    path.rename(path.with_suffix(".xyz"))
    with pytest.raises(
        DatasetError, match=r"drums\.wav is missing \(drums\.xyz is not read, as its"
    ):
        tracks(root)
    errors = [one for one in findings(root, sources=SOURCES) if one.severity is Severity.ERROR]
    assert [(one.check, one.stem, one.value) for one in errors] == [
        ("missing", "drums", f"drums.xyz {NOT_AUDIO}")
    ]
    assert "ffmpeg -i" in errors[0].remedy


def test_stems_that_are_in_unread_files_alone_are_told_of(root: Path) -> None:
    path = root / "train" / "plain" / "drums.wav"
    path.rename(path.with_suffix(".xyz"))
    with pytest.raises(ConfigError, match=r"or add the files \(drums\.xyz cannot be read: write w"):
        tracks(root)


def test_songs_without_any_file_that_is_read_are_an_error(tmp_path: Path) -> None:
    """The doctor had no problem with them."""
    for split in ("train", "valid"):
        song(tmp_path / split / "a", "wav", ".xyz")
    found = findings(tmp_path)
    assert {(one.severity, one.check, one.track) for one in found} >= {
        (Severity.ERROR, "missing", "train/a"),
        (Severity.ERROR, "missing", "valid/a"),
    }
    assert "bass.xyz, drums.xyz cannot be read" in found[0].value


def test_a_split_that_is_a_file_is_refused_by_both(root: Path) -> None:
    shutil.rmtree(root / "train")
    (root / "train").write_text("songs")
    for look in (findings, tracks):
        with pytest.raises(DemucsError, match=r"train is (not a folder|a file)"):
            look(root)


MISPLACED = {
    "joined.flac": lambda: encoded("flac", FRAMES) + encoded("flac", FRAMES, seed=1),
    "joined.wav": lambda: encoded("wav", FRAMES) + encoded("wav", FRAMES, seed=1),
    "piped.flac": lambda: encoded("pipe.flac", FRAMES),
    "piped.wav": lambda: encoded("pipe.rf64.wav", FRAMES),
}


@pytest.mark.parametrize("name", MISPLACED)
def test_files_with_a_wrong_header_are_refused_by_both_until_mended(
    root: Path, tmp_path: Path, name: str
) -> None:
    folder = root / "train" / "plain"
    bad, mended = folder / f"drums{Path(name).suffix}", tmp_path / "OUT.wav"
    (folder / "drums.wav").unlink()
    bad.write_bytes(MISPLACED[name]())
    with pytest.raises(DatasetError, match=r"does not fit what it holds.*ffmpeg -i IN OUT\.wav"):
        tracks(root)
    errors = [one for one in findings(root) if one.severity is Severity.ERROR]
    assert ("unreadable", "drums") in [(one.check, one.stem) for one in errors]
    if name == "piped.wav":
        return  # ffmpeg itself reads nothing of it; `demucs` does
    ffmpeg("-i", str(bad), str(mended))
    assert part_info(mended).frames >= FRAMES


def test_a_flac_file_that_an_editor_cut_is_refused(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.flac", tmp_path / "cut.flac"
    whole.write_bytes(encoded("flac", FRAMES))
    ffmpeg("-ss", "1", "-i", str(whole), "-c", "copy", str(path))
    with pytest.raises(AudioError, match="does not fit what it holds"):
        part_info(path)


def test_a_part_is_what_libsndfile_gives(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(5000), RATE)
    np.testing.assert_array_equal(read_part(path, 700, 300).numpy().T, noise(5000)[700:1000])
    assert read_part(path, 5001).shape == (2, 0)
    with pytest.raises(AudioError, match="does not exist"):
        read_part(tmp_path / "none.wav")
