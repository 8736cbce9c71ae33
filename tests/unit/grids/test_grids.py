"""Grids: which experiments they have, what they ask of SLURM, and what their tables show."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dora import Launcher
from dora.explore import Herd

from demucs.errors import ConfigError
from demucs.grids import group, repro
from demucs.grids._group_run import group_run
from demucs.grids._slurm import cpu_tasks, environment_overrides, set_slurm_options, setup
from demucs.train import main as train

# Of the public Demucs' grid `repro`, computed by its own grid file (demucs==4.1.0) and Dora.
PUBLIC_REPRO = {
    "12f67276", "a70ec075", "c9cefc23", "981d7555", "c646028d", "74d13b3a", "8b127ba7", "cfdd8863",
    "c2def7c4", "fe8330ac", "f3f30555", "b3293021",
}  # fmt: skip
REPOSITORY = Path(__file__).resolve().parents[3]
OURS = ("DEMUCS_GPU_TYPE", "DEMUCS_GRID_CPU_TASKS", "DEMUCS_GRID_OVERRIDES", "SBATCH_GRES")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.setenv(name, "")  # so that what a grid sets is taken back as well
        monkeypatch.delenv(name)


class Shepherd:
    """In place of Dora's, which makes folders: only signatures are asked of it."""

    main = train

    def get_sheep_from_argv(self, argv: list[str]) -> Any:
        return SimpleNamespace(xp=train.get_xp(argv))


def launcher(**slurm: Any) -> Launcher:
    made = Launcher(Shepherd(), train.get_slurm_config(), Herd())
    return made.slurm_(**slurm)


def listed(explorer: Any, **slurm: Any) -> Herd:
    made = launcher(**slurm)
    explorer(made)
    return made._herd


@pytest.mark.long
def test_the_groups_grid_is_its_run_and_its_ablations_in_one_array() -> None:
    herd = listed(group.explorer)
    assert [len(array) for array in herd.job_arrays] == [1 + len(group.ABLATIONS)]
    assert herd.job_arrays[0][0] == "aa9b63ad"
    rows = [group.explorer.process_sheep(sheep, [])["with"] for sheep in herd.sheeps.values()]
    assert rows[0] == {"overrides": ""}
    assert rows[1] == {"overrides": "hdemucs.cac=true"}
    assert rows[-1] == {"overrides": "seed=43"}


@pytest.mark.long
def test_a_grid_can_be_tried_in_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_GRID_OVERRIDES", "epochs=2 'ema.batch=[0.5, 0.9]' flag='a b'")
    herd = listed(group.explorer)
    for sheep in herd.sheeps.values():
        assert (sheep.xp.cfg.epochs, sheep.xp.cfg.flag) == (2, "a b")
    first, cac = list(herd.sheeps.values())[:2]
    assert (first.xp.cfg.ema.batch, first.xp.cfg.hdemucs.cac) == ([0.5, 0.9], False)
    assert cac.xp.cfg.hdemucs.cac is True


def test_repro_has_both_families_two_seeds_and_six_changes() -> None:
    found = [" ".join(words) for words in repro.experiments()]
    assert len(set(found)) == len(found) == 12
    for model in ("model=hdemucs", "model=demucs demucs.normalize=True"):
        seeds = [
            words for words in found if words.startswith(f"{model} svd=base2 svd.penalty=1e-05")
        ]
        assert sum(words.endswith("seed=43") for words in seeds) == 1
    assert sum("epochs=360" in words for words in found) == 1
    herd = listed(repro.explorer)
    (array,) = herd.job_arrays
    assert set(array) == PUBLIC_REPRO
    configs = [sheep.xp.cfg for sheep in herd.sheeps.values() if sheep.xp.cfg.model == "hdemucs"]
    assert [(cfg.seed, cfg.epochs, cfg.svd.penalty) for cfg in configs] == [
        (42, 600, 1e-5),
        (43, 600, 1e-5),
    ]


def test_a_grid_asks_for_what_the_script_asks_for() -> None:
    made = launcher()
    set_slurm_options(made)
    asked = made._slurm
    assert (asked.gpus, asked.cpus_per_gpu) == (8, 8)
    assert (asked.partition, asked.constraint, asked.mem_per_gpu) == (None, None, 0)
    assert asked.time == 4320  # slurm.time of conf/config.yaml
    assert "SBATCH_GRES" not in os.environ
    script = (REPOSITORY / "slurm_scripts" / "train_slurm.sh").read_text()
    for line in ("#SBATCH --ntasks=8", "#SBATCH --gres=gpu:8", "#SBATCH --cpus-per-task=8"):
        assert line in script


def test_options_of_dora_grid_count_more() -> None:
    made = launcher(gpus=2, partition="mine", constraint="big", setup=["module load cuda"])
    set_slurm_options(made)
    asked = made._slurm
    assert (asked.gpus, asked.partition, asked.constraint) == (2, "mine", "big")
    assert asked.setup[:2] == ["module load cuda", "export DEMUCS_WORLD_SIZE=2"]


def test_tasks_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_GRID_CPU_TASKS", "4")
    monkeypatch.setenv("DEMUCS_GPU_TYPE", "a100")
    made = launcher()
    set_slurm_options(made)
    asked = made._slurm
    assert (asked.gpus, asked.cpus_per_task) == (0, 4)
    assert asked.srun_args == ["--ntasks=4", "--ntasks-per-node=4", "--cpus-per-task=1"]
    assert "export DEMUCS_WORLD_SIZE=4" in asked.setup
    assert "SBATCH_GRES" not in os.environ


def test_the_sites_kind_of_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_GPU_TYPE", "a100")
    set_slurm_options(launcher(gpus=16))
    assert os.environ["SBATCH_GRES"] == "gpu:a100:8"


def test_a_jobs_environment_is_that_of_the_scripts(tmp_path: Path) -> None:
    folder = tmp_path / "sound touch"
    lines = "\n".join(setup({"DEMUCS_SOUNDTOUCH": str(folder)}, 3))
    show = (
        'echo $DEMUCS_WORLD_SIZE $SRUN_CPUS_PER_TASK $SLURM_KILL_BAD_EXIT $SLURM_WAIT; echo "$PATH"'
    )
    done = subprocess.run(
        ["bash", "-euc", f"{lines}\n{show}"],
        env={"PATH": "/usr/bin:/bin", "SLURM_CPUS_PER_TASK": "8", "SLURM_KILL_BAD_EXIT": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["3 8 0 8", f"{folder}:/usr/bin:/bin"]


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_of_tasks(value: str) -> None:
    with pytest.raises(ConfigError, match=f"DEMUCS_GRID_CPU_TASKS={value}: give the number"):
        cpu_tasks({"DEMUCS_GRID_CPU_TASKS": value})


@pytest.mark.parametrize(
    ("value", "word"), [("epochs", "'epochs' is not KEY=VALUE"), ("flag='a", "quote as for")]
)
def test_wrong_overrides_of_a_grid(value: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        environment_overrides({"DEMUCS_GRID_OVERRIDES": value})


def test_an_error_ends_dora_grid_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEMUCS_GRID_CPU_TASKS", "many")
    with pytest.raises(SystemExit) as caught:
        group.explorer(launcher())
    assert caught.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "DEMUCS_GRID_CPU_TASKS=many" in line


def test_the_run_is_read_from_a_script(tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text(
        'epochs=${1:-390}\noverrides=(\n    epochs="$epochs" a=1 # why\n'
        "    'b=[1,2]'  c=\"x y\"\n)\nother=(d=1)\n"
    )
    assert group_run(7, script) == ["epochs=7", "a=1", "b=[1,2]", "c=x y"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("overrides=()\n", "no array between a line"),
        ("overrides=(\na=1\n", "no array between a line"),
        ("overrides=(\na='1\n)\n", "No closing quotation"),
        ("overrides=(\na=$HOME\n)\n", "a=.HOME among the overrides"),
        ("overrides=(\nepochs\n)\n", "epochs among the overrides"),
        ("overrides=(\n)\n", "nothing among the overrides"),
    ],
)
def test_a_script_that_cannot_be_read(tmp_path: Path, text: str, word: str) -> None:
    script = tmp_path / "train.sh"
    script.write_text(text)
    with pytest.raises(ConfigError, match=word):
        group_run(script=script)


def test_without_the_repository(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pip install -e"):
        group_run(script=tmp_path / "train_slurm.sh")


def test_a_table_has_the_latest_of_each_stage() -> None:
    first = {"train": {"loss": 1.0}, "valid": {"nsdr": 1.0}, "test": {"sdr": 5.0}}
    last = {"train": {"loss": 0.5}, "valid": {"nsdr": 2.0}}
    shown = group.explorer.process_history([first, last])
    assert shown["train"] == {"epoch": 2, "loss": 0.5}
    assert (shown["valid"]["nsdr"], shown["test"]["sdr"]) == (2.0, 5.0)
    columns = group.explorer.get_grid_metrics()
    assert [column.key for column in columns] == ["with", "train", "valid", "test"]
    assert "name" not in [leaf.key for leaf in group.explorer.get_grid_meta()]


@pytest.mark.long
def test_dora_shows_a_grid_where_there_is_no_slurm(tmp_path: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m dora grid group 0 1 --dry_run --no_monitoring"
    done = subprocess.run(
        shlex.split(command),
        cwd=REPOSITORY,
        env={**os.environ, "PATH": str(tmp_path), "DEMUCS_OUTPUTS": str(tmp_path / "outputs")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "aa9b63ad" in done.stdout
    assert "hdemucs.cac=true" in done.stdout
    assert not list((tmp_path / "outputs").glob("xps/*"))
