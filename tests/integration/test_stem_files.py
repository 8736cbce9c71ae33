"""MUSDB18 stem files: the excerpt that stempeg ships, read in pieces, decoded by the tool."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs.audio.ffmpeg import ffmpeg_available
from demucs.data import AugmentConfig, Track, TrainingSet, find_tracks, training_loader
from demucs.data.readers import StemFile
from demucs.errors import AudioError, DatasetError
from tests.integration import warm

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("drums", "bass", "other", "vocals")
RATE = 44100


@pytest.fixture(scope="module")
def excerpt() -> Path:
    if not ffmpeg_available():
        pytest.skip("ffmpeg is not installed; it decodes the .stem.mp4 that stempeg ships")
    import stempeg

    return Path(stempeg.example_stem_path())


@pytest.fixture(scope="module")
def whole(excerpt: Path) -> np.ndarray:
    """The decoded file, [5, T, C]."""
    import stempeg

    samples, rate = stempeg.read_stems(str(excerpt), dtype=np.float32)
    assert rate == RATE
    return np.asarray(samples)


@pytest.fixture
def musdb(excerpt: Path, tmp_path: Path) -> Path:
    for split in ("train", "valid"):
        (tmp_path / "musdb" / split).mkdir(parents=True)
        shutil.copy(excerpt, tmp_path / "musdb" / split / f"{split} song.stem.mp4")
    return tmp_path / "musdb"


def decode(*args: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.decode_stems", *map(str, args)]
    return warm.run(command, cwd=REPOSITORY)


def test_pieces_equal_the_whole_to_the_sample(excerpt: Path, whole: np.ndarray) -> None:
    reader = StemFile(excerpt)
    length = whole.shape[1]
    streams = {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}
    ranges = [(0, 100), (1, 7), (1023, 2050), (44099, 3), (44100, 44100), (88201, 50000)]
    ranges += [(100_003, 12_345), (length - 10, 50), (length, 5)]
    for (start, frames), source in zip(ranges, [*streams, *streams], strict=False):
        piece = reader.read(source, start, frames).numpy()
        expected = whole[streams[source], start : start + frames].T
        np.testing.assert_array_equal(piece, expected, err_msg=f"{source} {start} {frames}")
    np.testing.assert_array_equal(reader.read("vocals").numpy(), whole[4].T)
    assert np.abs(whole[1]).max() > 0.01  # the excerpt is music, so equality says something


def test_a_stem_tree_is_found_measured_and_trained_on(musdb: Path, whole: np.ndarray) -> None:
    (track,) = find_tracks(musdb, "train", sources=SOURCES)
    assert (track.name, track.frames, track.samplerate) == ("train song", whole.shape[1], RATE)
    mono = whole[0].mean(1, dtype=np.float64)
    assert track.mean == pytest.approx(mono.mean(), rel=1e-4, abs=1e-9)
    assert track.std == pytest.approx(mono.std(ddof=1), rel=1e-5)
    mixture, stems = track.load()
    np.testing.assert_array_equal(mixture.numpy(), whole[0].T)
    np.testing.assert_array_equal(stems[1].numpy(), whole[2].T)
    assert _example(track).shape == (2, 4, 2, RATE)


def _example(track: Track) -> np.ndarray:
    augment = AugmentConfig(repitch_proba=0)
    data = TrainingSet([track], segment=2, shift=1, augment=augment)
    (batch,) = training_loader(data, batch_size=2, epoch=0, max_batches=1)
    return batch.numpy()


def test_decoding_gives_the_musdb_hq_layout_and_the_same_music(
    musdb: Path, whole: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "hq"
    done = decode(musdb, out)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 tracks" in done.stdout
    assert "10 files new" in done.stdout
    (stems,) = find_tracks(musdb, "train", sources=SOURCES)
    (wavs,) = find_tracks(out, "train", sources=SOURCES)
    assert (wavs.name, wavs.frames) == (stems.name, stems.frames)
    assert np.abs(whole[2]).max() > 1  # AAC overshoots, 16 bits cannot
    assert "clipped" in done.stderr
    expected = whole[2].T.clip(-1, 1)
    np.testing.assert_allclose(wavs.read("bass").numpy(), expected, atol=1.01 / 2**15)
    difference = np.abs(_example(wavs) - _example(stems))
    assert difference.mean() < 1e-3  # rounding, and a few clipped samples
    files = sorted(p.name for p in (out / "valid" / "valid song").iterdir())
    assert files == sorted([*(f"{s}.wav" for s in SOURCES), "mixture.wav"])


def test_decoding_again_makes_only_what_is_missing(excerpt: Path, tmp_path: Path) -> None:
    first = decode(excerpt, tmp_path, "--float32")
    assert first.returncode == 0, first.stderr
    (folder,) = tmp_path.iterdir()
    reader = StemFile(excerpt)
    exact = soundfile.read(str(folder / "drums.wav"), dtype="float32")[0].T
    np.testing.assert_array_equal(exact, reader.read("drums").numpy())
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "bass.wav").unlink()
    again = decode(excerpt, tmp_path)
    assert "1 files new" in again.stdout
    assert all(p.stat().st_mtime_ns == t for p, t in times.items() if p.name != "bass.wav")


def test_a_broken_stem_file_is_named_and_the_others_are_decoded(
    musdb: Path, tmp_path: Path
) -> None:
    broken = musdb / "train" / "broken.stem.mp4"
    broken.write_bytes(b"this is no music")
    done = decode(musdb, tmp_path / "hq")
    assert done.returncode == 1
    assert "broken.stem.mp4 cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert "2 of 3 tracks" in done.stdout
    with pytest.raises(AudioError, match=r"broken\.stem\.mp4 cannot be read"):
        StemFile(broken).header("bass")
    with pytest.raises(DatasetError, match=r"broken\.stem\.mp4 cannot be read"):
        find_tracks(musdb, "train", sources=SOURCES)


def test_a_file_with_one_stream_is_no_stem_file(excerpt: Path, tmp_path: Path) -> None:
    ffmpeg = shutil.which("ffmpeg")
    assert ffmpeg is not None
    single = tmp_path / "single.stem.mp4"
    command = [ffmpeg, "-v", "error", "-i", str(excerpt), "-map", "0:a:0", "-c", "copy"]
    subprocess.run([*command, str(single)], check=True)
    with pytest.raises(AudioError, match=r"\(bass: 1 audio streams, and none with number 2"):
        StemFile(single).read("bass")


def test_nothing_to_decode(tmp_path: Path) -> None:
    done = decode(tmp_path, tmp_path / "out")
    assert done.returncode == 1
    assert "holds no .stem.mp4 file" in done.stderr
    done = decode(tmp_path / "nowhere", tmp_path / "out")
    assert done.returncode == 1
    assert "nowhere does not exist" in done.stderr
    assert not (tmp_path / "out").exists()
