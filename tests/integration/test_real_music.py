"""The whole path on real music: the multitrack excerpt that stempeg ships.

stem file → wav folders → two epochs → release → evaluation → stems as wav and mp3, each step by
the command a user types.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs.evaluation import Results

REPOSITORY = Path(__file__).resolve().parents[2]
STEMS = ["drums", "bass", "other", "vocals"]
TRAINING = [
    "model=hdemucs",
    "hdemucs.channels=4",
    "dset.segment=3",
    "dset.shift=1",
    "augment.repitch.proba=0",
    "augment.remix.group_size=2",
    "batch_size=2",
    "model_segment=4",
    "epochs=2",
    "misc.num_workers=1",
    "ema.batch=[0.5]",
    "test.every=2",
]

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def excerpt() -> Path:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed; it decodes the .stem.mp4 that stempeg ships")
    import stempeg

    return Path(stempeg.example_stem_path())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    environment = {
        **os.environ,
        "DEMUCS_MUSDB": str(folder / "musdb"),
        "DEMUCS_OUTPUTS": str(folder / "outputs"),
    }

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    call.folder = folder
    return call


@pytest.fixture(scope="module")
def decoded(run, excerpt) -> Path:
    """The excerpt in MUSDB18-HQ layout; one song is all there is, so it stands in every split."""
    once = run.folder / "once"
    run("tools.decode_stems", str(excerpt), str(once))
    song = next(once.iterdir())
    for split in ("train", "valid", "test"):
        shutil.copytree(song, run.folder / "musdb" / split / f"{song.name} {split}")
    return song


@pytest.fixture(scope="module")
def signature(run, decoded) -> str:
    run("demucs.train", f"dset.metadata={run.folder / 'metadata'}", *TRAINING)
    return next((run.folder / "outputs" / "xps").iterdir()).name


@pytest.fixture(scope="module")
def releases(run, signature) -> Path:
    folder = run.folder / "release_models"
    run("tools.export", signature, "--out", str(folder))
    return folder


def test_the_excerpt_becomes_a_song_folder(decoded):
    found = {path.name for path in decoded.iterdir()}
    assert found == {f"{name}.wav" for name in ["mixture", *STEMS]}
    lengths = {soundfile.info(path).frames for path in decoded.iterdir()}
    assert len(lengths) == 1
    assert lengths.pop() > 5 * 44100


def test_training_learns_something(run, signature):
    experiment = run.folder / "outputs" / "xps" / signature
    history = json.loads((experiment / "history.json").read_text())
    assert len(history) == 2
    assert history[1]["train"]["loss"] < history[0]["train"]["loss"]
    assert np.isfinite(history[1]["test"]["nsdr"])


def test_the_release_is_evaluated_with_definitions(run, releases, signature):
    results = run.folder / "results.json"
    arguments = ["--repo", str(releases), "-n", signature, "--out", str(results)]
    printed = run("tools.test_pretrained", *arguments, "test.workers=1")
    assert "BSS Eval" in printed
    found = json.loads(results.read_text())
    for metric in ("nsdr", "sdr", "sdr_med", "isr", "sir", "sar"):
        stems = found["aggregates"][metric]["stems"]
        assert set(stems) == set(STEMS)
        assert all(np.isfinite(value) for value in stems.values())


def test_the_release_has_the_numbers_of_the_training(run, releases, signature):
    """What the solver measured of its best weights at the end, and what the export has."""
    results = run.folder / "again.json"
    arguments = ["--repo", str(releases), "-n", signature, "--out", str(results)]
    run("tools.test_pretrained", *arguments, "--metrics", "nsdr", "sdr", "test.workers=1")
    tested = Results.load(run.folder / "outputs" / "xps" / signature / "test" / "epoch_2.json")
    found = Results.load(results)
    assert tested.tracks.keys() == found.tracks.keys()
    assert list(tested.aggregates()) == list(found.aggregates())
    assert "sdr" in tested.aggregates()
    for name, track in found.tracks.items():
        for metric, row in track.values.items():
            assert row == pytest.approx(tested.tracks[name].values[metric], abs=0.01), metric
    assert found.warnings() == []


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_a_song_is_separated(run, releases, signature, decoded, kind):
    out = run.folder / f"separated {kind}"
    flags = ["--mp3"] if kind == "mp3" else ["--float32"]
    song = decoded / "mixture.wav"
    run(
        "demucs.separate",
        "--repo",
        str(releases),
        "-n",
        signature,
        "-o",
        str(out),
        *flags,
        str(song),
    )
    files = {path.stem: path for path in (out / signature / "mixture").iterdir()}
    assert set(files) == set(STEMS)
    expected = soundfile.info(song)
    for path in files.values():
        wav, rate = soundfile.read(path)
        assert path.suffix == f".{kind}"
        assert rate == expected.samplerate
        assert abs(len(wav) - expected.frames) <= (0 if kind == "wav" else 2400)
        assert np.isfinite(wav).all()
        assert np.abs(wav).max() > 0
