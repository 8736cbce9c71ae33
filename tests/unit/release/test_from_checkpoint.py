"""`demucs -s SIG`: the best model of an experiment, from its checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch

from demucs.errors import CheckpointError, ModelNotFoundError
from demucs.nn import ModelSpec, build_model
from demucs.release.checkpoint import save_checkpoint
from demucs.release.from_checkpoint import load_experiment

SPEC = ModelSpec(
    name="hdemucs", kwargs={"sources": ["a", "b"], "channels": 4, "nfft": 1024, "depth": 4}
)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEMUCS_OUTPUTS", str(tmp_path))
    path = tmp_path / "xps" / "abc123" / "checkpoint.th"
    path.parent.mkdir(parents=True)
    return path


def test_the_best_state_is_loaded(checkpoint: Path) -> None:
    best = build_model(SPEC).state_dict()
    save_checkpoint(checkpoint, {"spec": SPEC.to_dict(), "best": {"state": best}})
    model = load_experiment("abc123")
    assert not model.training
    assert all(torch.equal(value, best[key]) for key, value in model.state_dict().items())


def test_a_missing_experiment_is_named(checkpoint: Path) -> None:
    checkpoint.touch()
    for signature in ("abd", "../xps/abc123"):
        with pytest.raises(ModelNotFoundError, match=f"{signature}.*There are: abc123"):
            load_experiment(signature)


@pytest.mark.parametrize(
    "kind", ["garbage", "empty", "no spec", "no best", "another network", "flipped bit"]
)
def test_a_corrupted_checkpoint_is_named(checkpoint: Path, kind: str) -> None:
    state: dict[str, Any] = {"spec": SPEC.to_dict(), "best": {"state": {}}}
    if kind == "garbage":
        checkpoint.write_bytes(b"not a checkpoint" * 9)
    elif kind == "empty":
        checkpoint.write_bytes(b"")
    else:
        if kind.startswith("no "):
            del state[kind.removeprefix("no ")]
        save_checkpoint(checkpoint, state)
    if kind == "flipped bit":
        data = bytearray(checkpoint.read_bytes())
        data[-5] ^= 1
        checkpoint.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"abc123.checkpoint\.th.*(`dora run|backup)"):
        load_experiment("abc123")
