"""How the figures' scripts read trainings: histories, folders, and raw logs."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "graphing_scripts"))
from _logs import LogReader
from _runs import Run, in_words, join_logs, read_run

from demucs.evaluation.results.results import Results
from demucs.evaluation.results.table import results_text

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "demucs_results" / "demo_c4a125af"
PUBLIC = ROOT / "tests" / "golden" / "public_logs" / "training_log.txt"
RESTART = "Loading checkpoint model"


@pytest.fixture(scope="module")
def public() -> str:
    return PUBLIC.read_text(encoding="utf-8")


def read_log(text: str) -> "list[dict]":
    return LogReader.read([text]).list_epochs()


def lines_with(text: str, words: str) -> list[str]:
    return [line for line in text.splitlines(keepends=True) if words in line]


def test_a_history_is_read_as_it_is() -> None:
    run, plain = read_run(DEMO / "history.json"), json.loads((DEMO / "history.json").read_text())
    assert (run.name, run.epochs, run.notes) == (DEMO.name, plain, [])
    assert run.series("valid", "ema_batch_0", "nsdr") == (
        [1, 2],
        [one["valid"]["ema_batch_0"]["nsdr"] for one in plain],
    )
    assert read_run(DEMO).epochs == plain


def test_what_lies_beside_a_history_tells_of_the_run() -> None:
    facts = read_run(DEMO / "history.json").facts
    expected = {"processes": 1, "batch_size": 2, "channels": 16, "segment": 4.0, "planned": 2,
                "batches": 250, "device": "cpu", "model": "hdemucs"}  # fmt: skip
    assert {key: facts[key] for key in expected} == expected
    assert facts["rates"] == {1: 1.23, 2: 1.19}


def test_our_log_has_what_the_history_has_to_its_digits() -> None:
    log, history = read_run(DEMO / "train.log"), read_run(DEMO / "history.json")
    assert log.name == "c4a125af"
    for names, digits in (
        (("train", "loss"), 5e-6),
        (("valid", "loss"), 5e-6),
        (("valid", "nsdr"), 5e-3),
        (("valid", "main", "nsdr"), 5e-4),
        (("valid", "ema_batch_0", "nsdr"), 5e-4),
        (("seconds", "train"), 0.5),
    ):
        epochs, values = log.series(*names)
        assert epochs == [1, 2]
        assert values == pytest.approx(history.series(*names)[1], abs=digits * 1.001), names
    # Figures compare what several processes found, which no single one's progress tells.
    text = (DEMO / "train.log").read_text().replace("1 process(es)", "2 process(es)")
    assert read_log(text)[0]["valid"].keys() == {"loss", "nsdr", "bname", "main"}


def test_the_public_log(public: str) -> None:
    run = read_run(PUBLIC)
    assert len(run.epochs) == 4
    assert run.notes == []
    assert all({"loss", "reco", "grad", "penalty"} <= set(one["train"]) for one in run.epochs)
    assert [n for n, one in enumerate(run.epochs, 1) if "test" in one] == [2, 4]
    assert {"nsdr", "nsdr_bass"} <= set(run.epochs[1]["test"])
    last = lines_with(public, "Valid Summary | Epoch 4")[0].split("Nsdr=")[1].split(" ")[0]
    chosen = run.epochs[3]["valid"]
    assert chosen["nsdr"] == chosen[chosen["bname"]]["nsdr"] == float(last)
    assert run.facts["batches"] == 5
    assert run.facts["rates"].keys() == {1, 2, 3, 4}


def test_what_is_said_again_changes_nothing(public: str) -> None:
    whole = read_log(public)
    first, after = public.split(RESTART)
    replayed = lines_with(after, "Epoch 1 |")
    assert any("Train Summary" in line for line in replayed), "the golden log has no replay"
    assert (
        read_log(first + "".join(lines_with(after, "Epoch 3") + lines_with(after, "Epoch 4")))[:2]
        == whole[:2]
    )
    # as 8 processes write it, whose lines also run into each other
    doubled = "".join(f"{n}: {line}" for line in public.splitlines(True) for n in range(8))
    assert read_log(doubled) == whole
    glued = "".join(line.rstrip("\n") + line for line in public.splitlines(True))
    assert read_log(glued) == whole


def test_parts_of_a_log_are_one_run_in_the_order_of_their_times(
    tmp_path: Path, public: str
) -> None:
    first = public.split(RESTART)[0]
    cut = first.rfind("\n") + 1
    (tmp_path / "1.out").write_text(public[:cut])
    (tmp_path / "2.out").write_text(public[cut:])
    run = join_logs([tmp_path / "2.out", tmp_path / "1.out"])
    assert run.epochs == read_log(public)


def test_a_run_that_begins_anew_is_drawn_from_there(public: str) -> None:
    anew = lines_with(public, "Summary | Epoch 1 |")
    text = public + "".join(anew).replace("Loss=0.", "Loss=1.")
    log = LogReader.read([text])
    assert len(log.list_epochs()) == 1
    assert log.epochs[1]["train"]["loss"] > 1
    assert log.notes == [
        "the run went back to epoch 1; of what it did before, epochs 1-4 are left out"
    ]


@pytest.mark.parametrize("path", [PUBLIC, DEMO / "train.log"])
def test_a_log_cut_anywhere_never_has_a_number_that_the_whole_lacks(path: Path) -> None:
    text = path.read_text()
    whole = read_log(text)
    for end in range(len(text) - 1, len(text) // 2, -61):
        log = LogReader.read([text[:end]])
        for number, epoch in log.epochs.items():
            for stage, values in epoch.items():
                full = whole[number - 1][stage]
                assert {k: v for k, v in values.items() if not isinstance(v, dict)}.items() <= (
                    {k: v for k, v in full.items() if not isinstance(v, dict)}.items()
                )
        assert bool(log.notes) == (text[end - 1] != "\n")


def test_the_table_of_a_test_is_read(public: str) -> None:
    results = Results.load(DEMO / "evaluation.json")
    text = (DEMO / "train.log").read_text()
    head = "[2026-11-23 22:46:23,260][demucs.training.stages.test][INFO] - "
    second = text.rindex("[2026-11-23 22:45:23,260]")
    line = text[second:].replace("(ema_batch_0) |", "(ema_batch_0) | test nSDR 5.42 dB |")
    told = f"{text[:second]}{head}test after epoch 2\n{results_text(results)}\n{line}"
    test = read_log(told)[1]["test"]
    assert test["nsdr"] == 5.42
    for stem in results.sources:
        for key in ("nsdr", "sdr", "sdr_med", "sir"):
            assert test[f"{key}_{stem}"] == pytest.approx(
                results.summary()[f"{key}_{stem}"], abs=0.00501
            )
    assert read_log(told)[1]["valid"] == read_log(text)[1]["valid"]


def test_values_that_are_no_numbers_are_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(
        '[{"train": {"loss": 0.5, "x": null}, "valid": {"nsdr": 1.0}},'
        '{"train": {"loss": NaN}, "valid": {"nsdr": -Infinity, "loss": 1}},'
        '{"train": 3, "valid": {"nsdr": 2.0}}, {"train": {"loss": 0.25}}]'
    )
    run = read_run(path)
    assert run.series("train", "loss") == ([1, 4], [0.5, 0.25])
    assert run.series("valid", "nsdr") == ([1, 3], [1.0, 2.0])
    assert "x" not in run.epochs[0]["train"]
    assert run.notes == [
        "not finite, so not drawn: train.loss, valid.nsdr, in epoch 2",
        "no training values of epoch 3",
        "no validation of epoch 4",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("history.json", b"[]", "has no epoch yet"),
        ("history.json", b"{}", "is not a Dora history"),
        ("history.json", b"[{}, 3]", "is not a Dora history"),
        ("history.json", b'[{"train": {"loss"', "cannot be read as a Dora history"),
        ("run.out", b"", "is empty"),
        ("run.out", b" \n", "is empty"),
        ("run.out", b"\x89PNG\0\0", "is not a text"),
        ("run.out", b"hello\nworld\n", "it has no line of a training"),
        ("run.out", b"[2026-01-01 00:00:00,000][a][INFO] - experiment 01234567 in x: hdemucs on "
         b"cpu, 2 process(es), 1 thread(s)\n", "no epoch has ended in it"),
    ],
)  # fmt: skip
def test_what_is_no_run_ends_with_the_reason_and_the_remedy(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_run(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "give" in str(caught.value) or "wait" in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_run(tmp_path / "none")
    with pytest.raises(ValueError, match=r"has no history\.json and no train\.log"):
        read_run(tmp_path)
    (tmp_path / "history.json").write_text("[]")
    (tmp_path / "train.log").write_text((DEMO / "train.log").read_text())
    assert len(read_run(tmp_path).epochs) == 2, "the log is taken where the history is empty"


def test_logs_that_are_not_of_one_run_are_not_joined(tmp_path: Path) -> None:
    text = (DEMO / "train.log").read_text()
    (tmp_path / "a.log").write_text(text)
    (tmp_path / "b.log").write_text(text.replace("c4a125af", "00000000"))
    with pytest.raises(ValueError, match="00000000, c4a125af: draw them with --together"):
        join_logs([tmp_path / "a.log", tmp_path / "b.log"])
    with pytest.raises(ValueError, match="give it alone"):
        join_logs([tmp_path / "a.log", DEMO / "history.json"])


def test_epochs_in_words() -> None:
    assert in_words([3]) == "epoch 3"
    assert in_words([1, 2, 3, 5]) == "epochs 1-3, 5"
    assert in_words([1, 3, 5, 7, 9, 11, 13]).endswith("11, …")


def test_a_run_has_gaps_where_the_log_begins_late(public: str) -> None:
    late = "".join(lines_with(public, "Summary | Epoch 4 |"))
    run = Run("x", PUBLIC, read_log(late))
    assert [bool(one) for one in run.epochs] == [False, False, False, True]
    assert run.series("train", "loss")[0] == [4]
