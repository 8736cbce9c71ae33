"""Runs grouped by their recipe: mean and deviation over seeds, and differences within them."""

import copy
import json
import re

import numpy as np
import pytest
import scipy.stats
import yaml

from demucs.errors import ConfigError
from demucs.evaluation import Results, TrackResult
from demucs.evaluation.results.recipe import LEFT_OUT, recipe_of, seed_of
from demucs.evaluation.results.seed_table import seed_table, seed_text
from demucs.evaluation.results.seeds import (
    Spread,
    check_distinct,
    columns_of,
    gap,
    group_runs,
    in_common,
    recorded_recipe,
    spreads,
)
from demucs.train import main as train
from tests.unit.docs_support import ROOT
from tools import compare as command

STEMS = ["drums", "vocals"]
CONFIG = {"seed": 42, "epochs": 3, "optim": {"lr": 3e-4}, "dset": {"musdb": "/a", "wav": None},
          "misc": {"num_workers": 2}}  # fmt: skip


def results(level, recipe="aaaa", seed=42, songs=4, **model):
    """Three songs at level - 1, level, level + 4 and so on: the mean is not the median."""
    steps = [-1.0, 0.0, 4.0, 1.0][:songs]
    tracks = {
        f"song {k}": TrackResult(10.0, {"sdr": {"drums": level + x, "vocals": level + 1 + x}})
        for k, x in enumerate(steps)
    }
    if recipe is not None:
        model |= {"recipe": recipe, "seed": seed}
    name = f"{recipe}_{seed}"
    return Results(model={"name": name, **model}, settings={}, sources=STEMS, tracks=tracks)


# --- what makes a recipe ---


def test_seed_places_and_machine_are_no_part_of_the_recipe():
    same = copy.deepcopy(CONFIG) | {"seed": 43, "flag": "remark"}
    same["dset"]["musdb"] = "/b"
    same["misc"]["num_workers"] = 8
    same["a_key_of_later"] = None
    assert recipe_of(same) == recipe_of(CONFIG)
    for key, value in (("epochs", 4), ("dset", {"wav": "mixes"}), ("optim", {"lr": 1e-4})):
        assert recipe_of(CONFIG | {key: value}) != recipe_of(CONFIG), key
    assert seed_of(CONFIG) == 42
    assert recipe_of({}) is seed_of({}) is None
    assert recipe_of({"seed": True}) is None


def test_the_recipe_leaves_out_what_a_signature_leaves_out():
    config = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text())
    assert set(config["dora"]["exclude"]) <= set(LEFT_OUT)


def test_runs_of_one_signature_but_for_the_seed_have_one_recipe():
    from demucs.experiment.dora_main import plain

    first, second, other = (
        recipe_of(plain(train.get_xp(["model=hdemucs", *words]).cfg))
        for words in (["seed=42", "dset.musdb=/a"], ["seed=43", "dset.musdb=/b"], ["svd=base"])
    )
    assert first == second != other


# --- statistics ---


def test_groups_are_in_the_order_of_their_first_run():
    groups = group_runs([("a", 42), (None, None), ("b", 1), ("a", 43), (None, None)])
    assert [group.members for group in groups] == [(0, 3), (1,), (2,), (4,)]
    assert groups[0].seeds == (42, 43)


def test_mean_and_deviation_are_over_seeds_with_n_minus_1():
    found = spreads([results(6.0), results(6.2, seed=43), results(6.7, seed=44)], "sdr_med")
    assert found["drums"].mean == pytest.approx(6.3 + 0.5)  # the songs' median is 0.5 above
    assert found["drums"].deviation == pytest.approx(np.std([6.0, 6.2, 6.7], ddof=1))
    assert found["mean"].mean == pytest.approx(6.3 + 1.0)
    assert spreads([results(6.0)], "sdr")["mean"].deviation is None


def test_the_gap_of_two_groups_is_welchs():
    first, second = (6.0, 6.2, 6.4, 6.1), (6.5, 6.9, 6.4)
    found = gap(Spread(first), Spread(second))
    reference = scipy.stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert found.mean - found.margin == pytest.approx(reference.low)
    assert found.mean + found.margin == pytest.approx(reference.high)
    assert found.is_within_noise is bool(reference.low <= 0 <= reference.high)


def test_a_single_run_is_held_against_the_other_groups_spread():
    seeds = Spread((6.0, 6.2, 6.4))
    near, far = gap(seeds, Spread((6.5,))), gap(seeds, Spread((8.0,)))
    assert near.margin == pytest.approx(scipy.stats.t.ppf(0.975, 2) * 0.2 * np.sqrt(1 + 1 / 3))
    assert (near.is_within_noise, far.is_within_noise) == (True, False)
    alone = gap(Spread((6.0,)), Spread((6.5,)))
    assert (alone.mean, alone.margin, alone.is_within_noise) == (0.5, None, None)
    assert gap(Spread(()), seeds) is None


def test_a_true_difference_of_seeds_is_found_as_rarely_as_it_should_be():
    rng = np.random.default_rng(0)
    draws = [gap(Spread(tuple(rng.normal(6, 0.2, 3))), Spread(tuple(rng.normal(6, 0.2, 3))))
             for _ in range(400)]  # fmt: skip
    beyond = np.mean([found.is_within_noise is False for found in draws])
    assert 0.01 <= beyond <= 0.08


def test_only_songs_and_stems_of_all_count():
    first, second = results(6.0), results(6.0, seed=43, songs=3)
    second.tracks["song 0"].failed = "broken"
    one, other = in_common([first, second])
    assert list(one.tracks) == list(other.tracks) == ["song 1", "song 2"]
    second.sources = ["piano"]
    with pytest.raises(ConfigError, match="no stem in common"):
        in_common([first, second])
    second.tracks = {}
    with pytest.raises(ConfigError, match="no song in common"):
        in_common([first, second])
    assert columns_of([first]) == ["sdr", "sdr_med"]


def test_the_same_weights_twice_are_refused():
    pair = [results(6.0, weights_sha256="f"), results(6.0, seed=43, weights_sha256="f")]
    with pytest.raises(ConfigError, match=r"a\.json and b\.json are evaluations of the same"):
        check_distinct(pair, ["a.json", "b.json"])
    check_distinct([results(6.0), results(6.0)], ["a.json", "b.json"])  # not recorded


# --- what is shown ---


def table_of(runs):
    return seed_table(group_runs([recorded_recipe(run) for run in runs]), runs)


def test_one_row_a_group_and_what_the_seeds_say_of_the_difference():
    runs = [*(results(6 + 0.1 * k, seed=42 + k) for k in range(3)),
            *(results(8 + 0.1 * k, "bbbb", 42 + k) for k in range(3))]  # fmt: skip
    content = table_of(runs)
    text = seed_text(content)
    assert "A: aaaa_42, aaaa_43, aaaa_44: 3 seeds (42, 43, 44)" in text
    lines = text.splitlines()
    row = lines.index(next(line for line in lines if line.startswith("SDR, median"))) + 2
    assert re.split(" {2,}", lines[row]) == ["A (3)", "6.60 ± 0.10", "7.60 ± 0.10", "7.10 ± 0.10"]
    assert lines[row + 2].startswith("B - A")
    assert "+2.00 ± 0.23" in lines[row + 2]
    assert lines[row + 3].count("beyond the seeds") == 3
    json.dumps(content, allow_nan=False)


def test_one_seed_has_no_spread():
    text = seed_text(table_of([results(6.0), results(6.2, "bbbb"), results(6.2, "cccc")]))
    assert "±" not in text[: text.index("One run a group")]
    flat = " ".join(text.split())
    assert "the spread over seeds is unknown (published: standard deviations of 0.1 to" in flat
    assert text.count("spread unknown") == 12  # 2 groups, SDR and its median, 2 stems and the mean


# --- the command ---


def saved(tmp_path, *runs):
    paths = [tmp_path / f"{run.model['name']}.json" for run in runs]
    for path, run in zip(paths, runs, strict=True):
        run.save(path)
    return [str(path) for path in paths]


def test_the_command_groups_three_or_more(tmp_path, capsys):
    paths = saved(tmp_path, results(6.0), results(6.2, seed=43), results(7.0, None))
    out = tmp_path / "seeds.json"
    assert command.main([*paths, "--metrics", "sdr", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "A: aaaa_42, aaaa_43: 2 seeds (42, 43)" in printed.out
    assert "within the seeds" in printed.out
    assert "None_42.json has no recorded recipe" in printed.err
    content = json.loads(out.read_text())
    assert content["metrics"][0]["rows"][0]["drums"]["mean"] == pytest.approx(7.1)
    assert content["files"] == ["aaaa_42.json", "aaaa_43.json", "None_42.json"]


def test_the_command_says_what_it_cannot_do(tmp_path, capsys):
    paths = saved(tmp_path, results(6.0), results(6.2, seed=43), results(7.0, "bbbb"))
    assert command.main([*paths, "--published"]) == 1
    assert "--published with 3 evaluations" in capsys.readouterr().err
    assert command.main([*paths, "--metrics", "nsdr"]) == 1
    assert "--metrics nsdr: not measured in all; these are: sdr, sdr_med" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("aaaa", "same configuration with the seeds 42 and 43"),
        ("bbbb", "One run each: with one seed the spread over seeds is unknown"),
    ],
)
def test_two_runs_are_told_what_seeds_do(tmp_path, capsys, recipe, said):
    paths = saved(tmp_path, results(6.0), results(6.2, recipe, 43))
    assert command.main(paths) == 0
    assert said in " ".join(capsys.readouterr().out.split())
