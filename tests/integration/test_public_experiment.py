"""A run of the public Demucs, as it lies on a cluster, continued and used by the commands here."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs.release.checkpoint import load_checkpoint
from tests.integration import warm

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests" / "golden")]
from public_run_files import unpack  # noqa: E402

RATE = 8000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with songs, and both runs in `outputs`."""
    root = tmp_path_factory.mktemp("place")
    noise = np.random.default_rng(0)
    seconds = np.arange(3 * RATE) / RATE
    for split, count in {"train": 4, "valid": 1, "test": 1}.items():
        for k in range(count):
            for number, source in enumerate(("drums", "bass", "other", "vocals"), 1):
                tone = 0.1 * np.sin(2 * np.pi * 60 * number * (k + 1) * seconds)
                wav = tone[:, None] + 0.02 * noise.standard_normal((len(seconds), 2))
                path = root / "songs" / split / f"{split}{k}" / f"{source}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wav.astype(np.float32), RATE, subtype="FLOAT")
    for name in ("hdemucs", "htdemucs"):
        unpack(name, root / "outputs")
    return root


def run(words: list[str], place: Path) -> str:
    """The output of Python on `words`, which has to succeed, run in `place`."""
    result = warm.run(
        args=[sys.executable, *words],
        cwd=place,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "DEMUCS_MUSDB": str(place / "songs"),
            "DEMUCS_OUTPUTS": str(place / "outputs"),
            "OMP_NUM_THREADS": "1",
        },
    )
    assert result.returncode == 0, result.stderr
    return str(result.stdout + result.stderr)


def call(place: Path, *words: str) -> str:
    return run(["-m", *words], place)


def signature(place: Path, model: str) -> str:
    for path in (place / "outputs" / "xps").glob("*/.argv.json"):
        if f"model={model}" in json.loads(path.read_text()):
            return path.parent.name
    raise AssertionError(model)


def test_it_is_used_before_anything_is_trained(place: Path) -> None:
    sig = signature(place, "hdemucs")
    listed = call(place, "tools.status")
    assert f"{sig}  model=hdemucs" in listed
    assert "2/3" in listed
    call(place, "tools.export", sig)
    song = str(place / "songs" / "test" / "test0" / "vocals.wav")
    for name in (["-s", sig], ["--repo", "release_models", "-n", sig]):
        call(place, "demucs", *name, "--float32", "-o", f"by{name[0]}", song)
    first, second = (  # the samples: the header of a wav file of floats has the time
        soundfile.read(place / f"by{flag}" / sig / "vocals" / "drums.wav")[0]
        for flag in ("-s", "--repo")
    )
    assert np.array_equal(first, second)
    call(place, "tools.archive", sig, "--no-sound")
    page = call(place, "tools.report", sig, "--musdb", str(place / "songs"), "--out", "page")
    assert "index.html" in page
    curves = str(REPOSITORY / "graphing_scripts" / "training_curves.py")
    run([curves, f"outputs/xps/{sig}", "--out", "figures"], place)
    assert (place / "figures" / "training_curves.png").exists()
    assert not (place / "outputs" / "xps" / sig / "checkpoint.public.th").exists()


def test_minus_f_continues_both_runs_in_their_folders(place: Path) -> None:
    before = sorted(path.name for path in (place / "outputs" / "xps").iterdir())
    songs = f"dset.musdb={place / 'songs'}"
    for model, more in (("hdemucs", []), ("htdemucs", [songs])):
        sig = signature(place, model)
        folder = place / "outputs" / "xps" / sig
        original = (folder / "checkpoint.th").read_bytes()
        argv = (folder / ".argv.json").read_text()
        public = json.loads((folder / "history.json").read_text())
        if model == "htdemucs":  # killed after the history was written, and before the checkpoint
            public.append(public[-1])
            (folder / "history.json").write_text(json.dumps(public))
        said = call(place, "demucs.train", "-f", sig, *more)
        assert f"{sig} was trained by the public Demucs" in said
        assert "resuming after 2 epochs" in said
        longer = "history.json has 3 epochs, and the checkpoint was saved after 2" in said
        assert longer == (model == "htdemucs")
        content = load_checkpoint(folder / "checkpoint.th")
        assert (content["epoch"], content["signature"]) == (3, sig)
        history = json.loads((folder / "history.json").read_text())
        assert history[:2] == public[:2]
        assert json.loads((folder / "history.public.json").read_text()) == public
        assert history == content["history"]
        assert (folder / "checkpoint.public.th").read_bytes() == original
        assert (folder / ".argv.json").read_text() == argv
        assert "3/3" in call(place, "tools.status", sig)
    assert sorted(path.name for path in (place / "outputs" / "xps").iterdir()) == before


def test_another_run_starts_from_its_weights(place: Path) -> None:
    sig = signature(place, "hdemucs")
    words = json.loads((place / "outputs" / "xps" / sig / ".argv.json").read_text())
    public = place / "outputs" / "xps" / sig / "checkpoint.public.th"
    if public.exists():  # continued by the test before
        shutil.copyfile(public, public.with_name("checkpoint.th"))
    said = call(
        place, "demucs.train", *words, f"continue_from={sig}", "continue_opt=true", "epochs=1",
        "max_batches=1", "test.every=0",
    )  # fmt: skip
    assert f"from the experiment {sig}: loaded 269 of 269 tensors" in said
