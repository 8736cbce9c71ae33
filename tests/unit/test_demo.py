"""The demo fits its training to the time, and a second call resumes the same experiment."""

import json
from pathlib import Path

import pytest
import torch

from demucs.training import measure, read_config
from tests.unit.training_support import tiny_config
from tools import demo

VARIANT = ["dset=demo", "variant=demo"]


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    step = {"seconds": 1.0}
    monkeypatch.setattr(measure, "seconds_per_step", lambda _: step["seconds"])
    return step


def test_without_a_limit_the_experiment_is_the_one_of_the_readme(
    tmp_path: Path, speed: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    for seconds in (0.1, 30.0):
        speed["seconds"] = seconds
        assert demo.plan(tmp_path, VARIANT, None) == VARIANT
    assert "500 steps and all else will take about 362 minutes" in capsys.readouterr().out


def test_steps_that_fit_the_time_are_trained_and_a_second_call_keeps_them(
    tmp_path: Path, speed: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    first = demo.plan(tmp_path, VARIANT, 10)
    assert first == [*VARIANT, "max_batches=195"]
    assert "The README's numbers are those of 500 steps" in capsys.readouterr().out
    speed["seconds"] = 0.2
    assert demo.plan(tmp_path, VARIANT, 10) == first
    assert demo.plan(tmp_path, VARIANT, 5) == VARIANT  # another wish; all 500 fit
    assert json.loads((tmp_path / demo.PLAN).read_text())["steps"] == 500


def test_overrides_of_the_steps_count(tmp_path: Path, speed: dict[str, float]) -> None:
    chosen = [*VARIANT, "epochs=1", "max_batches=30"]
    assert demo.plan(tmp_path, chosen, 10) == chosen


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "x"])
def test_minutes_that_are_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.parse(["--minutes", text])
    assert "--minutes" in capsys.readouterr().err


def test_real_steps_are_measured(tmp_path: Path) -> None:
    """Of a tiny network; no bound on the time but that there is one."""
    run = read_config(tiny_config(tmp_path))
    threads = torch.get_num_threads()
    assert 0 < measure.seconds_per_step(run, patience=0.0) < 60
    assert torch.get_num_threads() == threads
