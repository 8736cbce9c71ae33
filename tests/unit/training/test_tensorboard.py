"""What TensorBoard and the reference line show of a run."""

import json
from pathlib import Path

import pytest
import torch

from demucs.errors import ConfigError
from demucs.training.monitor.reference import Reference
from demucs.training.monitor.tensorboard import FOLDER, Board


def read_back(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / FOLDER))
    events.Reload()
    return events


def test_steps_epochs_and_sound_can_be_read_back(tmp_path: Path) -> None:
    board = Board.open(tmp_path, steps=0, every=2)
    for step in range(5):
        board.step(step, {"loss": 1.0 / (step + 1)})
    metrics = {
        "train": {"loss": 0.5},
        "valid": {"ema_batch_0": {"nsdr_vocals": 3.0}, "bname": "main"},
    }
    board.epoch(1, metrics)
    board.sound(1, "song", {"vocals": torch.randn(2, 4000), "bass": torch.zeros(2, 4000)}, 8000)
    board.close()
    events = read_back(tmp_path)
    assert [(one.step, one.value) for one in events.Scalars("step/loss")] == [
        (0, 1.0), (2, pytest.approx(1 / 3)), (4, pytest.approx(0.2)),
    ]  # fmt: skip
    assert events.Scalars("valid/ema_batch_0/nsdr_vocals")[0].value == 3.0
    assert {"song/vocals", "song/bass"} == set(events.Tags()["audio"])
    assert events.Audio("song/vocals")[0].sample_rate == 8000


def test_what_a_killed_run_wrote_too_much_is_hidden(tmp_path: Path) -> None:
    killed = Board.open(tmp_path, steps=0, every=1)
    for step in range(6):
        killed.step(step, {"loss": 9.0})
    killed.close()
    again = Board.open(tmp_path, steps=3, every=1)
    again.step(3, {"loss": 1.0})
    again.close()
    points = {(one.step, one.value) for one in read_back(tmp_path).Scalars("step/loss")}
    assert points == {(0, 9.0), (1, 9.0), (2, 9.0), (3, 1.0)}


def test_without_a_writer_nothing_happens(tmp_path: Path) -> None:
    for board in (Board.open(tmp_path, steps=0, every=0),
                  Board.open(tmp_path, steps=0, every=1, wanted=False)):  # fmt: skip
        board.step(0, {"loss": 1.0})
        board.epoch(1, {"train": {"loss": 1.0}})
        board.sound(1, "song", {"bass": torch.zeros(2, 10)}, 8000)
        board.close()
    assert not list(tmp_path.iterdir())


def test_a_run_is_placed_against_its_reference(tmp_path: Path) -> None:
    folder = tmp_path / "abcd1234"
    folder.mkdir()
    epochs = [{"train": {"loss": x}, "valid": {"loss": x, "nsdr": 5 - x}} for x in (0.5, 0.4, 0.3)]
    (folder / "history.json").write_text(json.dumps(epochs))
    reference = Reference.load(folder)
    line = reference.line(1, {"train": {"loss": 0.45}, "valid": {"loss": 0.4, "nsdr": 4.0}})
    assert "against abcd1234 at this epoch" in line
    assert "train loss 0.45000 and 0.50000 (-0.05000)" in line
    assert "valid nsdr 4.00 and 4.50 dB (-0.50)" in line
    assert line.endswith("it had this valid loss at epoch 2")
    late = reference.line(9, {"valid": {"loss": 0.2, "nsdr": float("nan")}})
    assert "its last epoch, 3" in late
    assert "nsdr" not in late
    assert late.endswith("it never had a valid loss as low")


def test_the_public_curve_is_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = Reference.load("public")
    assert [epoch["valid"]["nsdr"] for epoch in reference.history] == pytest.approx(
        [3.60, 4.37, 4.86, 5.12, 5.32], abs=0.006
    )
    metrics = {"train": {"loss": 0.3}, "valid": {"loss": 0.21, "nsdr": 4.1}}
    line = reference.line(1, metrics)
    assert line.startswith("against public (facebookresearch/demucs issue 354) at this epoch")
    assert "valid loss 0.21000 and 0.21910 (-0.00910), valid nsdr 4.10 and 3.60 dB (+0.50)" in line
    assert "train" not in line
    assert line.endswith("it had this valid loss at epoch 2")
    assert reference.line(5, {"valid": {"loss": 0.1}}).endswith(
        "its first 5 epochs had no valid loss as low"
    )
    assert reference.line(6, metrics) == "", "its later epochs are not known"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"misc\.reference=public cannot be read"):
        Reference.load(Path("public"))
    with pytest.raises(ConfigError, match="or `public`"):
        Reference.load("./public")


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", None])
def test_what_is_no_history_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "history.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"misc\.reference=.*history"):
        Reference.load(path)
