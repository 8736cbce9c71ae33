"""The report without a browser: what is found, computed, chosen and written."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from demucs.data.official import TEST_NAMES
from demucs.errors import ConfigError, DatasetError
from demucs.evaluation import Results, TrackResult, nsdr
from demucs.report.curves import curves
from demucs.report.heading import differences, facts
from demucs.report.liveliest import busiest
from demucs.report.make import Options, make_report
from demucs.report.output_folder import check_folder, new_folder
from demucs.report.page import embedded, render
from demucs.report.pictures import ROWS, levels, marks, png
from demucs.report.published_table import is_musdb_test
from demucs.report.run_files import Run, find_run
from demucs.report.score_tables import summary
from demucs.report.seed_rows import seed_rows
from demucs.report.song_table import chosen, songs_table
from demucs.report.sound import Excerpt, Signal, write_player
from tools import report

STEMS = ["drums", "bass", "other", "vocals"]
DEMO = Path(__file__).resolve().parents[3] / "demucs_results" / "demo_c4a125af"
RATE = 8000


def make_results(names=("a", "b", "c"), shift=0.0, **changes):
    tracks = {
        name: TrackResult(
            seconds=10.0,
            values={"nsdr": {stem: index + k + shift for k, stem in enumerate(STEMS)},
                    "sdr": {stem: index - k + shift for k, stem in enumerate(STEMS)}},
            baseline={"nsdr": dict.fromkeys(STEMS, -5.0)},
        )
        for index, name in enumerate(names)
    }  # fmt: skip
    values = {"model": {"name": "m", "test_set_seen": "no"}, "settings": {"shifts": 1},
              "sources": STEMS, "tracks": tracks, "date": "2026-11-29T00:00:00+00:00"}  # fmt: skip
    return Results(**{**values, **changes})


def make_run(name="one", **changes):
    return Run(name=name, **{"results": make_results(), **changes})


def epoch(loss, value=1.0):
    stems = {f"nsdr_{stem}": value for stem in STEMS}
    measures = {"loss": loss, "nsdr": value, **stems}
    return {"train": {"loss": loss}, "valid": {"main": measures, **measures}}


# --- what is found ---


def test_a_folder_of_results_is_a_run(tmp_path):
    run = find_run(str(DEMO), outputs=tmp_path, repo=tmp_path)
    assert len(run.history) == 2
    assert run.results is not None
    assert run.recordings == [DEMO / "audio"]
    assert list(run.missing) == ["release"]
    # There is no experiment to export: no remedy that cannot work.
    assert "weights are not kept with results" in run.missing["release"]
    assert "tools.export" not in run.missing["release"]
    told = dict(facts(run))
    assert told["network"] == "hdemucs, 16 channels"
    assert told["command"] == "make demo"  # of result.json, as what follows
    assert "AMD EPYC, 2 cores" in told["trained on"]
    assert told["evaluated"].startswith("4 test songs of songs; 2026-11-23 22:45 UTC")


def test_nothing_at_all_lists_what_there_is(tmp_path):
    (tmp_path / "xps" / "0a1b2c3d").mkdir(parents=True)
    (tmp_path / "53288a8c.safetensors").touch()
    with pytest.raises(ConfigError, match=r"no release 'x'.*0a1b2c3d.*53288a8c.*--repo"):
        find_run("x", outputs=tmp_path, repo=tmp_path)
    with pytest.raises(ConfigError, match=r"no folder .*nowhere"):
        find_run(str(tmp_path / "nowhere"), outputs=tmp_path, repo=tmp_path)


def test_a_folder_under_the_results_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demucs_results" / "first").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"do you mean demucs_results/first\?"):
        find_run("first", outputs=tmp_path, repo=tmp_path)


def test_a_run_of_which_nothing_can_be_read_does_not_stop_the_others(tmp_path):
    empty = tmp_path / "xps" / "empty"
    empty.mkdir(parents=True)
    (empty / "history.json").write_text("[]")
    (empty / "evaluation.json").write_text('{"schema"')
    runs = [make_run(), find_run("empty", outputs=tmp_path, repo=tmp_path)]
    problems = make_report(runs, tmp_path / "page", Options(players=0))
    page = (tmp_path / "page" / "index.html").read_text()
    assert any(text.startswith("empty: there is nothing to show") for text in problems)
    assert "its history.json has no epoch" in page
    assert "evaluation.json cannot be read" in page


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[{", "cannot be read"),
        ("{}", "holds no list"),
        ("[1]", "are not epochs"),
        ("[]", "no epoch"),
    ],
)
def test_a_broken_history_is_said_and_the_rest_is_there(tmp_path, content, said):
    folder = tmp_path / "xps" / "sig"
    folder.mkdir(parents=True)
    (folder / "history.json").write_text(content)
    (folder / "config.yaml").write_text("a: [")
    make_results().save(folder / "evaluation.json")
    run = find_run("sig", outputs=tmp_path, repo=tmp_path)
    assert run.results is not None
    assert run.history == []
    assert said in " ".join([*run.notes, *run.missing.values()])
    assert any("config.yaml cannot be read" in note for note in run.notes)


def test_a_broken_release_and_evaluation_are_said(tmp_path):
    folder = tmp_path / "xps" / "sig"
    folder.mkdir(parents=True)
    (folder / "history.json").write_text(json.dumps([epoch(1.0)]))
    (folder / "evaluation.json").write_text('{"schema": ')
    (tmp_path / "sig.safetensors").write_bytes(b"no weights")
    run = find_run("sig", outputs=tmp_path, repo=tmp_path)
    assert "evaluation.json cannot be read" in run.missing["results"]
    assert "its release cannot be read" in " ".join(run.notes)
    with pytest.raises(ConfigError, match="not the results"):
        find_run("sig", outputs=tmp_path, repo=tmp_path, evaluation=folder / "history.json")


def test_numbers_that_are_none_are_left_out_and_counted(tmp_path):
    path = tmp_path / "evaluation.json"
    make_results().save(path)
    text = path.read_text()
    content = json.loads(text)
    content["tracks"]["a"]["values"]["nsdr"]["drums"] = math.nan
    content["tracks"]["b"]["values"]["nsdr"]["drums"] = math.inf
    path.write_text(json.dumps(content))
    run = find_run(str(tmp_path), outputs=tmp_path, repo=tmp_path)
    assert run.results.aggregates()["nsdr"]["stems"]["drums"] == 2
    assert run.results.aggregates()["nsdr"]["tracks"]["drums"] == 1
    assert "2 values of the evaluation are NaN or infinite" in run.notes[0]


# --- configuration ---


def test_differences_from_the_default():
    found = {key: (value, default) for key, value, default in differences({
        "epochs": 2, "optim": {"lr": 3e-4, "beta2": 0.9}, "model": "demucs", "debug": False,
        "dset": {"musdb": "/home/somebody/songs"}, "dora": {"dir": "x"}, "mine": True,
    })}  # fmt: skip
    assert found == {
        "epochs": ("2", "360"),
        "optim.beta2": ("0.9", "0.999"),
        "dset.musdb": ("songs", "${oc.env:DEMUCS_MUSDB,./musdb18hq}"),
        "mine": ("true", "no such key"),
    }
    assert differences({}) == []


# --- numbers ---


def test_summary_has_mean_median_mixture_and_intervals():
    found = summary([make_run()])
    first = found["tables"][0]
    assert first["metric"] == "nsdr"
    assert [row["kind"] for row in first["rows"]] == ["mean", "median", "mixture"]
    everything, drums = first["rows"][0]["cells"][:2]
    assert everything["value"] == pytest.approx(2.5)
    assert drums["value"] == pytest.approx(1)
    assert drums["interval"][0] <= 1 <= drums["interval"][1]
    assert first["rows"][2]["cells"][1]["value"] == -5
    own = found["published"]["own"][0]
    assert own["values"] == pytest.approx([-0.5, 1, 0, -1, -2])
    assert not own["comparable"]
    assert any("not comparable" in text for _, text in found["warnings"])


def test_musdb_is_known_by_its_songs():
    run = make_run(results=make_results(sorted(TEST_NAMES)))
    assert is_musdb_test(run)
    assert summary([run])["published"]["comparable"]
    run.results.tracks["Mu - Too Bright"].failed = "no such file"
    assert not is_musdb_test(run)
    said = " ".join(text for _, text in summary([run])["warnings"])
    assert "1 of 50 songs failed" in said


def test_published_rows_of_the_same_kind_are_first():
    single = summary([make_run()])["published"]
    assert single["own"][0]["facts"] == "single"
    assert single["rows"][0]["facts"].startswith("single, MUSDB18-HQ")
    assert any("only a bag was published" in sentence for sentence in single["only_bags"])
    results = make_results(model={"name": "m", "members": 4})
    bag = summary([make_run(results=results)])["published"]
    assert bag["own"][0]["facts"] == "bag"
    assert bag["rows"][0]["facts"].startswith("bag, MUSDB18-HQ")
    assert summary([make_run(), make_run(results=results)])["published"]["rows"] == single["rows"]
    page = render([make_run()], [], [], None, None)
    assert "single, MUSDB18-HQ, not fine-tuned, an estimate" in page
    assert "≈6.9<" in page


def test_a_public_run_is_drawn_beside_the_nsdr():
    (chart,) = (c for c in curves([make_run(history=[epoch(1.0), epoch(0.9)])])
                if c["name"] == "nsdr")  # fmt: skip
    assert chart["lines"][-1] == "a public run"
    assert chart["series"][-1] == {
        "run": None, "name": "a public run", "points": [[1, 3.604], [2, 4.374]],
    }  # fmt: skip
    assert chart["epochs"] == 2
    assert "MUSDB18-HQ (facebookresearch/demucs issue 354)" in chart["definition"]
    (long,) = (c for c in curves([make_run(history=[epoch(1.0)] * 9)]) if c["name"] == "nsdr")
    assert [point[0] for point in long["series"][-1]["points"]] == [1, 2, 3, 4, 5]
    other = epoch(1.0)
    other["valid"]["nsdr_piano"] = 1.0
    charts = {c["name"]: c for c in curves([make_run(history=[other])])}
    assert "a public run" not in charts["nsdr"]["lines"], "it has other stems"
    assert all(line["run"] is not None for line in charts["weights"]["series"])


def test_the_sdr_of_validation_is_drawn_where_it_was_measured():
    plain, measured = epoch(1.0), epoch(0.9)
    assert "sdr" not in {c["name"] for c in curves([make_run(history=[plain])])}
    measured["valid"] |= {"sdr": 4.0, "sdr_med": 5.0, "sdr_a": 3.0}
    measured["valid"]["nsdr_a"] = 1.0
    (chart,) = (c for c in curves([make_run(history=[measured])]) if c["name"] == "sdr")
    points = {line["name"]: line["points"] for line in chart["series"]}
    assert points["mean"] == [[1, 4.0]]
    assert points["sdr_med"] == [[1, 5.0]]
    assert points["a"] == [[1, 3.0]]


def test_a_model_that_has_seen_the_songs_is_warned_of():
    results = make_results(model={"name": "m", "test_set_seen": "yes: trained on it"})
    said = [text for _, text in summary([make_run(results=results)])["warnings"]]
    assert any("the model has seen the test set" in text for text in said)


def test_runs_that_were_measured_otherwise_are_warned_of():
    other = make_results(("a", "d"), settings={"shifts": 2}, complete=False)
    said = summary([make_run(), make_run("two", results=other)])["warnings"]
    assert (1, "other songs than one: compare with care") in said
    assert (1, "shifts is 2, and of one it is 1") in said
    assert any(run == 1 and "not finished" in text for run, text in said)


def test_means_of_runs_with_other_stems_are_over_those_they_share():
    fewer = make_results(sources=STEMS[:3])
    for track in fewer.tracks.values():
        for row in [*track.values.values(), *track.baseline.values()]:
            row.pop("vocals")
    found = summary([make_run(), make_run("two", results=fewer)])
    table = found["tables"][0]
    assert table["shared"] == STEMS[:3]
    means = {row["run"]: row["cells"][0]["value"] for row in table["rows"][:2]}
    assert means == {0: 2.0, 1: 2.0}  # over four stems the first would have 2.5
    assert any(run == 1 and text.startswith("other stems") for run, text in found["warnings"])


# --- curves ---


def test_runs_of_several_seeds_are_one_row():
    runs = [make_run(f"run {seed}", config={"seed": seed, "epochs": 3},
                     results=make_results(shift=seed / 10)) for seed in (1, 2, 3)]  # fmt: skip
    runs.append(make_run("longer", config={"seed": 1, "epochs": 9}, results=make_results()))
    found = seed_rows(runs)
    assert found["stems"] == [*STEMS, "mean"]
    assert [table["title"] for table in found["tables"]] == ["nSDR", "SDR", "SDR, median"]
    group, other, gap = found["tables"][0]["rows"]
    assert (group["title"], group["small"]) == ("A, B, C", "3 seeds: 1, 2, 3")
    assert group["cells"][0] == ("1.20 ± 0.10", "")
    assert (other["title"], other["small"]) == ("D", "1 seed: 1")
    assert gap["title"] == "D − A, B, C"
    assert gap["cells"][0][1] == "within the seeds"
    page = render(runs, [], [], None, None)
    assert "1.20 ± 0.10" in page
    assert "standard deviation over them (n - 1)" in page


def test_a_run_without_a_twin_has_no_spread():
    alone = seed_rows([make_run(config={"seed": 1})])
    assert alone["tables"] == []
    assert alone["note"].startswith("One run: with one seed the spread over seeds is unknown")
    assert "Over seeds" in render([make_run()], [], [], None, None)
    pair = [make_run(config={"seed": 1}), make_run(config={"seed": 1, "epochs": 9})]
    assert seed_rows(pair)["note"].startswith("Each run is the only one of its configuration")
    assert seed_rows([make_run(results=None)]) is None
    twice = [make_run(config={"seed": 1}, results=make_results(model={"weights_sha256": "f"}))] * 2
    assert seed_rows(twice)["tables"] == []  # the same weights are not two seeds


def test_curves_break_where_a_number_is_missing():
    history = [epoch(1.0), epoch(math.nan), epoch(0.5, math.inf), {"train": {"loss": "x"}}, {}]
    found = {panel["name"]: panel for panel in curves([make_run(history=history)])}
    train = found["loss"]["series"][0]
    assert train["points"] == [[1, 1.0], [2, None], [3, 0.5], [4, None], [5, None]]
    said = "train: no finite number at epoch 2, 4; no data at epoch 5"
    assert found["loss"]["notes"][0] == said
    assert found["nsdr"]["lines"] == ["mean", *STEMS, "a public run"]
    assert set(found) == {"loss", "nsdr", "weights", "weights_loss"}


def test_curves_have_what_the_history_has():
    one = epoch(1.0)
    one["train"] |= {"penalty": 3.0, "reco": 0.9, "lr": 1e-4}
    one["valid"] |= {"ema_batch_0": {"nsdr": 2.0}, "penalty": 4.0}
    one["test"] = {"nsdr": 1.0, "sdr": 2.0}
    found = {panel["name"]: panel for panel in curves([make_run(history=[one])])}
    assert list(found) == [
        "loss",
        "nsdr",
        "weights",
        "weights_loss",
        "reco",
        "penalty",
        "lr",
        "test",
    ]
    assert found["weights"]["lines"] == ["main", "ema_batch_0"]
    assert curves([make_run(history=[])]) == []


# --- songs ---


def test_the_best_the_median_and_the_worst_get_players():
    names = [f"song {k}" for k in range(7)]
    run = make_run(results=make_results(names))
    found = chosen([run], "sdr", 3)
    assert list(found) == ["song 6", "song 3", "song 0"]
    assert [why.split()[0] for why in found.values()] == ["best", "median", "worst"]
    assert list(chosen([run], "sdr", 1)) == ["song 3"]
    assert len(chosen([run], "sdr", 30)) == 7
    assert list(chosen([run], "si_sdr", 1)) == ["song 3"]  # by another metric, if it is not there
    assert chosen([make_run(results=None)], "sdr", 3) == {}


def test_the_table_has_songs_of_all_runs():
    other = make_results(("b", "z"), shift=1.0)  # its first song is b
    other.tracks["z"] = TrackResult(failed="cut short", notes=["odd"])
    found = songs_table([make_run(), make_run("two", results=other)], "sdr")
    assert [song["name"] for song in found["songs"]] == ["a", "b", "c", "z"]
    b, z = found["songs"][1], found["songs"][3]
    assert b["values"]["sdr"] == [[1, 0, -1, -2]] * 2
    assert z["values"]["sdr"] == [[None] * 4] * 2
    assert (z["failed"], z["notes"]) == ([None, "cut short"], [(1, "odd")])
    assert "mean over tracks" not in found["metrics"][0]["definition"]


def test_a_metric_that_was_not_measured_is_said():
    found = songs_table([make_run()], "bleedless")
    assert found["metric"] == "sdr"
    assert "bleedless was asked for" in found["note"]
    assert songs_table([make_run()], "nsdr")["note"] is None


# --- sound ---


def test_the_busiest_stretch_is_where_most_stems_play():
    quiet, loud = torch.zeros(2, 20 * RATE), torch.zeros(2, 20 * RATE)
    quiet[:, 8 * RATE : 12 * RATE] = 0.01  # a soft stem counts as much as a loud one
    loud[:, : 12 * RATE] = 1.0
    assert busiest([quiet, loud], RATE, 4.0) == 8 * RATE
    assert busiest([quiet[:, :RATE], loud[:, :RATE]], RATE, 4.0) == 0
    assert busiest([torch.zeros(1, 20 * RATE)], RATE, 4.0) == 0


def test_levels_are_highest_where_the_tone_is():
    time = torch.arange(RATE * 2) / RATE
    tone = torch.sin(2 * math.pi * 1000 * time).repeat(2, 1)
    found = levels(tone, RATE)
    place = dict(marks(RATE))["1 kHz"] * ROWS
    assert abs(int(found[:, found.shape[1] // 2].argmax()) - place) < 3
    assert np.isfinite(levels(torch.zeros(1, 5), RATE)).all()


def test_png_is_read_back(tmp_path):
    from PIL import Image

    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = tmp_path / "one.png"
    path.write_bytes(png(pixels, [(k, 2 * k, 255 - k) for k in range(100)]))
    read = np.asarray(Image.open(path).convert("RGB"))
    assert (read == np.stack([pixels, 2 * pixels, 255 - pixels], -1)).all()


def test_a_player_has_one_gain_and_one_length(tmp_path):
    import soundfile

    noise = torch.randn(2, RATE, generator=torch.Generator().manual_seed(0)).clamp(-0.5, 0.5)
    excerpt = Excerpt(name="x", why="y", start=0.0, samplerate=RATE, signals=[
        Signal(kind="mixture", wav=noise),
        Signal(kind="reference", stem="drums", wav=noise),
        Signal(kind="estimate", stem="drums", run=0, wav=F.pad(4 * noise, (0, 7))),
        Signal(kind="reference", stem="bass", wav=0 * noise),
        Signal(kind="estimate", stem="bass", run=0, wav=noise),
    ])  # fmt: skip
    found = write_player(tmp_path, 1, excerpt)
    sounds = [soundfile.read(tmp_path / one["audio"])[0] for one in found["signals"]]
    assert {len(one) for one in sounds} == {RATE}
    assert np.abs(sounds[2] - 4 * sounds[0]).max() < 2e-4  # the balance is kept
    assert 0.95 < np.abs(sounds[2]).max() < 1
    assert any("6.1 dB softer" in note for note in found["notes"])
    assert any("cut to the shortest" in note for note in found["notes"])
    truth = nsdr(noise[None, None], 4 * noise[None, None]).item()
    assert found["signals"][2]["nsdr"] == pytest.approx(truth, abs=1e-3)
    assert found["signals"][4]["nsdr"] is None  # against silence it says nothing
    assert [one["key"] for one in found["signals"]] == ["m", "1", "2", "3", "4"]


# --- the page and its folder ---


def test_what_comes_from_files_is_text():
    bad = "</script><script>alert(1)</script>\u2028 \ud800 & \"'"
    run = make_run(bad, results=make_results((bad, "b")), notes=[bad], overrides=[bad])
    text = render([run, make_run("two")], [], [bad], bad, "sdr")
    assert "<script>alert" not in text
    text.encode("utf-8", "strict")
    assert json.loads(embedded({"a": bad}))["a"] == bad.replace("\ud800", "\ufffd")
    assert len(re.findall("<script", text)) == 2
    assert 'http-equiv="Content-Security-Policy"' in text


def test_the_same_runs_make_the_same_page(tmp_path):
    run = find_run(str(DEMO), outputs=tmp_path, repo=tmp_path)
    options = Options(seconds=1.0, start=2.0)
    for name in ("one", "two"):
        assert make_report([run], tmp_path / name, options, progress=False) == []
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 19
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def interrupted(out):
    with new_folder(out) as folder:
        (folder / "index.html").write_text("half")
        raise KeyboardInterrupt


def test_only_an_earlier_report_is_replaced(tmp_path):
    out = tmp_path / "new" / "report"
    with pytest.raises(KeyboardInterrupt):
        interrupted(out)
    assert list(tmp_path.iterdir()) == []
    options = Options(players=0)
    make_report([make_run()], out, options)
    with pytest.raises(KeyboardInterrupt):
        interrupted(out)
    assert "half" not in (out / "index.html").read_text()[:100]
    make_report([make_run("another")], out, options)
    assert "another" in (out / "index.html").read_text()
    assert [one.name for one in out.parent.iterdir()] == ["report"]
    (out / "mine.txt").touch()
    with pytest.raises(ConfigError, match=r"something else \(mine.txt\)"):
        check_folder(out)
    shutil.rmtree(out)
    out.mkdir()
    check_folder(out)
    (out / "index.html").write_text("<html>")
    with pytest.raises(ConfigError, match="no report of this tool"):
        check_folder(out)
    with pytest.raises(ConfigError, match="is not a folder"):
        check_folder(out / "index.html")


@pytest.mark.parametrize(
    ("values", "said"),
    [({"players": 31}, "--players 31"), ({"seconds": 0.0}, "--seconds 0"), ({"start": -1.0}, "-1")],
)
def test_options_that_cannot_be(values, said):
    with pytest.raises(ConfigError, match=said):
        Options(**values)


def test_no_place_of_this_machine_is_told(tmp_path):
    folder = tmp_path / "xps" / "sig"
    folder.mkdir(parents=True)
    (folder / "history.json").write_text(json.dumps([epoch(1.0)]))
    (folder / "evaluation.json").write_text("{}")
    (folder / ".argv.json").write_text(json.dumps([f"dset.musdb={tmp_path}/songs", "epochs=2"]))
    (folder / "config.yaml").write_text(f"dset:\n  musdb: {tmp_path}/songs\n")
    run = find_run("sig", outputs=tmp_path, repo=tmp_path / "models")
    text = render([run], [], [], None, "sdr")
    assert str(tmp_path) not in text
    assert "dset.musdb=songs epochs=2" in text


def test_the_command_says_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert report.main(["nobody"]) == 1
    assert "no release 'nobody'" in capsys.readouterr().err
    assert report.main([str(DEMO), "--results", "a", "b"]) == 1
    assert "--results has 2 files for 1 runs" in capsys.readouterr().err
    monkeypatch.setattr(report, "run", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert report.main(["x"]) == 130
    assert "nothing was written" in capsys.readouterr().err


def test_songs_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.delenv("DEMUCS_MUSDB", raising=False)
    golden = DEMO.parents[1] / "tests" / "golden" / "published" / "aaaa0001s.safetensors"
    run = make_run(release=golden, config={"dset": {"musdb": "/nowhere/songs"}})
    said = make_report([run], tmp_path / "a", Options(), progress=False)
    assert said == [
        "no song could be separated: the songs of the configuration of one (songs) are not here: "
        "give the folder of the test songs with --musdb PATH"
    ]
    assert "give the folder of the test songs" in (tmp_path / "a" / "index.html").read_text()
    with pytest.raises(DatasetError, match=r"no folder .*gone"):
        make_report([run], tmp_path / "b", Options(musdb=str(tmp_path / "gone")))
    (tmp_path / "songs" / "test" / "Song").mkdir(parents=True)
    there = Options(musdb=str(tmp_path / "songs"), tracks=["Sung"])
    with pytest.raises(ConfigError, match=r"no song 'Sung' in .*: Song"):
        make_report([run], tmp_path / "b", there)
    demo = find_run(str(DEMO), outputs=tmp_path, repo=tmp_path)
    with pytest.raises(ConfigError, match=r"no song 'Sung' among the recordings.*: audio"):
        make_report([demo], tmp_path / "b", Options(tracks=["Sung"]))
    assert not (tmp_path / "b").exists()
