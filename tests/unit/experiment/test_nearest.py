"""A changed key begins a new experiment: the log says so, and which one was meant perhaps."""

import json
import os
from pathlib import Path

from demucs.experiment.nearest import MOST, describe_nearest


def experiment(root: Path, signature: str, *argv: str, trained: bool = True, age: int = 0) -> None:
    folder = root / signature
    folder.mkdir(parents=True)
    (folder / ".argv.json").write_text(json.dumps(argv))
    if trained:
        (folder / "checkpoint.th").write_bytes(b"x")
        os.utime(folder / "checkpoint.th", (1e9 - age, 1e9 - age))


def test_the_one_with_the_fewest_other_keys_is_told(tmp_path: Path) -> None:
    experiment(tmp_path, "aaaaaaaa", "model=hdemucs", "epochs=360", "optim.lr=0.0003")
    experiment(tmp_path, "bbbbbbbb", "model=hdemucs", "epochs=390", "seed=1")
    experiment(tmp_path, "cccccccc", "model=hdemucs", "epochs=391", trained=False)
    said = describe_nearest(tmp_path, "new", ["model=hdemucs", "epochs=390", "batch_size=4"])
    assert said is not None
    assert said.startswith("new is a new experiment and starts from the beginning. The nearest")
    assert "is bbbbbbbb, which differs in batch_size (not given there, 4 here), " in said
    assert "seed (1 there, not given here)." in said
    assert "continue_from=bbbbbbbb" in said
    assert "-f bbbbbbbb" in said


def test_of_equals_it_is_the_latest(tmp_path: Path) -> None:
    experiment(tmp_path, "aaaaaaaa", "epochs=1", age=10)
    experiment(tmp_path, "bbbbbbbb", "epochs=2")
    assert "is bbbbbbbb, which" in str(describe_nearest(tmp_path, "new", ["epochs=3"]))


def test_nothing_is_said_where_nothing_is_new(tmp_path: Path) -> None:
    assert describe_nearest(tmp_path, "new", ["epochs=3"]) is None
    experiment(tmp_path, "aaaaaaaa", "epochs=1")
    assert describe_nearest(tmp_path, "aaaaaaaa", ["epochs=1"]) is None


def test_what_is_no_part_of_an_experiment_does_not_count(tmp_path: Path) -> None:
    experiment(tmp_path, "aaaaaaaa", "epochs=1", "misc.num_workers=3", "dset.musdb=here")
    said = str(describe_nearest(tmp_path, "new", ["epochs=3", "misc.reference=x"]))
    assert "which differs in epochs (1 there, 3 here). To start" in said


def test_one_on_other_data_is_no_neighbour(tmp_path: Path) -> None:
    experiment(tmp_path, "aaaaaaaa", "epochs=1", "dset=demo")
    assert describe_nearest(tmp_path, "new", ["epochs=1"]) is None
    assert describe_nearest(tmp_path, "new", ["dset=demo", "dset.sources=[a,b]"]) is None


def test_one_unlike_in_everything_is_not_told_and_broken_files_have_nothing(tmp_path: Path) -> None:
    experiment(tmp_path, "aaaaaaaa")
    (tmp_path / "aaaaaaaa" / ".argv.json").write_text("{")
    argv = [f"key{k}=1" for k in range(MOST + 1)]
    assert describe_nearest(tmp_path, "new", argv) is None
    assert "key0 (not given there, 1 here)" in str(describe_nearest(tmp_path, "new", argv[:-1]))
    assert "conf/ has changed" in str(describe_nearest(tmp_path, "new", []))
