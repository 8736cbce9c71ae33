"""Who judges in tools.distil: which judges there are, what they say of themselves, and refuse."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from distil_support import RATE, SOURCES, Halves, make_scoring, make_teacher, noise, score, write
from torch import nn

from demucs.blind.calibration.calibration import Calibration
from demucs.blind.distil import distillation as _distil_run
from demucs.blind.distil.candidates import survey
from demucs.blind.distil.labelling import QUALITIES, check_judge, make_judge
from demucs.blind.distil.manifest import read_manifest, write_manifest
from demucs.blind.distil.quality_judge import NetworkJudge, RawJudge
from demucs.blind.distil.selection import Rule
from demucs.blind.distil.song_writing import Writing, read_facts
from demucs.blind.distil.stages import Part, entries_of, write_songs
from demucs.blind.network import NetworkConfig, QualityNetwork, Trained, save_network
from demucs.blind.records import Measures
from demucs.blind.scores.song_scores import DEFINITIONS
from demucs.blind.teacher import Teacher
from demucs.errors import ConfigError
from demucs.release.provenance import file_sha256
from tests.unit.blind_records import SOURCES as FOUR
from tests.unit.blind_records import make_records
from tools.distil import parse_options


def asked(**options: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"calibration": None, "network": None, "by": None, **options})


def bag_of(count: int) -> Teacher:
    model: Any = Halves()
    model.models = nn.ModuleList([Halves() for _ in range(count)])
    return replace(make_teacher(), model=model)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    made = QualityNetwork(SOURCES, NetworkConfig()).eval()
    path = tmp_path_factory.mktemp("network") / "quality.safetensors"
    save_network(path, Trained(network=made, factors=(1.0, 1.0), coverage=0.9))
    return path


@pytest.fixture(scope="module")
def calibrations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("calibrations")
    paths = {target: folder / f"{target}.json" for target in ("nsdr", "sdr")}
    made = Calibration.fit(make_records(), coverage=0.8)
    made.save(paths["nsdr"])
    replace(made, settings=replace(made.settings, target="sdr")).save(paths["sdr"])
    return paths


@pytest.mark.parametrize("name", sorted({*DEFINITIONS, "x"} - set(QUALITIES)))
def test_scores_that_are_no_qualities_are_refused_with_the_list(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"--by {name}: .*give one of reseparation, .*members$"):
        make_judge(asked(by=name))


@pytest.mark.parametrize("name", QUALITIES)
def test_qualities_say_that_they_predict_nothing(name: str) -> None:
    assert make_judge(asked(by=name)).about == {
        "kind": "score", "unit": "agreement, dB (no prediction)", "by": name,
    }  # fmt: skip


def test_a_score_is_taken_as_it_is() -> None:
    value = Measures(track=np.array([3.0, -1.0]), windows=np.array([[3.0], [-1.0]]))
    judge = RawJudge(lambda teacher, mix: (teacher(mix), {"noise": value}), "noise", 1.0)
    _, quality, _ = judge(make_teacher(), torch.zeros(2, RATE))
    assert quality.sdr.tolist() == quality.low.tolist() == [3, -1]


def test_members_need_a_bag_of_two() -> None:
    judge = make_judge(asked(by="members"))
    for alone in (make_teacher(), bag_of(1)):
        with pytest.raises(ConfigError, match="half is no bag of two models or more"):
            check_judge(judge, alone)
    check_judge(make_judge(asked(by="self_cycle")), make_teacher())
    several = bag_of(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Teacher, "members", lambda self: [self, self])
        check_judge(judge, several)


def test_a_calibration_says_what_it_was_fitted_on(calibrations: dict[str, Path]) -> None:
    judge, records = make_judge(asked(calibration=calibrations["nsdr"])), make_records()
    about = judge.about
    assert (about["kind"], about["unit"]) == ("calibration", "predicted nSDR, dB")
    assert (about["target"], about["coverage"]) == ("nsdr", 0.8)
    assert about["teachers"] == sorted({one.teacher for one in records})
    assert about["families"] == sorted({one.family for one in records})
    assert judge.settings == {"calibration": file_sha256(calibrations["nsdr"])}
    assert json.loads(json.dumps(about)) == about


def test_a_calibration_of_another_target_or_of_other_stems_is_refused(
    calibrations: dict[str, Path],
) -> None:
    with pytest.raises(ConfigError, match="predicts sdr, and nSDR is wanted"):
        make_judge(asked(calibration=calibrations["sdr"]))
    judge = make_judge(asked(calibration=calibrations["nsdr"]))
    with pytest.raises(ConfigError, match="half gives low, high"):
        check_judge(judge, make_teacher())


@pytest.mark.parametrize("name", ["members", "cycle"])
def test_a_calibration_with_a_score_that_is_missing_here_is_refused(
    calibrations: dict[str, Path], name: str
) -> None:
    judge: Any = make_judge(asked(calibration=calibrations["nsdr"]))
    four = replace(make_teacher(), sources=tuple(FOUR))
    fewer = [one for one in judge.about["scores"] if one not in ("members", "cycle")]
    check_judge(replace(judge, about={**judge.about, "scores": fewer}), four)
    with pytest.raises(ConfigError, match=f"{name}: .*fitted without this score"):
        check_judge(replace(judge, about={**judge.about, "scores": [*fewer, name]}), four)


def test_a_network_separates_once_and_predicts(network: Path) -> None:
    judge, count = make_judge(asked(network=network)), 0
    assert isinstance(judge, NetworkJudge)
    assert judge.settings == {"network": file_sha256(network)}
    assert (judge.about["kind"], judge.about["unit"]) == ("network", "predicted nSDR, dB")

    class Counted(Halves):
        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            nonlocal count
            count += 1
            return super().forward(mix)

    teacher = replace(make_teacher(), model=Counted().eval())
    check_judge(judge, teacher)
    mixture = torch.from_numpy(noise(3).T).float()
    stems, quality, scores = judge(teacher, mixture)
    assert (count, scores, quality.sources) == (1, {}, SOURCES)
    assert torch.equal(stems, make_teacher()(mixture))
    assert np.isfinite(quality.sdr).all()
    with pytest.raises(ConfigError, match="the network knows the stems low, high"):
        check_judge(judge, replace(teacher, sources=("low",)))


@pytest.mark.parametrize(
    "words",
    [
        ["--network", "a", "--by", "noise"], ["--calibration", "a", "--network", "b"],
        ["--calibration", "a", "--by", "noise"], [],
    ],
)  # fmt: skip
def test_there_is_one_judge(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["music", "out", "-n", "x", "--budget", "1h", *words])
    assert ("give one of them" if words else "--network FILE") in capsys.readouterr().err


def test_songs_say_whose_numbers_they_have(tmp_path: Path, network: Path) -> None:
    write(tmp_path / "music" / "a.wav", noise(4))
    judge, out = make_judge(asked(network=network)), tmp_path / "out"
    scoring = make_scoring(out, judge)
    found, _ = entries_of(score(tmp_path / "music", scoring), scoring)
    seen = survey(found, RATE, Rule(by="all"))
    how = Writing(
        teacher=scoring.teacher, weights="w", out=out, rule=seen.rule, threshold=None,
        licence=lambda song: "mine", judge=judge.about,
    )  # fmt: skip
    write_songs(seen, how, Part())
    facts = read_facts(out / "train" / "a")
    assert facts is not None
    assert facts["judge"] == judge.about
    write_manifest(seen, how, copies={}, about={"judge": judge.about}, warnings=[])
    assert read_manifest(out)["judge"] == judge.about


def test_a_wrong_guard_leaves_no_settings_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "music" / "a.wav", noise(4))
    monkeypatch.setattr(_distil_run, "get_model", lambda name, repo: Halves())
    words = [str(tmp_path / "music"), str(tmp_path / "out"), "-n", "half", "-d", "cpu"]
    words += ["--by", "noise", "--stage", "score"]
    with pytest.raises(Exception, match="does not exist"):
        _distil_run.run(parse_options([*words, "--guard", str(tmp_path / "none")]))
    assert not (tmp_path / "out" / "settings.json").exists()
    assert _distil_run.run(parse_options(words)) == 0
    assert (tmp_path / "out" / "settings.json").exists()
