"""What a run tells while it trains, and switches that the solver passes on."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from training_support import SOURCES, tiny_config, write_songs

from demucs.errors import ConfigError
from demucs.release.checkpoint import NAME
from demucs.training import Interrupted, Solver, find_songs, load_checkpoint, read_config
from demucs.training.monitor.tensorboard import FOLDER

QUANT = ("quant.qat=6", "quant.min_size=0.0005")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"), train=3, valid=1, test=1)


def solver(songs: Path, folder: Path, *overrides: str, **kwargs: Any) -> Solver:
    run = read_config(tiny_config(songs, *overrides))
    return Solver(run, find_songs(run), folder=folder, signature="abc", **kwargs)


def test_curves_and_sound_of_a_run(songs: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    switches = ("optim.warmup=2", "optim.schedule=linear", "optim.lr=1e-3")
    solver(songs, tmp_path, "epochs=3", "misc.board=1", *switches).train()
    events = EventAccumulator(str(tmp_path / FOLDER), {"audio": 0, "scalars": 0})
    events.Reload()
    rates = [(one.step, one.value) for one in events.Scalars("step/lr")]
    assert [step for step, _ in rates] == list(range(9))
    shares = [1 / 3, 2 / 3, *(1 - k / 6 for k in range(7))]
    assert [value for _, value in rates] == pytest.approx([1e-3 * share for share in shares])
    for name in ("loss", "reco_drums", "grad", "examples_per_second"):
        assert len(events.Scalars(f"step/{name}")) == 9
    assert events.Scalars("step/examples_per_second")[-1].value > 0
    nsdr = [(one.step, one.value) for one in events.Scalars("valid/nsdr_vocals")]
    history = load_checkpoint(tmp_path / NAME)["history"]
    expected = [(k, pytest.approx(one["valid"]["nsdr_vocals"])) for k, one in enumerate(history, 1)]
    assert nsdr == expected
    heard = {"mixture", *SOURCES, *(f"{source}_reference" for source in SOURCES)}
    assert set(events.Tags()["audio"]) == {f"valid0/{name}" for name in heard}
    assert [one.step for one in events.Audio("valid0/mixture")] == [1, 2, 3]  # 3: the last


def test_the_learning_rate_goes_on_after_a_stop(songs: Path, tmp_path: Path) -> None:
    switches = ("epochs=2", "optim.schedule=cosine", "misc.board=0")
    solver(songs, tmp_path / "whole", *switches).train()
    stopped = solver(songs, tmp_path / "parts", *switches, should_stop=lambda: True)
    with pytest.raises(Interrupted):
        stopped.train()
    solver(songs, tmp_path / "parts", *switches).train()
    one, other = (load_checkpoint(tmp_path / name / NAME) for name in ("whole", "parts"))
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())


def test_the_rate_is_the_configured_one_with_another_runs_optimiser(
    songs: Path, tmp_path: Path
) -> None:
    solver(songs, tmp_path / "abcd", "epochs=1", "optim.lr=1e-3").train()
    more = ("continue_from=abcd", "continue_opt=true", "optim.lr=1e-5")
    tuned = solver(songs, tmp_path / "tuned", "epochs=1", *more)
    tuned.train()
    assert [group["lr"] for group in tuned.state.optimiser.param_groups] == [1e-5]


def test_the_first_epochs_are_compared_with_the_public_ones(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        solver(songs, tmp_path, "epochs=6", "max_batches=1", "misc.reference=public").train()
    messages = [record.getMessage() for record in caplog.records]
    lines = [text for text in messages if text.startswith("against public")]
    assert len(lines) == 5, "epoch 6 of that run is not known"
    assert all("(facebookresearch/demucs issue 354) at this epoch" in text for text in lines)
    assert "and 5.32 dB" in lines[-1]
    assert "" not in messages


def test_each_epoch_is_compared_with_the_reference(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    solver(songs, tmp_path / "one", "epochs=1", on_history=lambda one: told.append(one)).train()
    history = tmp_path / "one" / "history.json"
    history.write_text(json.dumps(told[-1]))
    with caplog.at_level(logging.INFO):
        solver(songs, tmp_path / "two", "epochs=2", f"misc.reference={history.parent}").train()
    lines = [text for text in caplog.messages if text.startswith("against one")]
    assert len(lines) == 2
    assert "(+0.00)" in lines[0]  # the same run
    assert "its last epoch, 1" in lines[1]
    with pytest.raises(ConfigError, match=r"misc.reference=.*cannot be read"):
        solver(songs, tmp_path / "three", f"misc.reference={tmp_path / 'none.json'}")


def test_a_quantised_run_keeps_plain_weights_of_few_values(songs: Path, tmp_path: Path) -> None:
    pytest.importorskip("diffq", reason="needs the package diffq: pip install '.[quant]'")
    epochs = ("epochs=2", "test.every=2", "test.sdr=false", "ema.batch=[0.5]", "misc.board=0")
    trained = solver(songs, tmp_path / "whole", *epochs, *QUANT)
    trained.train()
    best = load_checkpoint(tmp_path / "whole" / NAME)["best"]
    plain = solver(songs, tmp_path / "plain", *epochs)
    plain.model.load_state_dict(best["state"])  # an ordinary model's, all of it
    weight = max(best["state"].values(), key=torch.numel)
    assert len(weight.unique()) <= 2**6
    epoch = trained.state.history[-1]
    assert 0 < epoch["valid"]["ms"] < sum(one.numel() for one in best["state"].values()) / 2**18
    assert "nsdr" in epoch["test"]
    for quiet in (0, 2):  # after the first step, and in the validation
        asked = iter([*[False] * quiet, True])
        stopped = solver(songs, tmp_path / "parts", *epochs, *QUANT, should_stop=asked.__next__)
        with pytest.raises(Interrupted, match="validation" if quiet else "1 batches"):
            stopped.train()
    solver(songs, tmp_path / "parts", *epochs, *QUANT).train()
    one, other = (load_checkpoint(tmp_path / name / NAME) for name in ("whole", "parts"))
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())
    assert all(
        torch.equal(value, other["best"]["state"][name])
        for name, value in one["best"]["state"].items()
    )


def test_a_compiled_model_trains_the_same(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced but run by PyTorch's own kernels: making others takes minutes on a CPU."""
    compile_ = torch.compile
    asked: list[dict[str, Any]] = []

    def quickly(model: torch.nn.Module, **kwargs: Any) -> Any:
        asked.append(kwargs)
        return compile_(model, **{**kwargs, "backend": "eager"})

    monkeypatch.setattr(torch, "compile", quickly)
    switches = ("epochs=1", "max_batches=2", "micro_batch=1", "misc.board=0")
    solver(songs, tmp_path / "plain", *switches).train()
    solver(songs, tmp_path / "compiled", *switches, "compile=true").train()
    assert asked == [{"dynamic": False, "backend": "inductor"}]
    plain, compiled = (load_checkpoint(tmp_path / name / NAME) for name in ("plain", "compiled"))
    assert plain["model"].keys() == compiled["model"].keys()
    for name, value in plain["model"].items():
        torch.testing.assert_close(value, compiled["model"][name], rtol=1e-4, atol=1e-5)
