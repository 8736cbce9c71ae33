"""Several runs to a bag: releases and a YAML file, all or none, and what it separates."""

import os

import pytest
import torch
import yaml

from demucs.apply import apply_model
from demucs.nn import ModelSpec, build_model
from demucs.pretrained import get_model
from demucs.release import ReleaseInfo, save_release
from demucs.release.checkpoint import save_checkpoint
from tools import export

KWARGS = {"sources": ["drums", "vocals"], "channels": 4, "nfft": 256, "depth": 4,
          "samplerate": 8000, "segment": 1.0}  # fmt: skip
RUNS = {"aaaa1111": 1, "bbbb2222": 2}


def write_run(signature, seed=3, **kwargs):
    torch.manual_seed(seed)
    spec = ModelSpec(name="hdemucs", kwargs={**KWARGS, **kwargs})
    best = {"state": build_model(spec).state_dict(), "epoch": 1, "metric": 0.2, "name": "loss"}
    folder = f"outputs/xps/{signature}"
    os.makedirs(folder)
    save_checkpoint(
        f"{folder}/checkpoint.th",
        {"signature": signature, "spec": spec.to_dict(), "config": {}, "epoch": 1, "best": best},
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEMUCS_OUTPUTS", raising=False)
    for signature, seed in RUNS.items():
        write_run(signature, seed)
    return tmp_path


def made():
    folder = "release_models"
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def both():
    with open("release_models/both.yaml") as file:
        return yaml.safe_load(file)


def test_a_bag_of_runs_separates_as_its_models_do(here, capsys):
    line = [*RUNS, "--bag", "both", "--segment", "0.5", "--weights", "1,0", "1,3"]
    assert export.main(line) == 0
    assert made() == ["aaaa1111.safetensors", "bbbb2222.safetensors", "both.yaml"]
    assert both() == {
        "models": list(RUNS), "weights": [[1, 0], [1, 3]], "segment": 0.5,
    }  # fmt: skip
    out = capsys.readouterr().out
    assert out.count("wrote: ") == 3
    assert "demucs --repo release_models -n both FILE" in out
    mix = torch.randn(1, 2, 8000, generator=torch.Generator().manual_seed(0))
    one, two = (get_model(name, "release_models") for name in RUNS)
    one.segment = two.segment = 0.5
    first, second = (apply_model(model, mix, shifts=0) for model in (one, two))
    found = apply_model(get_model("both", "release_models"), mix, shifts=0)
    assert torch.allclose(found[:, 0], (first[:, 0] + second[:, 0]) / 2, atol=1e-6)
    assert torch.allclose(found[:, 1], second[:, 1], atol=1e-6)


def test_the_same_command_again_changes_nothing(here, capsys):
    line = [*RUNS, "--bag", "both", "--weights", "1", "0.5"]
    assert export.main(line) == 0
    before = {name: os.stat(f"release_models/{name}").st_mtime_ns for name in made()}
    weights = both()["weights"]
    assert weights == [[1, 1], [0.5, 0.5]]  # as the public Demucs wants them
    assert export.main(line) == 0
    assert capsys.readouterr().out.count("unchanged: ") == 3
    assert {name: os.stat(f"release_models/{name}").st_mtime_ns for name in made()} == before
    assert export.main([*RUNS, "--bag", "both"]) == 1
    assert "both.yaml is there already and is not the same bag" in capsys.readouterr().err
    assert both()["weights"] == weights
    assert export.main([*RUNS, "--bag", "both", "--force"]) == 0
    assert both() == {"models": list(RUNS)}


def test_only_what_is_missing_is_written(here, capsys):
    assert export.main(["aaaa1111"]) == 0
    assert export.main([*RUNS, "aaaa1111", "--bag", "three"]) == 0
    out = capsys.readouterr().out
    assert "unchanged: release_models/aaaa1111.safetensors" in out
    assert "wrote: release_models/bbbb2222.safetensors" in out
    assert len(get_model("three", "release_models").models) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weights", "1,1"], "give 2 rows (a model each) of 2 (a stem each)"),
        (["--weights", "1,1", "1,1,1"], "[2, 3] numbers a row"),
        (["--weights", "1,0", "1,0"], "no model of the bag has a weight for vocals"),
        (["--weights", "1,-2", "1,1"], "a weight of a bag is negative, -2"),
        (["--weights", "1,nan", "1,1"], "a weight of a bag is not finite"),
        (["--weights", "1,x", "1,1"], "--weights 1,x 1,1: give a row for each SIG"),
        (["cccc3333"], "aaaa1111 and cccc3333 cannot be in one bag: sources is ['drums', 'vocals'] "
                       "and ['vocals', 'drums']"),
        (["dddd4444"], "aaaa1111 and dddd4444 cannot be in one bag: samplerate is 8000 and 16000"),
        (["eeee5555"], "There is no training run 'eeee5555'"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_leaves_nothing(here, capsys, words, message):
    write_run("cccc3333", sources=["vocals", "drums"])
    write_run("dddd4444", samplerate=16000)
    flags = [] if words[0].startswith("--") else ["--bag", "new"]
    bag = [] if flags else ["--bag", "new"]
    assert export.main([*RUNS, *bag, *words, *flags]) == 1
    assert message in capsys.readouterr().err
    assert made() == []


def test_names_that_a_bag_cannot_have(here, capsys):
    assert export.main([*RUNS, "--bag", "both"]) == 0
    before = made()
    for bag, message in (("../both", "give a plain name"), ("aaaa1111", "a single model has")):
        assert export.main([*RUNS, "--bag", bag, "--force"]) == 1
        assert message in capsys.readouterr().err
    info = ReleaseInfo(signature="x", spec=ModelSpec(name="hdemucs", kwargs=KWARGS), config={},
                       provenance={})  # fmt: skip
    save_release("release_models/x.safetensors", {"w": torch.zeros(1)}, info)
    assert export.main([*RUNS, "--bag", "x"]) == 1
    assert "x.safetensors" in capsys.readouterr().err
    assert export.main(["both", "aaaa1111", "--bag", "new"]) == 1
    assert "both is a bag in release_models, and cannot be in another" in capsys.readouterr().err
    assert made() == sorted([*before, "x.safetensors"])


def test_another_release_of_a_run_stays(here, capsys):
    assert export.main(["bbbb2222", "--half"]) == 0
    assert export.main([*RUNS, "--bag", "both"]) == 1
    assert "bbbb2222.safetensors is there already and is not the same" in capsys.readouterr().err
    assert made() == ["bbbb2222.safetensors"]


def test_a_full_disk_leaves_nothing(here, capsys, monkeypatch):
    """The second release cannot be written: the first and the bag do not appear either."""
    saved, wanted = [], save_release

    def save(path, state, info):
        if saved:
            raise OSError(28, "No space left on device")
        saved.append(path)
        return wanted(path, state, info)

    monkeypatch.setattr("demucs.release.export.save_release", save)
    assert export.main([*RUNS, "--bag", "both"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert saved
    assert made() == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("aaaa1111 bbbb2222", "give its name with --bag"),
        ("aaaa1111 --weights 1,1", "--weights is of a bag"),
        ("aaaa1111 --segment 3", "--segment is of a bag"),
        ("aaaa1111 --bag both --name mine", "--name and --epoch are of a single release"),
        ("aaaa1111 --bag both --segment 0", "--segment 0: give a number of seconds"),
    ],
)
def test_flags_that_do_not_go_together(here, capsys, line, message):
    with pytest.raises(SystemExit) as caught:
        export.main(line.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
