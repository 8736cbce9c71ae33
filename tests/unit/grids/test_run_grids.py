"""The grids of seeds and of fine-tuning: their experiments, and errors of their environment."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dora import Launcher
from dora.explore import Herd

from demucs.errors import ConfigError
from demucs.grids import finetune_sources, seeds
from demucs.grids._base_run import base_run
from demucs.grids._finetune import continued, one_source
from demucs.train import main as train

NAMES = ("DEMUCS_GRID_CPU_TASKS", "DEMUCS_GRID_OVERRIDES", "DEMUCS_GRID_SEEDS", "DEMUCS_GRID_FROM",
         "DEMUCS_GRID_MIXES", "DEMUCS_GPU_TYPE", "SBATCH_GRES")  # fmt: skip
SOURCES = ["drums", "bass", "other", "vocals"]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


class Shepherd:
    """In place of Dora's, which makes folders."""

    main = train

    def get_sheep_from_argv(self, argv: list[str]) -> Any:
        return SimpleNamespace(xp=train.get_xp(argv))


def launcher() -> Launcher:
    return Launcher(Shepherd(), train.get_slurm_config(), Herd())


def listed(explorer: Any) -> Herd:
    made = launcher()
    explorer(made)
    return made._herd


def test_three_seeds_of_the_groups_run_are_one_array() -> None:
    herd = listed(seeds.explorer)
    (array,) = herd.job_arrays
    assert array[0] == "aa9b63ad"  # what was trained is not trained again ...
    assert array[1] == "2029a77a"  # ... nor is the row of seed 43 in the grid `group`
    sheep = list(herd.sheeps.values())
    assert [one.xp.cfg.seed for one in sheep] == [42, 43, 44]
    rows = [seeds.explorer.process_sheep(one, [])["with"]["overrides"] for one in sheep]
    assert rows == ["", "seed=43", "seed=44"]


def test_other_seeds_of_a_small_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_GRID_SEEDS", "7,9")
    monkeypatch.setenv("DEMUCS_GRID_OVERRIDES", "epochs=2 seed=1")
    configs = [one.xp.cfg for one in listed(seeds.explorer).sheeps.values()]
    assert [(cfg.seed, cfg.epochs) for cfg in configs] == [(7, 2), (9, 2)]


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "42,42", "42,"])
def test_wrong_seeds(text: str) -> None:
    with pytest.raises(ConfigError, match=f"DEMUCS_GRID_SEEDS={text}: give the number of seeds"):
        seeds.seeds_of(text, 42)


def test_fine_tuning_has_a_job_for_each_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_GRID_MIXES", "/data/mixes")
    herd = listed(finetune_sources.explorer)
    (array,) = herd.job_arrays
    assert len(set(array)) == 4
    configs = [sheep.xp.cfg for sheep in herd.sheeps.values()]
    assert [list(cfg.weights) for cfg in configs] == [
        [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1],
    ]  # fmt: skip
    for cfg in configs:
        assert (cfg.continue_from, cfg.continue_best) == ("aa9b63ad", True)
        assert (cfg.dset.wav, cfg.dset.use_musdb) == ("/data/mixes", True)
        assert (cfg.epochs, cfg.model, cfg.seed) == (50, "hdemucs", 42)
        optim = cfg.optim
        assert (optim.lr, optim.clip_grad, optim.weight_decay) == (1e-4, 5, 0.05)
        assert optim.optim == "adamw"  # Adam's decay would outweigh the gradient
        augment = cfg.augment
        assert augment.remix.proba == augment.repitch.proba == augment.scale.proba == 0
        assert augment.shift_same  # without it the stems of an example would not be of one song
    rows = [finetune_sources.explorer.process_sheep(s, [])["with"] for s in herd.sheeps.values()]
    assert rows[2] == {"overrides": "weights=[0,0,1,0]"}


def test_the_recipe_wins_over_the_run_and_keeps_its_model() -> None:
    argv = ["model=htdemucs", "epochs=360", "optim.lr=0.0003", "augment.remix.proba=1"]
    cfg = train.get_xp([*continued(argv, "12345678", "mixes"), one_source(0, SOURCES)]).cfg
    assert (cfg.model, cfg.epochs, cfg.optim.lr, cfg.augment.remix.proba) == (
        "htdemucs", 50, 1e-4, 0,
    )  # fmt: skip
    assert cfg.continue_from == "12345678"  # not a number


def test_a_run_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(train.dora, "dir", tmp_path)
    with pytest.raises(ConfigError, match="DEMUCS_GRID_FROM=53288a8c: no such experiment in"):
        base_run(launcher(), {"DEMUCS_GRID_FROM": "53288a8c"})


def test_a_run_that_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(train.dora, "dir", tmp_path)
    run = train.get_xp(["model=hdemucs", "seed=5"])
    train.init_xp(run)
    monkeypatch.setenv("DEMUCS_GRID_FROM", run.sig)
    configs = [sheep.xp.cfg for sheep in listed(seeds.explorer).sheeps.values()]
    assert [cfg.seed for cfg in configs] == [5, 6, 7]
    tuned = [sheep.xp.cfg for sheep in listed(finetune_sources.explorer).sheeps.values()]
    assert {cfg.continue_from for cfg in tuned} == {run.sig}
