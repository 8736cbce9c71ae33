"""Releases of several seeds, evaluated and compared by the real command lines."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.evaluation import Results
from demucs.nn import ModelSpec, build_model
from demucs.release import ReleaseInfo, save_release
from demucs.release.bagfile import BagFile, bag_text
from tests.integration import warm

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
SOURCES = ["drums", "vocals"]
SPEC = ModelSpec(
    name="hdemucs",
    kwargs={"sources": SOURCES, "channels": 4, "nfft": 256, "depth": 4, "samplerate": RATE,
            "segment": 1.0},
)  # fmt: skip
RUNS = {"first": (42, 3), "second": (43, 3), "longer": (42, 9)}  # seed and epochs


@pytest.fixture
def here(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "songs" / name).mkdir(parents=True)
        for source in SOURCES:
            wav = 0.2 * rng.standard_normal((RATE, 2))
            path = tmp_path / "songs" / name / f"{source}.wav"
            soundfile.write(path, wav, RATE, subtype="FLOAT")
    for index, (name, (seed, epochs)) in enumerate(RUNS.items()):
        torch.manual_seed(index)
        config = {"seed": seed, "epochs": epochs, "dset": {"musdb": name}, "test": {"shifts": 0}}
        info = ReleaseInfo(signature=name, spec=SPEC, config=config,
                           provenance={"test_set_seen": "no"})  # fmt: skip
        path = tmp_path / "release_models" / f"{name}.safetensors"
        save_release(path, build_model(SPEC).state_dict(), info)
    return tmp_path


def run(folder, *words, code=0):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DEMUCS_", "SLURM_"))}
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = warm.run(args=[sys.executable, "-m", *words], cwd=folder, env=env)
    assert done.returncode == code, done.stderr
    return done


def evaluate(folder, name):
    run(folder, "tools.test_pretrained", "-n", name, "--musdb", "songs", "--metrics", "nsdr")
    return Path("release_models") / f"evaluation_{name}.json"


def test_runs_that_differ_in_their_seed_are_one_row(here):
    files = [str(evaluate(here, name)) for name in RUNS]
    models = [Results.load(here / file).model for file in files]
    assert [model["seed"] for model in models] == [42, 43, 42]
    assert models[0]["recipe"] == models[1]["recipe"] != models[2]["recipe"]
    done = run(here, "tools.compare", *files)
    assert "A: first, second: 2 seeds (42, 43)\nB: longer: 1 seed (42)" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("A (2)"))
    assert row.count("±") == len([*SOURCES, "mean"])
    again = run(here, "tools.compare", files[0], files[1], files[0], code=1)
    assert "evaluations of the same weights" in again.stderr


def test_a_bag_has_no_seed(here):
    content = BagFile(models=["first", "longer"], weights=[[1, 0], [0, 1]])
    (here / "release_models" / "both.yaml").write_text(bag_text(content))
    model = Results.load(here / evaluate(here, "both")).model
    assert "seed" not in model
    assert "recipe" not in model
