"""A wheel of the project, installed outside the clone: it trains, exports, separates, evaluates."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
TINY = (
    "hdemucs.channels=4", "hdemucs.nfft=256", "hdemucs.depth=4", "dset.samplerate=8000",
    "dset.musdb_samplerate=8000", "dset.segment=0.6", "dset.shift=0.3", "augment.repitch.proba=0",
    "batch_size=2", "model_segment=1", "misc.num_workers=0", "epochs=1", "max_batches=2",
    "test.every=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, beside the libraries of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listed.returncode:
        pytest.skip("not a clone: git does not list the files of the project")
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith(("demucs_results/", "tests/")) and (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", ".", "--no-deps", "-w", folder], cwd=source, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.rmtree(source)
    return folder / "env" / "bin"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a program of that environment, in a folder of the user's; gives what it printed."""
    for split, name in (("train", "a"), ("train", "b"), ("valid", "c"), ("test", "d")):
        for number, stem in enumerate(("drums", "bass", "other", "vocals"), 1):
            wav = 0.1 * np.sin(np.arange(2 * RATE)[:, None] * (0.02 * number + 0.01)) + [[0, 0]]
            (tmp_path / "songs" / split / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(tmp_path / "songs" / split / name / f"{stem}.wav", wav, RATE)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DEMUCS_", "PYTHON"))}
    environment = {**kept, "OMP_NUM_THREADS": "1", "DEMUCS_MUSDB": str(tmp_path / "songs")}

    def program(name: str, *arguments: str) -> str:
        done = subprocess.run(
            [installed / name, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return program


def test_a_wheel_trains_exports_separates_and_evaluates(
    run: Callable[..., str], tmp_path: Path
) -> None:
    where = run("python", "-c", "import demucs, tools; print(demucs.__file__, tools.__file__)")
    assert str(ROOT) not in where

    run("python", "-m", "demucs.train", "model=hdemucs", *TINY)
    (experiment,) = (tmp_path / "outputs" / "xps").iterdir()
    run("python", "-m", "tools.export", experiment.name)
    song = tmp_path / "songs" / "test" / "d" / "drums.wav"
    run("demucs", "--repo", "release_models", "-n", experiment.name, str(song))
    stems = list((tmp_path / "separated" / experiment.name / "drums").glob("*.wav"))
    assert sorted(path.stem for path in stems) == ["bass", "drums", "other", "vocals"]
    assert {soundfile.info(path).frames for path in stems} == {2 * RATE}

    table = run("python", "-m", "tools.test_pretrained", "-n", experiment.name, "test.workers=0",
                "--repo", "release_models")  # fmt: skip
    assert "vocals" in table
    assert (tmp_path / "release_models" / f"evaluation_{experiment.name}.json").is_file()
    run("python", "-m", "tools.report", experiment.name)
    assert list(tmp_path.rglob("index.html"))
    assert "htdemucs" in run("demucs", "--list-models")
