"""Scaling is computed from what runs tell, and what they do not tell is said."""

import json

import pytest

from tests.unit.graphing import call

import scaling  # isort: skip

LINE = "[2026-11-29 02:1{minute}:23,255][demucs.training.{who}][INFO] - {text}\n"


def log(processes, rates, batch_size=4, channels=8):
    """A training log of one epoch for each rate (steps a second)."""
    who = "run"
    text = "== 2026-11-29 01:56:13: job 1 (demucs_train) on node1, start 1, arguments: "
    text += f"{len(rates)} hdemucs.channels={channels} batch_size={batch_size}\n"
    start = (
        f"experiment e19395ff in outputs/xps/e19395ff: hdemucs on cuda, {processes} process(es), "
    )
    text += LINE.format(minute=0, who=who, text=start + "4 thread(s), 2 reader(s)")
    for number, rate in enumerate(rates, 1):
        head = f"train {number}/{len(rates)} | 10/10 | {rate:.2f} it/s | 0:00 left | loss 0.3"
        text += LINE.format(minute=number, who="progress", text=head)
        end = f"epoch {number}/{len(rates)} | train loss 0.3 | valid loss 0.3, nSDR 1.00 dB (main)"
        text += LINE.format(minute=number, who="solver", text=f"{end} | 9 + 11 s")
    return text


@pytest.fixture
def run(tmp_path):
    def write(name, *arguments, **settings):
        path = tmp_path / f"{name}.out"
        path.write_text(log(*arguments, **settings))
        return path

    return write


@pytest.fixture
def drawn(monkeypatch):
    """Words of the figure that a call would have written."""
    words = []

    def keep(figure, folder, name):
        words.extend(text.get_text() for axes in figure.axes for text in axes.texts)
        words.append(figure.get_supxlabel())

    monkeypatch.setattr(scaling, "save", keep)
    return words


def folder_of(tmp_path, seconds, processes=2):
    """An experiment's folder, with exact seconds in its history."""
    folder = tmp_path / "e19395ff"
    folder.mkdir()
    epochs = [{"train": {"loss": 0.3}, "valid": {"loss": 0.3, "nsdr": 1.0},
               "seconds": {"train": one, "valid": 3.0}} for one in seconds]  # fmt: skip
    (folder / "history.json").write_text(json.dumps(epochs))
    (folder / "train.log").write_text(log(processes, [9.0] * len(seconds)))
    (folder / "run.json").write_text(json.dumps({"processes": processes, "epochs": 3}))
    return folder


def test_seconds_of_the_history_count_before_rates(tmp_path):
    found = scaling.read_speed(str(folder_of(tmp_path, [100.0, 10.0, 20.0])), None)
    assert found.processes == 2
    assert found.epochs == [4.0, 2.0]  # 10 batches of 4; the first epoch is left out


def test_speed_and_efficiency(run, drawn):
    one = run("one", 1, [0.1, 0.5, 0.7])
    eight = run("eight", 8, [1.0, 3.6])
    assert call(scaling, one, eight) == 0
    found = [scaling.read_speed(str(path), None) for path in (one, eight)]
    assert [speed.median for speed in found] == pytest.approx([2.4, 14.4])
    base = found[0].median
    assert f"{100 * found[1].median / 8 / base:.0f} %" in drawn
    assert "100 %" in drawn
    assert "differs" not in drawn[-1]


def test_the_number_can_be_given(run):
    path = run("one", 1, [0.5])
    assert scaling.read_speed(f"4={path}", None).processes == 4
    assert scaling.read_speed(str(path), 99).facts["batch_size"] == 4  # what the run tells counts


def test_what_cannot_be_compared_is_told(run, drawn):
    assert call(scaling, run("a", 1, [1, 1]), run("b", 2, [1, 1], batch_size=8, channels=4)) == 0
    assert "not comparable: the batch size differs between the runs (1: 4, 2: 8" in drawn[-1]
    assert "not comparable: the channels differs" in drawn[-1]


def test_a_single_run_is_told(run, drawn):
    assert call(scaling, run("a", 2, [1, 1])) == 0
    assert "all runs have 2 process(es): there is nothing to scale" in drawn[-1]


def test_figures_are_written(run, tmp_path):
    assert call(scaling, run("a", 1, [1, 1]), run("b", 2, [1, 2]), "--out", tmp_path / "out") == 0
    assert (tmp_path / "out" / "scaling.png").stat().st_size > 5000
    assert (tmp_path / "out" / "scaling.svg").stat().st_size > 5000


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("batch_size=4", ""), "give --batch-size N"),
        (lambda text: text.replace("experiment e19395ff", "something"), "write N="),
        (lambda text: text.replace("progress]", "x]").replace("it/s", "")
         .replace(" | 9 + 11 s", ""), "misc.num_prints"),
        (lambda text: "nothing\n", "no line of a training"),
        (lambda text: "", "is empty"),
    ],
)  # fmt: skip
def test_a_run_that_does_not_tell_leaves_the_others(run, drawn, spoil, message, capsys):
    good, bad = run("good", 1, [1, 1]), run("bad", 2, [1, 1])
    bad.write_text(spoil(bad.read_text()))
    assert call(scaling, bad, good) == 1
    assert message in capsys.readouterr().err
    assert "100 %" in drawn


def test_wrong_options(run):
    assert call(scaling, run("a", 1, [1]), "--batch-size", "0") == 2
