"""`model=torch_hdemucs` as it is typed: train, export, evaluate, separate; and its network."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demucs.nn import ModelSpec, build_empty, build_model
from demucs.pretrained import get_model
from demucs.release import ReleaseInfo, save_release
from demucs.release.checkpoint import load_checkpoint
from tools.convert import main as convert

REPOSITORY = Path(__file__).resolve().parents[2]
RATE = 8000
STEMS = ("drums", "bass", "other", "vocals")
TINY = {"channels": 4, "nfft": 256, "depth": 4}
KWARGS = {"sources": ["a", "b"], "samplerate": RATE, "segment": 1.0, **TINY}
OVERRIDES = [
    "model=torch_hdemucs",
    *(f"torch_hdemucs.{key}={value}" for key, value in TINY.items()),
    "torch_hdemucs.norm_starts=2",  # the time branch then ends in a norm that is not used
    f"dset.samplerate={RATE}",
    f"dset.musdb_samplerate={RATE}",
    "dset.segment=0.6",
    "dset.shift=0.1",
    "augment.repitch.proba=0",
    "augment.remix.group_size=2",
    "batch_size=4",
    "max_batches=3",
    "epochs=1",
    "test.every=0",
    "svd.penalty=1e-5",
    "ema.batch=[0.5]",
    "model_segment=1",
    "misc.num_workers=0",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place to work in, with a few seconds of songs."""
    root = tmp_path_factory.mktemp("work")
    noise = np.random.default_rng(0)
    for song in ("train/1", "train/2", "train/3", "valid/1", "test/1"):
        wavs = {stem: 0.1 * noise.standard_normal((RATE * 3 // 2, 2)) for stem in STEMS}
        (root / "songs" / song).mkdir(parents=True)
        for stem, wav in {**wavs, "mixture": sum(wavs.values())}.items():
            soundfile.write(root / "songs" / song / f"{stem}.wav", wav, RATE, subtype="FLOAT")
    return root


def run(folder: Path, *command: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DEMUCS_")}
    environ |= {
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "DEMUCS_MUSDB": str(folder / "songs"),
        "DEMUCS_OUTPUTS": str(folder / "outputs"),
    }
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_training_to_stems(folder):
    """By two processes, which wait for the gradient of each weight that has one."""
    told = run(folder, "tools.launch", "2", *OVERRIDES)
    assert "2 process(es)" in told
    (experiment,) = (folder / "outputs" / "xps").iterdir()
    content = load_checkpoint(experiment / "checkpoint.th")
    assert (content["epoch"], content["spec"]["name"]) == (1, "torch_hdemucs")
    assert all(name.startswith("torch_hdemucs.") for name in content["model"])

    name = experiment.name
    run(folder, "tools.export", name)
    state = get_model(name, folder / "release_models").state_dict()
    best = content["best"]["state"]
    assert all(torch.allclose(state[key], best[key], atol=1e-3) for key in best)

    evaluated = run(folder, "tools.test_pretrained", "-n", name, "--metrics", "nsdr")
    assert "vocals" in evaluated
    repo = ("--repo", "release_models")
    run(folder, "demucs", *repo, "-n", name, "--float32", "songs/test/1/mixture.wav")
    for stem in STEMS:
        wav, rate = soundfile.read(folder / "separated" / name / "mixture" / f"{stem}.wav")
        assert (wav.shape, rate) == ((RATE * 3 // 2, 2), RATE)
        assert np.abs(wav).max() > 0


def test_it_is_torchaudios_network():
    from torchaudio.models import HDemucs

    model = build_model(ModelSpec(name="torch_hdemucs", kwargs=KWARGS)).eval()
    torch.manual_seed(0)
    assert isinstance(model.torch_hdemucs, HDemucs)
    mix = torch.randn(2, 2, 5000)
    with torch.no_grad():
        assert torch.equal(model(mix), model.torch_hdemucs(mix))
    empty = build_empty(ModelSpec(name="torch_hdemucs", kwargs=KWARGS))
    assert {key: value.shape for key, value in empty.state_dict().items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    axes = model.stem_axes()
    assert len(axes) == 4
    assert all(model.state_dict()[name].shape[axis] % 2 == 0 for name, axis in axes.items())


@pytest.mark.parametrize("length", [1, 64, 100, 176, 177, 191, 192, 4001])
def test_any_length_is_separated(length):
    """torchaudio pads by reflection, and refuses what is too short for that."""
    model = build_model(ModelSpec(name="torch_hdemucs", kwargs=KWARGS)).eval()
    with torch.no_grad():
        stems = model(torch.randn(1, 2, length))
    assert stems.shape == (1, 2, 2, length)
    assert stems.isfinite().all()


def test_its_special_size_of_the_stft():
    kwargs = {**KWARGS, "nfft": 2048, "depth": 6}
    model = build_model(ModelSpec(name="torch_hdemucs", kwargs=kwargs)).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 2, 9000)).shape == (1, 2, 2, 9000)


@pytest.mark.parametrize("kind", ["th", "safetensors"])
def test_public_files_there_and_back(tmp_path, kind):
    spec = ModelSpec(name="torch_hdemucs", kwargs=KWARGS)
    state = build_model(spec).state_dict()
    info = ReleaseInfo(signature="it", spec=spec, config={}, provenance={})
    save_release(tmp_path / "it.safetensors", state, info)
    for name, repo, out in ((kind, "", "public"), ("release", "public", "back")):
        places = ["--repo", str(tmp_path / repo), "--out", str(tmp_path / out)]
        assert convert(["it", "--to", name, *places]) == 0
        back = get_model("it", tmp_path / out).state_dict()
        assert all(torch.equal(back[key], state[key]) for key in state)
