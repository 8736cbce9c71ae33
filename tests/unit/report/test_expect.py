"""The checklist of a run: each rule on a run made for it, and the table of the page."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from demucs.data.official import TEST_NAMES
from demucs.evaluation import Results, TrackResult
from demucs.experiment.record import RunRecord
from demucs.report.expect.causes import CAUSES
from demucs.report.expect.checklist import beside_public, checklist, expectation
from demucs.report.expect.evidence import DEFAULTS, Evidence
from demucs.report.expect.text import expectation_text
from demucs.report.heading import _defaults
from demucs.report.run_files import Run

ROOT = Path(__file__).resolve().parents[3]
STEMS = ["drums", "bass", "other", "vocals"]
# Nothing of the list applies to such a run, but that it is compared with a bag, and its seed.
GOOD = {
    "model": "hdemucs", "epochs": 9, "batch_size": 64, "precision": "fp32",
    "continue_from": None, "continue_pretrained": None,
    "dset": {"segment": 11}, "svd": {"penalty": "1e-05"}, "semi": {"refresh": False},
    "augment": {"remix": {"proba": 1, "group_size": 4}, "repitch": {"proba": 0.2}},
    "ema": {"epoch": [0.9], "batch": [0.9995]},
    "test": {"metric": "nsdr", "best": True, "shifts": 2, "overlap": 0.25},
}  # fmt: skip


def changed(**values: Any) -> dict[str, Any]:
    """`GOOD` with other values; `__` in a name stands for the dot of a key."""
    config = json.loads(json.dumps(GOOD))
    for name, value in values.items():
        *sections, last = name.split("__")
        place = config
        for section in sections:
            place = place[section]
        place[last] = value
    return config


def epoch(nsdr: float = 4.0, penalty: float = 100.0, name: str = "ema_batch_0") -> dict[str, Any]:
    return {
        "train": {"loss": 0.2, "penalty": penalty},
        "valid": {"loss": 0.2, "nsdr": nsdr, "best": 0.2, "bname": name, "penalty": penalty},
        "seconds": {"train": 60.0, "valid": 12.0},
    }


def results(names=("a", "b"), metric="sdr", shifts=2, **model) -> Results:
    values = {metric: dict.fromkeys(STEMS, 6.5)}
    return Results(
        model={"name": "m", **model}, settings={"shifts": shifts, "overlap": 0.25}, sources=STEMS,
        tracks={name: TrackResult(seconds=9.0, values=values) for name in names},
    )  # fmt: skip


def make(**changes: Any) -> Run:
    values = {"config": GOOD, "history": [epoch(), epoch()], "results": results()}
    return Run(name="sig", **{**values, **changes})


def applying(run: Run) -> set[str]:
    return {item.cause.name for item in checklist(run) if item.applies}


def verdict(run: Run, start: str) -> tuple[bool | None, str]:
    (item,) = (item for item in checklist(run) if item.cause.name.startswith(start))
    return item.applies, item.reason


ALWAYS = {"one network is compared with a bag", "no fine-tuning on automixes", "the seed"}


def test_a_run_of_the_recipe_has_what_every_single_run_has() -> None:
    assert applying(make()) == ALWAYS


@pytest.mark.parametrize(
    ("changes", "start", "said"),
    [
        ({"augment__remix__proba": 0}, "remix", "proba=0"),
        ({"augment__remix__group_size": 2}, "remix", "group_size=2"),
        ({"dset__segment": 8}, "short", "segment=8 s, the reference recipe has 11 s"),
        ({"dset__segment": 7, "model": "htdemucs"}, "short", "has 7.8 s"),
        ({"ema__epoch": [], "ema__batch": []}, "no moving", "are empty"),
        ({"test__best": False}, "no moving", "latest weights"),
        ({"svd__penalty": 0}, "no penalty", "svd.penalty=0"),
        ({"augment__repitch__proba": 0}, "no repitch", "proba=0"),
        ({"test__metric": "loss"}, "the best epoch", "test.metric=loss"),
    ],
)
def test_each_key_has_its_cause(changes: dict[str, Any], start: str, said: str) -> None:
    run = make(config=changed(**changes))
    applies, reason = verdict(run, start)
    assert applies
    assert said in reason
    others = applying(run) - ALWAYS
    assert len(others) == 1


def test_a_segment_of_htdemucs_is_not_short() -> None:
    run = make(config=changed(model="htdemucs", dset__segment=7.8))
    assert verdict(run, "short")[0] is False
    assert verdict(run, "one network")[0] is False, "its published number is a single model's"


def test_the_best_state_is_an_average_or_not() -> None:
    good, bad = epoch(name="ema_epoch_1"), epoch(name="main")
    assert verdict(make(history=[bad, good]), "no moving")[0] is True, "epoch 1 was the best"
    good["valid"]["best"] = 0.1
    assert verdict(make(history=[bad, good]), "no moving") == (
        False, "the best state is ema_epoch_1, of epoch 2",
    )  # fmt: skip
    applies, reason = verdict(make(history=[]), "no moving")
    assert applies is None
    assert "which state was the best" in reason


@pytest.mark.parametrize(
    ("penalties", "rises"),
    [
        ([220.1, 230.2, 302.1, 268.4, 276.4], False),
        ([220.1, 230.2, 302.1, 268.4, 276.4, 15545.3], True),  # issue 354
        ([100.0, 110.0, 900.0, 120.0], True),  # it came back
        ([100.0, float("nan")], True),
        ([100.0, 130.0, float("inf")], True),
        ([43.0, 135.0, 93.0, 115.0], False),
    ],
)
def test_a_penalty_that_explodes_is_seen(penalties: list[float], rises: bool) -> None:
    run = make(history=[epoch(penalty=value) for value in penalties])
    assert verdict(run, "the penalty")[0] is rises


def test_the_penalty_of_training_counts_where_there_is_no_exact_one() -> None:
    history = [epoch(penalty=value) for value in (100.0, 100.0, 9000.0)]
    for entry in history:
        del entry["valid"]["penalty"]
    assert "9000 in epoch 3, and 100 before" in verdict(make(history=history), "the penalty")[1]
    assert verdict(make(history=[]), "the penalty")[0] is None
    assert verdict(make(history=[{"valid": {"loss": 1.0}}]), "the penalty")[0] is False


def public(tmp_path: Path, workers: int = 0, **changes: Any) -> Run:
    """A run of the public solver, by so many processes that Dora started."""
    config = changed(**changes)
    del config["precision"]
    for rank in range(1, workers):
        (tmp_path / f"worker_{rank}.log").touch()
    return make(config=config, folder=tmp_path)


def test_small_shares_break_the_groups_of_the_public_solver(tmp_path: Path) -> None:
    applies, reason = verdict(public(tmp_path, batch_size=16), "remix")
    assert applies is None
    assert "batch_size=16 was divided: more than 4 break the groups" in reason
    assert verdict(public(tmp_path, batch_size=2), "remix")[0] is True
    assert verdict(public(tmp_path, workers=4, batch_size=16), "remix")[0] is False
    applies, reason = verdict(public(tmp_path, workers=8, batch_size=16), "remix")
    assert applies is True
    assert "2 songs a process" in reason


def test_small_shares_matter_here_for_a_teacher_in_the_step_only() -> None:
    record = RunRecord(signature="sig", name="", epochs=9, processes=8)
    run = make(record=record, config=changed(batch_size=16))
    assert verdict(run, "remix")[0] is False
    run = make(record=record, config=changed(batch_size=16, semi__refresh=True))
    assert verdict(run, "remix")[0] is True


def test_fine_tuning_leaves_augmentation_out() -> None:
    run = make(config=changed(continue_from="0a1b2c3d", augment__remix__proba=0,
                              augment__repitch__proba=0))  # fmt: skip
    assert applying(run) == ALWAYS - {"no fine-tuning on automixes"}


def test_the_evaluation_counts_before_the_configuration() -> None:
    assert verdict(make(results=results(shifts=1)), "evaluated")[0] is True
    assert verdict(make(results=results(shifts=10)), "evaluated")[0] is False
    run = make(results=None, config=changed(test__shifts=1))
    assert "training tests with shifts=1" in verdict(run, "evaluated")[1]
    assert verdict(make(results=results(members=4)), "one network")[0] is False
    assert verdict(make(results=results(metric="nsdr")), "nSDR")[0] is True
    assert verdict(make(results=None), "nSDR")[0] is True
    assert verdict(make(results=None, history=[]), "nSDR")[0] is None


def test_overrides_alone_are_read_with_the_defaults() -> None:
    run = make(config={}, overrides=["model=hdemucs", "ema.batch=[0.9995]", "svd.penalty=1e-05"])
    assert Evidence(run)["dset.segment"] == 11
    assert Evidence(run)["ema.batch"] == [0.9995]
    assert Evidence(run).number("svd.penalty") == 1e-5
    assert verdict(run, "remix")[0] is None, "whose solver it was is not known"
    run.overrides.append("variant=finetune")
    applies, reason = verdict(run, "short")
    assert (applies, reason) == (None, "no configuration that says dset.segment")
    assert verdict(run, "no penalty")[0] is False, "it was typed"


def test_a_value_that_is_no_number_is_not_known() -> None:
    applies, reason = verdict(make(config=changed(dset__segment="${x}")), "short")
    assert applies is None
    assert "dset.segment=${x} is not a number" in reason


def test_a_run_without_a_configuration_is_not_judged() -> None:
    run = make(config={}, history=[], results=None)
    items = checklist(run)
    assert [item.cause.name for item in items if item.applies is not None] == ["the seed"]
    assert "Not known" in expectation_text(run)
    assert expectation(run)["model"] is None


def test_the_first_epochs_stand_beside_the_public_ones() -> None:
    rows = beside_public([epoch(4.0), epoch(float("nan"))])
    assert [row["public"] for row in rows] == pytest.approx([3.604, 4.374, 4.861, 5.118, 5.317])
    assert rows[0]["difference"] == pytest.approx(0.396)
    assert [row["nsdr"] for row in rows[1:]] == [None] * 4
    text = expectation_text(make(history=[epoch(4.0)]))
    assert re.search(r"1 +4\.00 +3\.60 +\+0\.40", text)
    assert re.search(r"2 +– +4\.37 +–", text)
    assert "public run" not in expectation_text(make(history=[]))


def test_a_release_alone_says_how_long_it_was_trained() -> None:
    run = make(history=[], info={"provenance": {"epochs": 7}})
    assert expectation(run)["epoch"] == 7
    assert "sig: hdemucs, 7 of 9 epochs" in expectation_text(run)


def test_an_epoch_has_its_price() -> None:
    run = make(history=[epoch()] * 3)
    found = expectation(run)
    assert found["seconds_per_epoch"] == {"train": 60.0, "valid": 12.0}
    assert found["seconds_left"] == 6 * 72
    assert "1 min of training and 12 s of validation" in expectation_text(run)
    assert expectation(make(history=[{"valid": {}}]))["seconds_per_epoch"] is None


def test_its_sdr_stands_beside_single_models() -> None:
    run = make(results=results(sorted(TEST_NAMES)))
    text = " ".join(expectation_text(run).split())
    assert "SDR (median over songs): 6.50 dB. Single models on MUSDB18-HQ" in text
    assert "6.80 HDEMUCS_HIGH_MUSDB of torchaudio (facebookresearch/demucs issue 493)" in text
    assert "≈6.9 HDemucs, one network (estimate)" in text
    assert "7.64 Hybrid" not in text
    assert "not comparable" in expectation_text(make())
    assert "No SDR of an evaluation is here yet" in expectation_text(make(results=None))
    assert expectation(run)["comparable"]


def test_estimates_and_sources_are_said() -> None:
    for cause in CAUSES:
        assert cause.source
        assert ("estimate" in cause.cost) is cause.estimate
        assert cause.source.startswith("estimate") is cause.estimate
    text = " ".join(expectation_text(make()).split())
    assert "one network is compared with a bag: 0.2–0.5 dB (estimate)" in text


def test_everything_is_plain_json() -> None:
    run = make(history=[epoch(float("inf"), float("nan"))], results=results())
    content = json.loads(json.dumps(expectation(run), allow_nan=False))
    assert len(content["checklist"]) == len(CAUSES)
    assert set(content["checklist"][0]) == {
        "cause", "decibels", "estimate", "key", "source", "applies", "reason",
    }  # fmt: skip


def test_the_defaults_are_those_of_the_configuration() -> None:
    for key, value in DEFAULTS.items():
        content: Any = _defaults()
        for part in key.split("."):
            content = content[part]
        assert content == value, key


def test_the_page_has_the_same_table() -> None:
    page = (ROOT / "docs" / "expectations.md").read_text(encoding="utf-8")
    cells = [
        [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell).replace("`", "").strip()
         for cell in line.strip("|").split("|")]
        for line in page.splitlines() if line.startswith("| ")
    ]  # fmt: skip
    rows = [row for row in cells if len(row) == 4]
    assert rows[0] == ["cause", "costs", "key", "source"]
    assert rows[1:] == [[cause.name, cause.cost, cause.key, cause.source] for cause in CAUSES]


def test_the_page_has_the_first_epochs() -> None:
    page = (ROOT / "docs" / "expectations.md").read_text(encoding="utf-8")
    content = json.loads(
        (ROOT / "demucs" / "evaluation" / "results" / "published.json").read_text(encoding="utf-8")
    )
    for number, entry in enumerate(content["first_epochs"]["epochs"], 1):
        valid = entry["valid"]
        assert (
            f"| {number} | {valid['loss']:.4f} | {valid['nsdr']:.2f} | {valid['penalty']:.0f} |"
            in page
        )
