"""How the figures' scripts read evaluations, and the figure of test metrics over checkpoints."""

import ast
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "graphing_scripts"))
import test_metrics as script
from _runs import Run
from _scores import epoch_in, read_scores, scores_of_run

from demucs.evaluation.results.results import Results

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "demucs_results" / "demo_c4a125af"
LOGS = ROOT / "tests" / "golden" / "public_logs"
PRINTED = LOGS / "hdemucs_small_after_4_epochs_log.txt"


@pytest.fixture(autouse=True)
def closed():
    yield
    script.plt.close("all")


def printed(path: Path, text: str) -> "script.Scores":
    path.write_text(text, encoding="utf-8")
    return read_scores(path)


def notes(figure: "script.plt.Figure") -> str:
    return "" if figure._supxlabel is None else figure._supxlabel.get_text()


def test_results_are_read_as_they_are() -> None:
    scores, results = read_scores(DEMO / "evaluation.json"), Results.load(DEMO / "evaluation.json")
    assert (scores.name, scores.epoch, scores.sources) == ("c4a125af", None, results.sources)
    assert scores.metrics() == ["nsdr", "sdr", "isr", "sir", "sar"]
    for name, track in results.tracks.items():
        assert scores.values("sdr", "bass")[name] == track.values["sdr"]["bass"]
    for key, value in results.summary().items():
        metric, _, stem = key.partition("_") if "_med" not in key else key.partition("_med_")
        metric = f"{metric}_med" if "_med" in key and not metric.endswith("_med") else metric
        if metric in scores.aggregates:
            assert scores.aggregates[metric][stem or "mean"] == pytest.approx(value)
    assert scores.data == {"name": "songs", "split": "test", "tracks_in_split": 4, "tracks": 4}


def test_failed_tracks_and_values_that_do_not_exist(tmp_path: Path) -> None:
    content = json.loads((DEMO / "evaluation.json").read_text())
    first, second = list(content["tracks"])[:2]
    content["tracks"][first]["failed"] = "no such file"
    content["failed"] = {first: "no such file"}
    content["tracks"][second]["values"]["sdr"]["bass"] = None
    content["complete"] = False
    content["aggregates"]["sdr"]["stems"]["drums"] = None
    content["model"] = {"name": "c4a125af_7", "signature": "c4a125af"}
    (tmp_path / "a.json").write_text(json.dumps(content))
    scores = read_scores(tmp_path / "a.json")
    assert first not in scores.tracks
    assert second not in scores.values("sdr", "bass")
    assert "drums" not in scores.aggregates["sdr"]
    assert scores.epoch == 7, "as tools.export --epoch calls it"
    assert scores.notes == [
        f"1 tracks could not be measured: {first}",
        "the evaluation is not complete: tracks are missing",
    ]


def test_the_public_evaluations_dictionary(tmp_path: Path) -> None:
    text = PRINTED.read_text()
    scores = read_scores(PRINTED)
    plain = ast.literal_eval(text.replace("np.float64(", "").replace(")", ""))
    assert (scores.epoch, scores.sources) == (4, ["drums", "bass", "other", "vocals"])
    assert not scores.notes
    metrics = ("nsdr", "sdr", "sir", "isr", "sar")
    assert set(scores.aggregates) == {*metrics, *(f"{metric}_med" for metric in metrics)}
    assert scores.aggregates["sdr_med"]["vocals"] == plain["sdr_med_vocals"]
    assert scores.aggregates["isr"]["mean"] == plain["isr"]
    # older numpy prints plain numbers, a log has colours and other lines, all may be on one line
    for other in (
        str(plain),
        f"[2026-01-01][x][INFO] - {{'a': 1}}\n\x1b[1m{plain}\x1b[0m\ndone\n",
        json.dumps(plain),
    ):
        found = printed(tmp_path / "53288a8c_after_4_epoches.out", other)
        assert found.aggregates == scores.aggregates
        assert (found.name, found.epoch) == ("53288a8c", 4)


def test_a_dictionary_that_is_cut_or_there_twice_or_has_nan(tmp_path: Path) -> None:
    text = PRINTED.read_text()
    whole = read_scores(PRINTED)
    for end in range(len(text) // 2, len(text) - 2, 7):
        found = printed(tmp_path / "a.out", text[:end])
        assert "the printed dictionary is cut short: metrics may be missing" in found.notes
        for key, values in found.aggregates.items():
            assert values.items() <= whole.aggregates[key].items(), "a number may lack digits"
    found = printed(tmp_path / "a.out", f"{{'nsdr': 1.0}}\n{text}")
    assert found.aggregates == whole.aggregates
    assert found.notes == ["2 dictionaries are in the log: the last is drawn"]
    found = printed(tmp_path / "a.out", "{'nsdr': 1.0, 'sdr': nan, 'sdr_bass': -inf}")
    assert found.aggregates == {"nsdr": {"mean": 1.0}}
    assert found.notes == ["not finite, so not drawn: sdr, sdr_bass"]


@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        ("hdemucs_test3_53288a8c_after_282_epoches", 282),
        ("hdemucs_53288a8c_127_epochs", 127),
        ("epoch_16", 16),
        ("53288a8c", None),
        ("demucs_evaluate", None),
    ],
)
def test_a_files_name_tells_the_epoch(name: str, epoch: "int | None") -> None:
    assert epoch_in(name) == epoch


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[]", "is not the results of an evaluation"),
        ("a.json", b'{"schema": "other"}', "its schema is 'other'"),
        ("a.json", b'{"schema": "demucs-evaluation-2"}', "is not the results"),
        ("a.json", b'{"schema"', "is not the results"),
        ("a.out", b"hello {'a': 1}", "has no dictionary of metrics"),
        ("a.out", b"", "is empty"),
        ("a.out", b"\0", "is not a text"),
    ],
)
def test_what_is_no_evaluation_ends_with_the_reason(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_scores(tmp_path / name)
    assert "tools.test_pretrained" in str(caught.value)


def test_the_test_stages_of_a_training() -> None:
    tests = [{}, {"nsdr": 1.0, "nsdr_drums": 2.0, "nsdr_med": 1.5}, {"nsdr": float("nan")}]
    run = Run("x", DEMO, [{"train": {}, **({"test": one} if one else {})} for one in tests])
    (found,) = scores_of_run(run)
    assert (found.epoch, found.sources) == (2, ["drums"])
    assert found.aggregates == {"nsdr": {"mean": 1.0, "drums": 2.0}, "nsdr_med": {"mean": 1.5}}
    found = script.read_input(str(LOGS / "training_log.txt"))[0]
    assert [one.epoch for one in found] == [2, 4]


def test_the_epoch_can_be_said_and_has_to_be_known(tmp_path: Path) -> None:
    ((one,), _) = script.read_input(f"12={DEMO / 'evaluation.json'}")
    assert one.epoch == 12
    with pytest.raises(ValueError, match=r"its epoch is not known: give it, e.g. as 282="):
        script.read_input(str(DEMO / "evaluation.json"))
    with pytest.raises(ValueError, match="has its own epochs"):
        script.read_input(f"12={DEMO / 'history.json'}")
    with pytest.raises(ValueError, match="No such file"):
        script.read_input(f"12={tmp_path / 'none'}")


def test_checkpoints_are_drawn_in_the_order_of_their_epochs(tmp_path: Path) -> None:
    text = PRINTED.read_text()
    found = []
    for epoch in (282, 4, 127):
        path = tmp_path / f"53288a8c_after_{epoch}_epochs.out"
        path.write_text(text.replace("'sdr_bass': np.float64(", f"'sdr_bass': np.float64({epoch}"))
        found += script.read_input(str(path))[0]
    figure = script.draw(found, [])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["nSDR (dB), mean", "SDR (dB), mean"]
    assert len(titles) == 10
    means, medians = (
        next(one for one in figure.axes[place].get_lines() if one.get_label() == "bass")
        for place in (1, 6)
    )
    assert list(means.get_xdata()) == list(medians.get_xdata()) == [4, 127, 282]
    assert list(means.get_ydata()) == [
        one.aggregates["sdr"]["bass"] for one in (*found[1:], found[0])
    ]
    assert len(set(means.get_ydata())) == 3, "the means differ, as they were changed"
    assert len(set(medians.get_ydata())) == 1, "the medians do not"
    assert not notes(figure)


def test_doubts_about_the_checkpoints_are_told() -> None:
    results = read_scores(DEMO / "evaluation.json")
    results.epoch = 4
    ((other,), _) = script.read_input(str(PRINTED))
    said = notes(script.draw([results, other], ["a note"]))
    first, second, third = said.splitlines()
    assert first == "a note"
    assert second.startswith("epoch 4 is there twice with other values of ")
    assert second.endswith(f": those of {PRINTED.name} are drawn")
    assert third == "these are of different models: c4a125af, hdemucs_small"


def test_a_training_without_a_test_stage_is_a_figure_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found, said = script.read_input(str(DEMO / "history.json"))
    figure = script.draw(found, said)
    assert notes(figure) == "demo_c4a125af: no test stage in its 2 epochs"
    assert all(axes.texts[0].get_text() == "not measured" for axes in figure.axes)
    words = [str(DEMO / "history.json"), str(tmp_path / "none"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["test_metrics", *words])
    with pytest.raises(SystemExit) as caught:
        script.main()
    assert caught.value.code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "test_metrics.png",
        "test_metrics.svg",
    ]
    assert "none cannot be read" in capsys.readouterr().err
