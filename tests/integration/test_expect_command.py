"""`python3 -m tools.expect`: kept runs, runs of the public solver, missing and broken files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import warm

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = REPOSITORY / "demucs_results" / "slurm_9893ada6"
PUBLIC_CONFIG = """\
model: hdemucs
epochs: 3
batch_size: 32
continue_from: null
continue_pretrained: null
dset:
  segment: 6
augment:
  remix:
    proba: 1
    group_size: 4
  repitch:
    proba: 0.2
ema:
  epoch: []
  batch: []
svd:
  penalty: 1e-05
test:
  metric: loss
  best: true
  shifts: 1
  overlap: 0.25
"""


def call(cwd: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "DEMUCS_OUTPUTS"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    command = [sys.executable, "-m", "tools.expect", *map(str, arguments)]
    return warm.run(command, cwd=cwd, env=environment)


def causes(text: str) -> dict[str, bool | None]:
    (run,) = json.loads(text)
    return {item["cause"]: item["applies"] for item in run["checklist"]}


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """An experiment of the public solver: its three files, and nothing else."""
    folder = tmp_path / "outputs" / "xps" / "53288a8c"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(PUBLIC_CONFIG)
    (folder / ".argv.json").write_text(json.dumps(["model=hdemucs", "dset.segment=6"]))
    epochs = [
        {"train": {"loss": 0.3}, "valid": {"loss": 0.2, "nsdr": nsdr, "best": 0.2, "bname": "main",
                                           "penalty": penalty}}
        for nsdr, penalty in ((3.0, 200.0), (3.5, 240.0), (-14.9, 15000.0))
    ]  # fmt: skip
    (folder / "history.json").write_text(json.dumps(epochs))
    return folder


def test_a_kept_run_is_judged(tmp_path: Path) -> None:
    done = call(tmp_path, KEPT)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    text = " ".join(done.stdout.split())
    assert "slurm_9893ada6: hdemucs, 12 of 12 epochs, valid nSDR 6.19 dB" in text
    assert "6 of 12 causes of a low number apply" in text
    assert "short segments: 0.6 dB dset.segment=4 s" in text
    assert "source: arXiv:2211.08553, table 2" in text
    assert "not comparable" in text


def test_an_experiment_of_the_public_solver_is_judged(tmp_path: Path, public: Path) -> None:
    done = call(tmp_path, "53288a8c", "--json")
    assert done.returncode == 0, done.stderr
    found = causes(done.stdout)
    assert found["the penalty on singular values explodes"] is True
    assert found["short segments"] is True
    assert found["no moving average of the weights is evaluated"] is True
    assert found["the best epoch is chosen by loss"] is True
    assert found["one network is compared with a bag"] is True
    assert found["remix is missing, or fewer than 4 songs a process break its groups"] is None
    assert found["no repitch"] is False
    for rank in range(1, 16):
        (public / f"worker_{rank}.log").touch()
    (run,) = json.loads(call(tmp_path, public, "--json").stdout)
    (remix,) = (item for item in run["checklist"] if item["cause"].startswith("remix"))
    assert remix["applies"] is True
    assert "2 songs a process" in remix["reason"]
    assert run["first_epochs"]["rows"][0]["difference"] == pytest.approx(-0.604)


def test_missing_and_broken_files_are_said(tmp_path: Path, public: Path) -> None:
    (public / "history.json").write_text("[{")
    done = call(tmp_path, "53288a8c")
    assert done.returncode == 0
    assert "note: history.json cannot be read" in done.stdout
    assert "short segments" in done.stdout
    shutil.rmtree(public / ".hydra")
    (public / "history.json").unlink()
    done = call(tmp_path, "53288a8c")
    assert done.returncode == 0
    assert "note: its folder has no history.json" in done.stdout
    assert "dset.segment=6 s" in done.stdout, "as it was typed"
    (public / ".argv.json").unlink()
    done = call(tmp_path, "53288a8c", "--json")
    assert done.returncode == 0
    assert set(causes(done.stdout).values()) == {None, True}


def test_several_runs_and_one_that_is_not_there(tmp_path: Path, public: Path) -> None:
    done = call(tmp_path, "53288a8c", KEPT, "--json")
    assert [run["name"] for run in json.loads(done.stdout)] == ["53288a8c", "slurm_9893ada6"]
    done = call(tmp_path, "0a1b2c3d")
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr.count("\n") == 1
    assert "there is no experiment and no release '0a1b2c3d'" in done.stderr
    assert "53288a8c" in done.stderr
    assert call(tmp_path, tmp_path / "nowhere").returncode == 1


def test_a_run_beside_its_release_is_read_without_torch(tmp_path: Path, public: Path) -> None:
    (tmp_path / "release_models").mkdir()
    (tmp_path / "release_models" / "53288a8c.safetensors").touch()
    code = (
        "import sys\n"
        "from tools.expect import main\n"
        "main(['53288a8c', sys.argv[1]])\n"
        "assert not {'torch', 'hydra', 'dora'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(KEPT)], cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
