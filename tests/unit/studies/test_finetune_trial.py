"""The trial of fine-tuning: what each arm is trained with, and its table."""

import pytest

from demucs.evaluation import Results, TrackResult
from demucs.grids._finetune import RECIPE
from studies.finetune.arms import SOURCES, Trial
from studies.finetune.table import table
from studies.finetune_trial import main

LEVELS = {"base": 5.0, "longer": 5.1, "longer4": 5.6, "all": 4.9, "bag": 5.4}


class Dry(Trial):
    """Runs nothing; `called` has the commands by title, and evaluations are made up."""

    called: dict

    def _call(self, title, command):
        self.called[title] = command
        return f"signature: {title.removeprefix('check_')}\n"

    def _evaluate(self, arm):
        tracks = {}
        for k in range(8):
            row = dict.fromkeys(SOURCES, LEVELS[arm] + k + 0.01 * (k % 3) * (arm != "base"))
            tracks[f"song {k}"] = TrackResult(24.0, {"nsdr": row, "sdr": row})
        return Results(model={"name": arm}, settings={}, sources=list(SOURCES), tracks=tracks)


@pytest.fixture
def trial(tmp_path):
    Dry.called = {}
    return Dry(out=tmp_path, base_steps=400, steps=60, test_songs=8, learning_rate=6.7e-4)


def test_each_arm_is_trained_with_what_it_is_called(trial):
    numbers = trial.run()
    base, longer, whole = (trial.called[f"train_{arm}"] for arm in ("base", "longer", "all"))
    assert "max_batches=200" in base
    for command in (longer, whole):
        assert 'continue_from="base"' in command
        assert {"max_batches=30", "optim.lr=0.00067", "seed=43"} <= set(command)
        assert command.index("max_batches=30") > command.index("max_batches=200")
    assert not set(RECIPE[1:]) & set(longer)
    assert "max_batches=120" in trial.called["train_longer4"]  # as many as four networks have
    assert set(RECIPE) <= set(whole)
    assert whole.index("optim.lr=0.00067") > whole.index("optim.lr=0.0001")  # the last one counts
    assert not [word for word in whole if word.startswith("weights=")]
    for index, source in enumerate(SOURCES):
        row = ",".join("1" if k == index else "0" for k in range(len(SOURCES)))
        network = trial.called[f"train_{source}"]
        assert f"weights=[{row}]" in network
        assert [word for word in network if not word.startswith("weights=")] == whole
        assert trial.called["bag"].index(source) < trial.called["bag"].index(row)
    assert numbers["signatures"]["vocals"] == "vocals"


def test_the_table_has_gains_song_by_song(trial):
    text = table(trial.run())
    rows = {line.split(" | ")[0]: line for line in text.splitlines()[2:] if line.startswith("|")}
    assert rows["| bag"].startswith("| bag | 8.91 |")  # 5.4, 3.5 of the songs, 0.00875
    assert rows["| bag − base"].startswith("| bag − base | +0.41 (+0.40 … +0.41) |")
    assert rows["| all − base"].startswith("| all − base | −0.09 (−0.10 … −0.09) |")
    assert "| bag − longer4" in rows
    assert rows["| bag − all"].startswith("| bag − all | +0.50 (")
    assert text.count("| SDR |") == text.count("| SDR, difference |") == 1


def test_steps_that_cannot_be(tmp_path, capsys):
    assert main([str(tmp_path / "trial"), "--steps", "1"]) == 1
    assert "--steps 1 --songs 12: give at least 2 steps" in capsys.readouterr().err
    assert not (tmp_path / "trial").exists()
