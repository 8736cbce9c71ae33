"""Runs of the public solver that are continued here (tests/golden/make_public_runs.py).

From its checkpoint, on the examples of its third epoch, ours has the losses, the nSDR and the
weights that it has itself; and what is exported of it has the bits of its own export.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from trace_support import batches, cases, means_of, projections_of  # isort: skip
from public_run_files import FOLDER, unpack
from training_support import plain_config

from demucs.nn import build_model
from demucs.release.checkpoint import NAME, PUBLIC_NAME, load_checkpoint, save_checkpoint
from demucs.release.export import prepare
from demucs.training import read_config
from demucs.training.distributed.averages import Averages
from demucs.training.optim.optimizer import build_optimiser, parameter_groups
from demucs.training.run_config import RunConfig
from demucs.training.start import start_from
from demucs.training.state import TrainingState, new_averages
from demucs.training.step import Step

RUNS = ("hdemucs", "htdemucs")
DONE = 2  # epochs of the checkpoint
LOSS = 1e-4  # relative, of losses, penalty and norm of the gradient
NSDR = 5e-4  # dB
WEIGHTS = 2e-3  # of the distance travelled


def golden(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return content


def begun(name: str, folder: Path) -> tuple[RunConfig, TrainingState]:
    """The state of a run, resumed in a folder."""
    run = read_config(plain_config(*golden(name)["overrides"], "svd.warm=false"))
    model = build_model(run.spec)
    optimiser = build_optimiser(parameter_groups(model), run.options.optim)
    by_batch, by_epoch = new_averages(run.options.ema)
    state = TrainingState(
        model=model,
        optimiser=optimiser,
        step=Step(model, model, optimiser, run.options, run.options.dset.sources),
        batch_averages=by_batch,
        epoch_averages=by_epoch,
    )
    start_from(state, run, folder)
    return run, state


@pytest.mark.parametrize("name", RUNS)
def test_the_next_epoch_is_the_one_that_the_public_solver_trains(name: str, tmp_path: Path) -> None:
    public = golden(name)
    run, state = begun(name, unpack(name, tmp_path))
    assert state.epoch == DONE
    first = {key: value.clone() for key, value in state.model.state_dict().items()}
    draws = [None] * DONE * cases.BATCHES + public["draws"]
    means = Averages()
    state.model.train()
    for number, stems in enumerate(batches(DONE, draws)):
        measures = state.step(stems, DONE, number)
        assert measures == pytest.approx(public["steps"][number], rel=LOSS), f"step {number}"
        means.update(measures)
        for average in state.batch_averages.values():
            average.update(state.model)
    for average in state.epoch_averages.values():
        average.update(state.model)
    assert means.means() == pytest.approx(public["epoch"]["train"], rel=LOSS)
    valid, expected = means_of(state.model, state.averages, run.options), public["epoch"]["valid"]
    assert valid["bname"] == expected["bname"]
    for key in ("main", *state.averages):
        for measure, value in expected[key].items():
            bound = {"abs": NSDR} if measure.startswith("nsdr") else {"rel": LOSS}
            assert valid[key][measure] == pytest.approx(value, **bound), (key, measure)
    weights = projections_of(state.model, state.averages, first)
    assert weights.keys() == public["weights"].keys()
    for key, projections in public["weights"].items():
        distance = math.dist(list(weights[key].values()), [projections[k] for k in weights[key]])
        assert distance <= WEIGHTS * public["movement"], key


@pytest.mark.parametrize("name", RUNS)
def test_history_best_state_and_its_metric_are_taken_over(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path)
    public = json.loads((folder / "history.json").read_text())
    run, state = begun(name, folder)
    assert state.history == public
    assert state.best is not None
    metric = run.options.test.metric
    values = [epoch["valid"][metric] for epoch in public]
    best = (max if metric == "nsdr" else min)(values)
    assert (state.best.name, state.best.metric) == (metric, best)
    assert state.best.epoch == values.index(best) + 1
    assert state.best.weights == public[state.best.epoch - 1]["valid"]["bname"]
    hashes = {key: digest(value) for key, value in state.best.state.items()}
    assert hashes == golden(name)["export"]["single"]


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("half", [False, True])
def test_an_export_has_the_bits_of_the_public_one(name: str, half: bool, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path)
    release = prepare(folder.name, tmp_path / "release", tmp_path, half=half)
    public = golden(name)["export"]
    hashes = {key: digest(value) for key, value in release.state.items()}
    assert hashes == public["half" if half else "single"]
    for key, value in public["kwargs"].items():
        assert release.info.spec.kwargs[key] == value, key


@pytest.mark.parametrize("name", RUNS)
def test_the_public_checkpoint_is_never_written_over(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path)
    original = (folder / NAME).read_bytes()
    run, state = begun(name, folder)
    header = {"signature": "x", "spec": run.spec.to_dict(), "config": run.plain, "data": {}}
    for _ in range(3):
        save_checkpoint(folder / NAME, {**header, **state.capture()})
        assert (folder / PUBLIC_NAME).read_bytes() == original
    assert "origin" not in load_checkpoint(folder / NAME)
    assert load_checkpoint(folder / PUBLIC_NAME)["origin"] == "public"


def digest(value: Any) -> str:
    return hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()[:16]
