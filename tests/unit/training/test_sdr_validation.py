"""SDR on the validation songs: beside nSDR, and as what makes a state the best."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from training_support import RATE, SOURCES, tiny_config, write_songs

from demucs.evaluation.metrics.sdr import track_sdr
from demucs.training import Solver, find_songs, read_config
from demucs.training.stages.validation import means, separate


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs to validate on; in one the vocals are silent, in one for a second."""
    root = write_songs(tmp_path_factory.mktemp("songs"), train=3, valid=3)
    for path in root.glob("*/*/*.wav"):
        wav, rate = soundfile.read(path)
        wav = np.tile(wav, (3, 1))
        if path.parent.name == "valid0" and path.stem == "vocals":
            wav[:] = 0
        if path.parent.name == "valid1" and path.stem == "vocals":
            wav[:RATE] = 0
        soundfile.write(path, wav.astype(np.float32), rate, subtype="FLOAT")
    return root


def trained(songs: Path, folder: Path, *overrides: str) -> Solver:
    run = read_config(tiny_config(songs, "epochs=2", *overrides))
    solver = Solver(run, find_songs(run), folder=folder, signature="abc")
    solver.train()
    return solver


def without(metrics: dict[str, Any]) -> dict[str, Any]:
    """The same without SDR."""
    return {
        key: without(value) if isinstance(value, dict) else value
        for key, value in metrics.items()
        if not key.startswith("sdr") and key != "seconds"
    }


def test_it_is_shown_where_it_is_wanted_and_changes_nothing_else(
    songs: Path, tmp_path: Path
) -> None:
    plain = trained(songs, tmp_path / "plain", "ema.batch=[0.5]")
    shown = trained(songs, tmp_path / "shown", "ema.batch=[0.5]", "misc.sdr=true")
    kinds = {
        f"{kind}{stem}" for kind in ("sdr", "sdr_med") for stem in ("", *(f"_{s}" for s in SOURCES))
    }
    for epoch, with_sdr in zip(plain.state.history, shown.state.history, strict=True):
        assert not [key for key in epoch["valid"] if key.startswith("sdr")]
        assert kinds <= with_sdr["valid"].keys()
        assert kinds <= with_sdr["valid"]["ema_batch_0"].keys()
        assert without(with_sdr) == without(epoch)
    assert all(
        torch.equal(value, shown.state.model.state_dict()[name])
        for name, value in plain.state.model.state_dict().items()
    )


def test_it_is_that_of_the_songs_as_they_are_on_disk(songs: Path, tmp_path: Path) -> None:
    solver = trained(songs, tmp_path, "misc.sdr=true", "weights=[1,2,0.5,1.5]")
    options, model = solver.options, solver.state.model.eval()
    values: dict[str, list[float]] = {source: [] for source in SOURCES}
    for excerpt in solver.songs.valid:
        wav = excerpt.stems()
        mean, std = excerpt.track.level
        mix = (wav.sum(0, keepdim=True) - len(SOURCES) * mean) / std
        guess = separate(model, mix, options, torch.device("cpu"))[0] * std + mean
        ratios = track_sdr(wav, guess, RATE).tolist()
        for source, ratio in zip(SOURCES, ratios, strict=True):
            if ratio == ratio:
                values[source].append(ratio)
    assert [len(values[source]) for source in SOURCES] == [2, 2, 2, 2]  # never all four in valid0
    valid = solver.state.history[-1]["valid"]
    weights = dict(zip(SOURCES, (1, 2, 0.5, 1.5), strict=True))
    for kind, middle in (("sdr", statistics.fmean), ("sdr_med", statistics.median)):
        for source in SOURCES:
            assert valid[f"{kind}_{source}"] == pytest.approx(middle(values[source]), abs=1e-3)
        total = sum(weights[source] * middle(values[source]) for source in SOURCES)
        assert valid[kind] == pytest.approx(total / 5, abs=1e-3)


@pytest.mark.parametrize("metric", ["sdr", "sdr_med", "sdr_vocals", "sdr_med_drums"])
def test_it_chooses_the_best_state(songs: Path, tmp_path: Path, metric: str) -> None:
    solver = trained(songs, tmp_path, f"test.metric={metric}", "ema.batch=[0.5]", "epochs=3")
    values = [epoch["valid"][metric] for epoch in solver.state.history]
    states = [
        epoch["valid"][name][metric]
        for epoch in solver.state.history
        for name in ("main", "ema_batch_0")
    ]
    best = solver.state.best
    assert best is not None
    assert best.metric == max(values) == max(states)
    assert (best.name, best.epoch) == (metric, values.index(max(values)) + 1)
    assert solver.state.history[-1]["valid"]["best"] == max(values)
    json.dumps(solver.state.history, allow_nan=False)


def test_a_stem_that_is_always_silent_has_none(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = read_config(tiny_config(songs, "test.metric=sdr_vocals"))
    excerpts = {0: {"loss": 1.0, "sdr_drums": 2.0}, 1: {"loss": 3.0, "sdr_drums": 4.0}}
    found = means(excerpts, run.options)
    assert found == {
        "loss": 2.0, "sdr_drums": 3.0, "sdr_med_drums": 3.0, "sdr": 3.0, "sdr_med": 3.0,
    }  # fmt: skip
    silent = write_songs(tmp_path / "silent", train=2, valid=1)
    path = silent / "valid" / "valid0" / "vocals.wav"
    soundfile.write(path, np.zeros((RATE, 2)), RATE, subtype="FLOAT")
    solver = trained(silent, tmp_path / "run", "test.metric=sdr_vocals", "epochs=1")
    assert solver.state.best is None
    assert "no validation song has a value of test.metric=sdr_vocals" in caplog.text
