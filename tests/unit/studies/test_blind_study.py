"""The study on records whose statistics are known, and its command line."""

import json
from dataclasses import replace

import numpy as np
import pytest

from demucs.blind.scores.song_scores import DEFINITIONS
from demucs.errors import DatasetError
from studies.blind.answer import _worse_than_level, answer, negative
from studies.blind.missed import missed_goals, short_intervals, unsure_within
from studies.blind.notes import HEARD
from studies.blind.rows import sheet_of
from studies.blind.seeds import stability
from studies.blind.study import study
from studies.blind.text import page
from studies.blind_study import main
from tests.unit.blind_records import SOURCES, make_records

TEACHERS = (("run_a_1", "one"), ("run_b_1", "one"), ("run_c_1", "two"))


def all_records(**options):
    return [
        one
        for kind in ("studio", "live")
        for split in ("valid", "test")
        if (kind, split) != ("live", "valid")
        for one in make_records(kind=kind, split=split, songs=10, teachers=TEACHERS, **options)
    ]


@pytest.fixture(scope="module")
def found():
    return study(all_records(network=True), draws=20, compare=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    for number, one in enumerate(all_records()):
        one.save(folder / one.teacher / one.kind / one.split / f"{number}.json")
    return folder


@pytest.mark.long
def test_every_question_is_asked_and_counted(found):
    parts = found["targets"]["nsdr"]["conditions"]
    assert list(parts) == ["songs", "family", "kind", "both"]
    assert list(found["targets"]) == ["nsdr"]  # these records have no sdr
    assert found["settings"]["kind"] == "studio"
    for one in parts.values():
        assert one["songs"]["rows"] == 10 * 3 * 4
        assert one["songs"]["songs"] == 10
        assert one["windows"]["rows"] == 10 * 3 * 4 * 6
    assert sum(one["songs"] for one in found["records"]) == 10 * 3 * 3


def test_correlations_are_those_that_were_put_in(found):
    table = found["targets"]["nsdr"]["conditions"]["songs"]["windows"]["correlations"]
    mean = {name: one["mean"] for name, one in table.items()}
    assert mean["calibration"]["spearman"]["value"] > 0.95
    assert mean["calibration+network"]["spearman"]["value"] > 0.95
    assert mean["reseparation"]["partial"]["value"] > 0.9
    assert mean["polarity"]["spearman"]["value"] < mean["reseparation"]["spearman"]["value"]
    assert mean["swap"]["spearman"]["value"] > 0.3  # knows loudness, and
    assert abs(mean["swap"]["partial"]["value"]) < 0.1  # nothing else
    assert mean["level"]["partial"]["value"] is None
    assert abs(mean["noise"]["spearman"]["value"]) < 0.1  # knows nothing
    assert mean["gain"]["spearman"]["value"] is None  # is constant
    one = mean["reseparation"]["spearman"]
    assert one["low"] <= one["value"] <= one["high"]


def test_pooling_over_unlike_teachers_is_told_from_one_teacher(found):
    table = found["targets"]["nsdr"]["conditions"]["songs"]["windows"]["correlations"]
    one = table["polarity"]["mean"]
    assert one["spearman"]["value"] > one["within"]["spearman"]["value"] + 0.02


def test_the_answer_is_six_sentences_of_the_numbers(found):
    told = answer(found, "nsdr")
    assert len(told) == 6
    assert "drums `reseparation`" in told[0]
    assert "of 4 stems reach 0.9" in told[1]
    assert "`swap`" in told[3]
    value = found["targets"]["nsdr"]["conditions"]["songs"]["songs"]["correlations"]["calibration"]
    assert f"bass {value['bass']['spearman']['value']:.2f}" in told[1]


def test_the_answer_tells_the_ranking_of_one_teachers_songs(found):
    table = found["targets"]["nsdr"]["conditions"]["songs"]["songs"]["correlations"]["calibration"]
    values = [table[stem]["within"]["spearman"]["value"] for stem in SOURCES]
    told = answer(found, "nsdr")[2]
    assert f"from {min(values):.2f} (" in told
    assert f"to {max(values):.2f} (" in told
    assert f"mean Spearman of {table['mean']['within']['spearman']['value']:.2f} [" in told
    assert "pooling over stages" in told


def small(value=0.95, within=0.9, covered=0.9, windows=0.95):
    """Numbers of one condition and one stem."""

    def table(one):
        parts = {"value": one, "reason": "why"}
        return {"calibration": {"bass": {"spearman": parts,
                                         "within": {"spearman": {"value": within}}}}}  # fmt: skip

    study = {
        "sources": ["bass"],
        "settings": {"coverage": 0.9},
        "definitions": {"goals": {"kind": 0.8}},
    }
    songs = {
        "correlations": table(value),
        "calibration": {"calibration": {"bass": {"covered": covered}}},
    }
    return study, {"kind": {"songs": songs, "windows": {"correlations": table(windows)}}}


def test_windows_that_miss_the_goal_are_a_negative_result():
    assert not list(missed_goals(*small()))
    (told,) = missed_goals(*small(windows=0.7))
    assert told == "`calibration` misses 0.8 in `kind`, windows: bass 0.70."
    (told,) = missed_goals(*small(value=None))
    assert told == "`calibration` cannot be judged in `kind`, songs: why."


def test_poor_ranking_and_short_intervals_are_negative_results():
    assert not [*unsure_within(*small(within=0.5)), *short_intervals(*small(covered=0.86))]
    (told,) = unsure_within(*small(within=0.49))
    assert "`kind`: bass 0.49" in told
    (told,) = short_intervals(*small(covered=0.85))
    assert "`kind`: bass 85%" in told


def test_a_network_that_heard_all_families_is_not_asked_of_new_ones(found):
    assert found["heard"] == ["one", "two"]
    text = page(found)
    assert "was not said (`report --heard`)" in text
    assert "chosen on songs of the split valid" in text
    assert f"| family | network | {HEARD} | - |" in text
    for name, finite in (("songs", True), ("kind", True), ("family", False), ("both", False)):
        for level in ("songs", "windows"):
            part = found["targets"]["nsdr"]["conditions"][name][level]
            for model in ("network", "calibration+network"):
                one = part["correlations"][model]["bass"]["spearman"]
                assert (one["value"] is not None) == finite
                assert ("excess" in part["risk"][model]["bass"]) == finite
                assert finite or one["reason"] == part["risk"][model]["bass"]["reason"] == HEARD
            assert part["correlations"]["calibration"]["bass"]["spearman"]["value"] is not None


@pytest.mark.long
def test_a_network_is_asked_of_the_families_it_did_not_hear():
    records = [
        one for split in ("valid", "test")
        for one in make_records(split=split, songs=10, teachers=TEACHERS, network=True)
    ]  # fmt: skip
    found = study(records, heard=["one"], draws=5, compare=False)
    part = found["targets"]["nsdr"]["conditions"]["family"]["songs"]
    teachers = part["correlations"]["network"]["bass"]["teachers"]
    assert teachers["run_a_1"] is teachers["run_b_1"] is None
    assert teachers["run_c_1"] > 0.5
    assert (
        part["risk"]["network"]["bass"]["rows"] <= 10 < part["risk"]["calibration"]["bass"]["rows"]
    )
    assert "`network` was trained on estimates of these families: one." in found["notes"][0]


def test_runs_without_songs_of_calibration_are_compared_as_seeds_alone():
    records = [
        one for split in ("valid", "test")
        for one in make_records(split=split, songs=8, teachers=TEACHERS)
        if (split, one.teacher) != ("valid", "run_b_1")
    ]  # fmt: skip
    part = study(records, draws=5, compare=False)["targets"]["nsdr"]["conditions"]
    table = part["songs"]["songs"]["correlations"]["level"]["bass"]
    assert set(table["teachers"]) == {"run_a_1", "run_c_1"}
    assert part["songs"]["songs"]["rows"] == 8 * 2 * 4
    assert part["songs"]["songs"]["seeds"][0]["teachers"] == ["run_a_1", "run_b_1"]
    assert "run_b_1" in part["family"]["songs"]["correlations"]["calibration"]["bass"]["teachers"]


def test_the_best_score_is_chosen_on_songs_of_calibration():
    records = make_records(songs=8)
    for one in make_records(songs=8, split="test"):
        scores = dict(one.scores)
        scores["reseparation"], scores["noise"] = scores["noise"], scores["reseparation"]
        records.append(replace(one, scores=scores))
    found = study(records, draws=5, compare=False)
    table = found["targets"]["nsdr"]["conditions"]["songs"]["songs"]["correlations"]
    assert table["noise"]["bass"]["spearman"]["value"] > 0.8  # would be taken on test songs
    assert found["targets"]["nsdr"]["chosen"]["bass"]["score"] == "reseparation"
    value = table["reseparation"]["bass"]["spearman"]["value"]
    assert f"bass `reseparation` {value:.2f}" in answer(found, "nsdr")[0]


def test_songs_of_one_name_in_two_kinds_are_two():
    records = make_records(songs=3) + make_records(songs=3, kind="live")
    for windows in (False, True):
        sheet = sheet_of(records, ["level"], "nsdr", {}, windows=windows)
        assert len(set(sheet.song)) == 6
        assert [one.split("/")[1] for one in sheet.song[:1]] == [records[0].track]
        assert len(sheet.song) == len(sheet)


def test_negative_results_are_said(found):
    told = "\n".join(negative(found, "nsdr"))
    assert "`gain` tells nothing" in told
    assert "`noise`: Spearman" in told
    assert "`swap` knows no more than loudness" in told
    assert "`polarity`" not in told
    text = page(found)
    assert "### Negative results" in text
    for name in DEFINITIONS:
        assert f"- `{name}`:" in text


def test_activity_that_is_worse_than_level_is_a_negative_result():
    one = {"calibration (activity)": {"all": {"auc": 0.7}}, "level": {"all": {"auc": 0.9}}}
    other = {**one, "level": {"all": {"auc": 0.6}}}
    told = list(
        _worse_than_level({"kind": {"songs": {"activity": one}, "windows": {"activity": other}}})
    )
    assert len(told) == 1
    assert "songs in `kind`" in told[0]
    assert "0.900" in told[0]


def test_a_score_that_goes_the_wrong_way_is_a_negative_result():
    records = make_records(songs=10) + make_records(songs=10, split="test")
    for one in records:
        for values in (one.scores["polarity"].track, one.scores["polarity"].windows):
            np.negative(values, out=values)
    told = "\n".join(negative(study(records, draws=20, compare=False), "nsdr"))
    assert "`polarity` goes the wrong way" in told


def test_low_is_good_is_turned_round():
    records = make_records(songs=8) + make_records(songs=8, split="test")
    for one in records:
        old = one.scores["reseparation"]
        one.scores["holes"] = type(old)(track=-old.track, windows=-old.windows)
    found = study(records, draws=5, compare=False)
    table = found["targets"]["nsdr"]["conditions"]["songs"]["songs"]["correlations"]
    assert table["holes"]["mean"]["spearman"]["value"] > 0.8


def test_one_family_cannot_be_left_out_and_unknown_ones_are_tested_as_unseen():
    records = make_records(songs=8) + make_records(songs=8, split="test")
    found = study(records, families=["one"], draws=5, compare=False)
    parts = found["targets"]["nsdr"]["conditions"]
    assert found["settings"]["calibrated_on"] == ["one"]
    assert parts["songs"]["families"] == ["one"]
    assert parts["family"]["families"] == ["two"]
    alone = [one for one in records if one.family == "one"]
    assert list(study(alone, draws=5, compare=False)["targets"]["nsdr"]["conditions"]) == ["songs"]


def test_seeds_are_compared_at_the_same_stage(found):
    (pair,) = found["targets"]["nsdr"]["conditions"]["songs"]["songs"]["seeds"][:1]
    assert pair["teachers"] == ["run_a_1", "run_b_1"]
    assert pair["stems"]["bass"]["agreement"] > 0.5
    table = {"level": {"bass": {"teachers": {"a_1": 0.5, "b_2": 0.7}}}}
    assert stability(table, {"a_1": "one", "b_2": "one"}, ["bass"]) == []


def test_what_the_study_lacks_is_said():
    with pytest.raises(DatasetError, match="split valid"):
        study(make_records(songs=2, split="test"))
    with pytest.raises(DatasetError, match="split test"):
        study(make_records(songs=2))
    with pytest.raises(DatasetError, match="truths sdr"):
        study(make_records(songs=2) + make_records(songs=2, split="test"), targets=["sdr"])


def test_report_writes_numbers_and_page(folder, tmp_path, capsys):
    assert (
        main(["report", str(folder), "--out", str(tmp_path), "--draws", "20", "--no-compare"]) == 0
    )
    assert "study.md" in capsys.readouterr().out
    assert json.loads((tmp_path / "study.json").read_text())["format"] == "demucs-blind-study-1"
    assert (tmp_path / "study.json").stat().st_size < 2e6
    assert (tmp_path / "study.md").read_text().startswith("# What blind scores know")


def test_calibrate_keeps_a_calibration(folder, tmp_path, capsys):
    from demucs.blind.calibration.calibration import Calibration

    path = tmp_path / "calibration.json"
    assert main(["calibrate", str(folder), "--out", str(path), "--families", "one"]) == 0
    assert "20 records" in capsys.readouterr().out
    made = Calibration.load(path)
    assert set(made.rows.family) == {"one"}
    assert made.settings.sources == SOURCES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["report", "RECORDS", "--draws", "3"], "--draws 3"),
        (["report", "RECORDS", "--coverage", "2"], "--coverage 2"),
        (["report", "RECORDS", "--regressor", "magic"], "--regressor magic"),
        (["report", "NOWHERE"], "no records of blind scores"),
        (["calibrate", "RECORDS", "--families", "nobody"], "no record of the split valid"),
    ],
)
def test_the_command_line_says_what_is_wrong(options, message, folder, tmp_path, capsys):
    places = {"RECORDS": str(folder), "NOWHERE": str(tmp_path)}
    options = [places.get(one, one) for one in options]
    assert main([*options, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
