"""Training of the quality network: its examples, its measures, and a run that is stopped."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quality_support import RATE, STEMS, write_songs, write_teacher

from demucs.blind.network import NetworkConfig, load_network, predict
from demucs.blind.network.corrupt import blend, leak
from demucs.blind.network.estimate_sets import collect_estimates, read_stems
from demucs.blind.network.feature_cache import Memory
from demucs.blind.network.features import Bands
from demucs.blind.network.loss import LossConfig
from demucs.blind.network.quality_training import train_network
from demucs.blind.network.settings import MiscConfig, OptimConfig, QualityConfig, SyntheticConfig
from demucs.blind.network.training_windows import example, find_items
from demucs.blind.network.validate import Judged, factors, halves, judge, scores
from demucs.errors import CheckpointError, ConfigError, DatasetError, DemucsError
from demucs.experiment.identity import Experiment
from demucs.experiment.record import CHECKPOINT, RunRecord
from demucs.process.signals import Interrupted
from demucs.release.checkpoint import load_checkpoint
from tools.blind_estimates import main as tool

PLAIN = {"any": "value", "songs": "/a/place"}


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    return write_songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases")
    for seed, name in enumerate(("one", "two")):
        write_teacher(folder, name, seed)
    return folder


@pytest.fixture(scope="module")
def estimates(songs, releases, tmp_path_factory):
    out = tmp_path_factory.mktemp("estimates")
    found = collect_estimates(out, ["one", "two"], songs=songs, repo=releases, progress=False)
    assert (found.estimates, found.new) == (14, 14)
    return out


@pytest.fixture
def config(songs, estimates):
    return QualityConfig(
        estimates=str(estimates),
        songs=str(songs),
        metadata=None,
        sources=STEMS,
        teachers=(),
        segment=2,
        versions=2,
        valid_seconds=60,
        epochs=2,
        batch_size=2,
        max_batches=None,
        seed=1,
        coverage=0.9,
        network=NetworkConfig(bands=8, channels=2, hidden=4, embedding=2, high=1800.0),
        loss=LossConfig(),
        synthetic=SyntheticConfig(blend=0.3, leak=0.3),
        optim=OptimConfig(lr=1e-3, weight_decay=0.01, clip_grad=5.0),
        misc=MiscConfig(num_prints=1, memory=100.0, verbose=False),
    )


def run(config, folder, should_stop=lambda: False, history=None):
    experiment = Experiment(
        signature="0123abcd",
        name="test",
        folder=folder,
        on_history=lambda found: None if history is None else history.append(list(found)),
    )
    return train_network(config, PLAIN, experiment, {}, should_stop)


def test_what_is_collected_is_true_of_the_files(songs, estimates, releases):
    item = next(
        one
        for one in find_items(_data(songs, estimates), "valid")
        if (one.track.name, one.record.teacher) == ("valid1", "two")
    )
    truth = item.record.truth
    assert (item.record.family, item.record.kind, item.record.split) == (
        "hdemucs",
        "music",
        "valid",
    )
    stems, made = item.references(0, 3), read_stems(item.folder, STEMS)
    error = (made - stems).double().square().mean((1, 2))
    assert truth["error"].track == pytest.approx(10 * np.log10(error.numpy()), abs=1e-3)
    assert truth["active"].windows.tolist() == [[1, 1, 1], [0, 1, 1]]
    assert np.isnan(truth["nsdr"].windows[1, 0])
    # Targets of a stretch are those of its windows together.
    target = item.targets(1, 2)
    part = slice(RATE, 3 * RATE)
    ratio = stems[..., part].square().sum((1, 2)) / (made - stems)[..., part].square().sum((1, 2))
    assert target.track_nsdr == pytest.approx(10 * ratio.log10(), abs=1e-2)


def _data(songs, estimates, **changes):
    from demucs.blind.network.settings import DataConfig

    values = dict(estimates=str(estimates), songs=str(songs), metadata=None, sources=STEMS)
    return DataConfig(**{**values, "teachers": (), **changes})


def test_collecting_again_makes_nothing_new_and_other_weights_are_refused(
    songs, releases, estimates, tmp_path, capsys
):
    arguments = [str(estimates), "--repo", str(releases), "--songs", str(songs), "--no-progress"]
    assert tool([*arguments, "-n", "one,two"]) == 0
    assert capsys.readouterr().out == f"14 estimates in {estimates}, 0 of them new\n"
    write_teacher(tmp_path, "one", seed=9)
    arguments[2] = str(tmp_path)
    assert tool([*arguments, "-n", "one"]) == 1
    assert "its weights differ" in capsys.readouterr().err
    assert tool([*arguments, "-n", "one", "--splits", "test"]) == 1
    assert "must not see test songs" in capsys.readouterr().err


def test_a_broken_list_of_teachers_is_named(songs, releases, tmp_path):
    (tmp_path / "teachers.json").write_text("no json")
    with pytest.raises(DatasetError, match="collect into another folder"):
        collect_estimates(tmp_path, ["one"], songs=songs, repo=releases, progress=False)


def test_teachers_are_chosen_by_pattern_and_what_does_not_fit_is_named(songs, estimates, tmp_path):
    only = find_items(_data(songs, estimates, teachers=("t*",)), "train")
    assert {one.record.teacher for one in only} == {"two"}
    assert len(only) == 3
    with pytest.raises(DatasetError, match="there are: one, two"):
        find_items(_data(songs, estimates, teachers=("three",)), "train")
    with pytest.raises(DatasetError, match="set `sources`"):
        find_items(_data(songs, estimates, sources=("vocals",)), "train")
    others = write_songs(tmp_path / "others", train=2)
    with pytest.raises(DatasetError, match="there is no song train2"):
        find_items(_data(others, estimates), "train")
    longer = write_songs(tmp_path / "longer", seconds=4.0)
    with pytest.raises(DatasetError, match="does not fit the song"):
        find_items(_data(longer, estimates), "train")
    with pytest.raises(DatasetError, match="has no low, high"):
        read_stems(tmp_path, STEMS)


def test_a_blend_scales_the_error_and_a_leak_has_any_quality():
    rng = np.random.default_rng(0)
    stems = torch.randn(3, 2, RATE, generator=torch.Generator().manual_seed(0))
    made = blend(stems, stems + 0.1, rng)
    gains = (made - stems).mean((1, 2)) / 0.1
    assert ((gains > 10 ** (-15 / 20)) & (gains < 10 ** (6 / 20))).all()
    assert len(set(gains.tolist())) == 3
    errors = [(leak(stems, RATE, rng) - stems).square().mean((1, 2)) for _ in range(20)]
    ratios = -10 * torch.stack(errors).log10()
    assert ratios.min() < 3
    assert ratios.max() > 15
    assert leak(stems[..., :7], RATE, rng).shape == (3, 2, 7)
    again = [leak(stems, RATE, np.random.default_rng(3)) for _ in range(2)]
    assert torch.equal(*again)


@pytest.mark.parametrize("synthetic", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_an_example_depends_on_its_place_alone_and_short_songs_are_padded(
    songs, estimates, synthetic
):
    item = find_items(_data(songs, estimates), "train")[0]
    shares = SyntheticConfig(blend=synthetic[0], leak=synthetic[1])
    bands = Bands(8, 30.0, 1800.0)
    first, second = (example(item, 5, bands, shares, np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(first[0].planes, second[0].planes)
    assert first[1].mask.tolist() == [True] * 3 + [False] * 2
    assert first[0].planes.shape[-1] == 5 * 16
    assert first[1].track_nsdr.isfinite().all()
    same = torch.allclose(first[1].track_nsdr, item.targets(0, 3).track_nsdr, atol=1e-3)
    assert same == (synthetic == (0.0, 0.0))


def test_memory_gives_the_same_whether_it_remembers_or_not(songs, estimates):
    item = find_items(_data(songs, estimates), "train")[0]
    calls = []

    def make():
        calls.append(1)
        rng = np.random.default_rng(0)
        return example(item, 2, Bands(8, 30.0, 1800.0), SyntheticConfig(blend=0, leak=0), rng)

    much, none = Memory(10.0), Memory(0)
    found = [memory("key", make)[0].planes for memory in (much, much, none, none)]
    assert len(calls) == 3
    assert all(torch.equal(found[0], other) for other in found)


def judged(truth, mean, scale=1.0, active=0.9):
    truth, mean = np.array([truth], float), np.array([mean], float)
    return Judged(
        mean=mean, scale=np.full(1, scale), truth=truth, playing=np.isfinite(truth),
        active=np.full(1, active), windows=mean[:, None], truth_windows=truth[:, None], loss=1.0,
    )  # fmt: skip


def test_scores_are_of_stems_that_play():
    rising = [judged(v, 2 * v + 1) for v in (1, 2, 3, 40)]
    silent = judged(np.nan, -7, active=0.2)
    found = scores([*rising, silent], ["a"], LossConfig())
    assert found["spearman"] == found["spearman_a"] == found["windows"] == 1
    assert found["mae"] == pytest.approx((2 + 3 + 4 + 51) / 4)  # 40 dB counts as 30
    assert found["active"] == 1
    falling = scores([judged(v, -v) for v in (1, 2, 3)], ["a"], LossConfig())
    assert falling["spearman"] == pytest.approx(-1)
    assert "spearman" not in scores(rising[:2], ["a"], LossConfig())  # too few to rank
    assert "mae" not in scores([silent], ["a"], LossConfig())


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)

    def draw(count):
        return [judged(v, v + 3 * rng.standard_normal()) for v in rng.uniform(0, 20, count)]

    (factor,) = factors(draw(400), [str(k) for k in range(400)], 0.8)
    fresh = draw(2000)
    inside = np.mean([abs(one.truth[0] - one.mean[0]) <= factor for one in fresh])
    assert 0.76 < inside < 0.84
    assert factors([judged(1, 3)], ["a"], 0.9) == (np.inf,)  # one song cannot vouch for it


def test_one_half_of_the_songs_chooses_and_the_other_makes_intervals(songs, estimates):
    items = find_items(_data(songs, estimates), "valid")
    first, second = halves(items)
    names = [{one.track.name for one in half} for half in (first, second)]
    assert names == [{"valid0", "valid2"}, {"valid1", "valid3"}]
    few = [one for one in items if one.track.name in ("valid0", "valid1")]
    assert halves(few) == (few, few)


def test_a_run_that_is_stopped_ends_as_if_it_had_not_been(config, tmp_path):
    history = []
    whole = run(config, tmp_path / "whole", history=history)
    stops, batches = 0, iter(range(1, 100))
    while True:
        try:
            path = run(config, tmp_path / "parts", lambda: next(batches) % 2 == 0)
            break
        except Interrupted as stop:
            stops += 1
            told = str(stop)
    assert "the same command continues" in told
    assert stops == 3  # after every other of 2 x 3 batches
    one, other = load_network(whole), load_network(path)
    state = one.network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in other.network.state_dict().items())
    assert one.factors == other.factors
    assert one.facts["best"] == other.facts["best"]
    assert [len(found) for found in history] == [0, 1, 2]
    assert "windows_low" in history[-1][0]["valid"]
    assert RunRecord.read(tmp_path / "parts").state == "finished"
    assert one.facts["teachers"].keys() == {"one", "two"}
    assert one.facts["config"] == {"any": "value"}
    # Once more: nothing to train, and the same file.
    assert load_network(run(config, tmp_path / "whole")).factors == one.factors
    noise = torch.randn(2, 2, RATE)
    assert predict(one, noise.sum(0), noise, RATE).sources == STEMS


@pytest.fixture
def own_estimates(config, tmp_path):
    """The configuration with a copy of the estimates that may be changed."""
    folder = shutil.copytree(config.estimates, tmp_path / "estimates")
    return replace(config, estimates=str(folder)), folder


def test_other_estimates_to_train_on_end_the_epoch_that_was_stopped(
    own_estimates, tmp_path, caplog
):
    config, folder = own_estimates
    calls = iter(range(1, 100))
    with pytest.raises(Interrupted):
        run(config, tmp_path / "run", lambda: next(calls) == 2)
    before = load_checkpoint(tmp_path / "run" / CHECKPOINT)
    shutil.rmtree(folder / "train" / "train0" / "one")
    history = []
    run(config, tmp_path / "run", history=history)
    (message,) = [text for text in caplog.messages if "since the checkpoint" in text]
    assert message == (
        "since the checkpoint the estimates changed: train 6 → 5 (removed train0 by one). Epoch 1 "
        "ends where it was stopped, after 2 batches; the next one is the first with the estimates "
        "as they are now"
    )
    first, second = history[-1]
    assert first["cut"] == 2
    assert first["train"]["loss"] == pytest.approx(before["loss"] / 2)
    assert "cut" not in second
    caplog.clear()
    run(config, tmp_path / "run")
    assert "since the checkpoint" not in caplog.text


def test_other_estimates_to_choose_by_measure_the_best_again(own_estimates, tmp_path, caplog):
    config, folder = own_estimates
    before = load_network(run(config, tmp_path / "run"))
    shutil.rmtree(folder / "valid" / "valid2")
    after = load_network(run(config, tmp_path / "run"))
    assert "estimates changed: valid 8 → 6 (removed valid2 by one, valid2 by two)" in caplog.text
    items = find_items(config.data, "valid")
    judged = [judge(after.network, item, 60, Memory(0), config.loss) for item in items]
    now = scores(judged, STEMS, config.loss)["spearman"]
    assert after.facts["best"]["metric"] == pytest.approx(now)
    assert after.facts["best"]["metric"] != before.facts["best"]["metric"]


def test_a_checkpoint_of_another_network_is_refused(config, tmp_path):
    with pytest.raises(Interrupted):
        run(config, tmp_path, lambda: True)
    assert (tmp_path / CHECKPOINT).exists()
    other = replace(config, network=replace(config.network, hidden=5))
    with pytest.raises(CheckpointError, match="of another network"):
        run(other, tmp_path)


def test_a_loss_that_is_no_number_ends_the_run(config, tmp_path):
    wild = replace(config, optim=OptimConfig(lr=1e30, weight_decay=0.0, clip_grad=0.0))
    with pytest.raises(DemucsError, match=r"optim\.lr"):
        run(wild, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": 0}, {"versions": 0}, {"epochs": 0}, {"batch_size": 0}, {"max_batches": 0},
        {"sources": ()}, {"sources": ("a", "a")}, {"coverage": 1.0}, {"seed": -1},
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_work_is_refused(config, changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        replace(config, **changes)
    with pytest.raises(ConfigError, match="shares"):
        SyntheticConfig(blend=0.7, leak=0.7)
    with pytest.raises(ConfigError, match="lr"):
        OptimConfig(lr=0.0, weight_decay=0.0, clip_grad=0.0)


def test_an_unreadable_record_is_named(songs, estimates, tmp_path):
    folder = tmp_path / "train" / "train0" / "one"
    folder.mkdir(parents=True)
    content = json.loads((Path(estimates) / "train/train0/one/record.json").read_text())
    del content["truth"]["error"]
    for stem in STEMS:
        source = Path(estimates) / f"train/train0/one/{stem}.flac"
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "record.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="lacks"):
        find_items(_data(songs, tmp_path), "train")
