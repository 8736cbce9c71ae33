"""Figures of trainings: what is drawn, and what is said where nothing can be."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "graphing_scripts"))
import training_curves
from _runs import Run, read_run

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "demucs_results" / "demo_c4a125af"
PUBLIC = ROOT / "tests" / "golden" / "public_logs" / "training_log.txt"


@pytest.fixture(autouse=True)
def closed():
    yield
    training_curves.plt.close("all")


def make_run(count: int = 6, **more: object) -> Run:
    epochs = []
    for n in range(1, count + 1):
        main = {"loss": 1 / n, "nsdr": float(n)}
        ema = {"loss": 0.9 / n, "nsdr": n + 0.5}
        valid = {**ema, "main": main, "ema_batch_0": ema, "bname": "ema_batch_0", "nsdr_drums": n}
        epochs.append({"train": {"loss": 2 / n, "reco": 1 / n}, "valid": valid})
    return Run("abcd1234", DEMO / "history.json", epochs, **more)


def words(figure: "training_curves.plt.Figure") -> str:
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    if figure._supxlabel is not None:
        texts.append(figure._supxlabel.get_text())
    if figure._suptitle is not None:
        texts.append(figure._suptitle.get_text())
    return "\n".join(texts)


def lines(figure: "training_curves.plt.Figure", panel: int) -> dict[str, list[float]]:
    found = figure.axes[panel].get_lines()
    return {str(one.get_label()): list(one.get_ydata()) for one in found}


def test_a_run_shows_every_stem_and_every_average() -> None:
    run = read_run(DEMO / "history.json")
    figure = training_curves.draw(run)
    assert list(lines(figure, 3))[:5] == ["drums", "bass", "other", "vocals", "mean"]
    by_state = lines(figure, 4)
    assert by_state["ema_batch_0"] == [e["valid"]["ema_batch_0"]["nsdr"] for e in run.epochs]
    assert by_state["main"] != by_state["ema_batch_0"]
    said = words(figure)
    assert "best (dotted): epoch 2, valid nSDR 5.67 dB, of ema_batch_0" in said
    assert "no test stage\nin this run" in said
    assert "no penalty" in said


def test_the_public_log_has_a_penalty_and_says_what_it_lacks() -> None:
    figure = training_curves.draw(read_run(PUBLIC))
    assert lines(figure, 2).keys() >= {"train", "valid"}
    assert len(lines(figure, 2)["train"]) == 4
    assert "nSDR" in words(figure)


def test_the_best_epoch_is_the_one_with_the_best_value_so_far() -> None:
    run = make_run()
    for number, epoch in enumerate(run.epochs, 1):
        epoch["valid"]["best"] = min(number, 3) + 0.5  # by nSDR, reached in epoch 3
    assert training_curves.best_epoch(run)[0] == 3
    run.epochs[-1]["valid"]["best"] = round(0.9 / 2, 4)  # by the loss, as a log rounds it
    assert training_curves.best_epoch(run) == (
        2, "best (dotted): epoch 2, valid loss 0.4500, of ema_batch_0"
    )  # fmt: skip
    for epoch in run.epochs:
        del epoch["valid"]["best"]
    assert training_curves.best_epoch(run)[1].startswith("highest valid nSDR (dotted): epoch 6")
    assert training_curves.best_epoch(Run("x", DEMO, [{"train": {"loss": 1.0}}])) == (None, "")


def test_values_that_are_missing_leave_a_gap() -> None:
    run = make_run(notes=["not finite, so not drawn: train.loss, in epoch 3"])
    run.epochs[2]["train"]["loss"] = math.nan
    figure = training_curves.draw(run)
    drawn = lines(figure, 0)["train"]
    assert [one for one in drawn if math.isfinite(one)] == [2 / n for n in (1, 2, 4, 5, 6)]
    assert math.isnan(drawn[2])
    assert "not finite" in words(figure)


def test_where_a_log_tells_only_the_chosen_state_the_figure_says_so() -> None:
    told = "only in the epochs in which it was chosen"
    assert told in words(training_curves.draw(read_run(PUBLIC)))
    assert "chosen_only" not in read_run(DEMO / "train.log").facts
    assert told not in words(training_curves.draw(make_run(2)))


def test_points_that_no_line_leads_to_are_marked() -> None:
    nan = math.nan
    assert training_curves.marked([1.0, 2.0, 3.0]) == [0, 1, 2]
    many = [0.0] * 100 + [nan, 1.0, nan] + [0.0] * 98
    found = training_curves.marked(many)
    assert 101 in found
    assert len(found) < 15


def test_several_runs_have_a_line_each() -> None:
    runs = [make_run(6), make_run(3), read_run(PUBLIC)]
    figure = training_curves.draw_together(runs)
    assert len(figure.axes[3].get_lines()) == 3
    styles = {(one.get_color(), one.get_marker()) for one in figure.axes[3].get_lines()}
    assert len(styles) == 3
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[2] == "training_log: 4 epochs"
    assert labels[0] != labels[1], "two of one name are told apart"


def test_good_and_bad_inputs_together(tmp_path, monkeypatch, capsys) -> None:
    bad = tmp_path / "bad.out"
    bad.write_bytes(b"\0\1")
    out = tmp_path / "figures"
    words = [str(bad), str(DEMO / "history.json"), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["training_curves", *words])
    with pytest.raises(SystemExit) as caught:
        training_curves.main()
    assert caught.value.code == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"training_curves: {bad} is not a text: give a history.json")
    paths = [out / f"training_curves.{suffix}" for suffix in ("png", "svg")]
    assert said.out.split() == [str(path) for path in paths]
    assert sorted(out.iterdir()) == sorted(paths), "nothing else is left"


def test_a_figure_lies_beside_what_it_is_of() -> None:
    history, log = read_run(DEMO / "history.json"), read_run(PUBLIC)
    assert [one[1:] for one in training_curves.places([history, log], None)] == [
        (DEMO, "training_curves"),
        (PUBLIC.parent, "training_log_curves"),
    ]
    both = training_curves.places([history, make_run(), log], DEMO)
    assert [name for _, _, name in both] == [
        f"training_curves_{DEMO.name}",
        "training_curves_abcd1234",
        "training_log_curves",
    ]
    twice = training_curves.places([log, log], None)
    assert [name for _, _, name in twice] == ["training_log_curves", "training_log_curves_2"]


def test_the_scripts_run_from_any_folder_without_torch(tmp_path) -> None:
    names = ["training_curves", "test_metrics", "track_distribution", "compare_models"]
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "graphing_scripts")!r})
for name in {names}:
    try:
        __import__(name).parse_options(["--help"])
    except SystemExit as error:
        assert error.code == 0
print([name for name in ("torch", "hydra", "dora") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    for name in names:
        assert f"graphing_scripts/{name}.py" in done.stdout
