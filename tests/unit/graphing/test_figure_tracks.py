"""Figures of tracks: distributions beside published rows, and two models compared."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "graphing_scripts"))
import compare_models
import track_distribution
from _scores import read_scores

from demucs.evaluation.results.comparison import compare
from demucs.evaluation.results.published_rows import published, published_rows
from demucs.evaluation.results.results import Results, TrackResult

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "demucs_results" / "demo_c4a125af" / "evaluation.json"
SOURCES = ["drums", "bass", "other", "vocals"]


@pytest.fixture(autouse=True)
def closed():
    yield
    track_distribution.plt.close("all")


def make(path: Path, count: int, *, better: float = 0.0, data: str = "musdb18hq") -> Path:
    """Results of `count` tracks: other numbers for other values of `better`."""
    base, own = np.random.default_rng(1), np.random.default_rng(int(100 * better) + 2)
    results = Results(
        model={"name": path.stem}, settings={}, data={"name": data, "split": "test"},
        sources=list(SOURCES),
    )  # fmt: skip
    for number in range(count):
        values = {
            metric: {stem: base.normal(6, 2) + better + own.normal(0, 0.3) for stem in SOURCES}
            for metric in ("nsdr", "sdr")
        }
        results.tracks[f"Song {number:02d}"] = TrackResult(seconds=9.0, values=values)
    results.save(path)
    return path


def notes(figure: Any) -> str:
    return "" if figure._supxlabel is None else figure._supxlabel.get_text()


def panels(figure: Any) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def test_every_track_is_a_point_and_the_median_is_marked(tmp_path: Path) -> None:
    scores = read_scores(make(tmp_path / "a.json", 12))
    figure = track_distribution.draw([scores], "nsdr")
    (axes,) = figure.axes
    points = [one for one in axes.get_lines() if one.get_linestyle() == "None"]
    drawn = sorted(float(value) for one in points for value in one.get_ydata())
    wanted = [value for stem in SOURCES for value in scores.values("nsdr", stem).values()]
    assert drawn == sorted(wanted)
    medians = [one for one in axes.get_lines() if one.get_linewidth() == 2.5]
    assert [float(one.get_ydata()[0]) for one in medians] == pytest.approx(
        [scores.aggregates["nsdr_med"][stem] for stem in SOURCES]
    )
    assert len(axes.collections) == 4, "violins"
    assert not notes(figure)


@pytest.mark.parametrize(
    ("count", "data", "same"),
    [
        (50, "musdb18hq", True),
        (50, "MUSDB18-HQ", True),
        (49, "musdb18hq", False),
        (50, "musdb18", False),
    ],
)
def test_published_numbers_are_of_musdb(tmp_path: Path, count: int, data: str, same: bool) -> None:
    scores = read_scores(make(tmp_path / "a.json", count, data=data))
    said = " ".join(track_distribution.comparable([scores], published()))
    assert ("NOT COMPARABLE" not in said) is same
    assert same or f"{count} tracks of “{data}”" in said


def test_the_figure_of_sdr_has_the_published_rows(tmp_path: Path) -> None:
    scores = read_scores(DEMO)
    figure = track_distribution.draw([scores], "sdr")
    drawn = {round(float(y), 2) for one in figure.axes[0].get_lines() for y in one.get_ydata()}
    for row in published_rows():
        if not row.estimate:
            assert {row.all, *(value for value in row.stems if value)} <= drawn
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert any("2111.03600" in text for text in texts)
    kinds = [text.partition("\n")[0].rpartition(": ")[2] for text in texts if "\n" in text]
    assert kinds == sorted(kinds, key=lambda kind: kind != "single")
    assert {"single", "bag"} <= set(kinds)
    assert "only a bag was published" in notes(figure)
    assert "NOT COMPARABLE with the published rows: c4a125af" in notes(figure)
    assert "4 tracks are too few for a violin" in notes(figure)
    other = track_distribution.draw([scores], "nsdr")
    assert "2111.03600" not in str(
        [text.get_text() for legend in other.legends for text in legend.get_texts()]
    )


def test_tracks_without_a_value_are_told(tmp_path: Path) -> None:
    scores = read_scores(make(tmp_path / "a.json", 9))
    scores.tracks["Song 03"]["sdr"]["bass"] = None
    for track in scores.tracks.values():
        track["sdr"]["vocals"] = None
    said = notes(track_distribution.draw([scores], "sdr"))
    assert "bass has no value in 1 of 9 tracks" in said
    assert "vocals was not measured" in said
    scores.tracks = {}
    figure = track_distribution.draw([scores], "nsdr")
    assert "of no track in these results" in figure.axes[0].texts[0].get_text()


def test_distribution_of_good_and_bad_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    out = tmp_path / "out"
    words = [str(DEMO), str(bad), "--metrics", "sdr", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["track_distribution", *words])
    with pytest.raises(SystemExit) as caught:
        track_distribution.main()
    assert caught.value.code == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"track_distribution: {bad} is not the results")
    assert said.out.split() == [str(out / f"track_distribution_sdr.{s}") for s in ("png", "svg")]


def test_holms_correction() -> None:
    assert compare_models.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert compare_models.holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert compare_models.holm([None]) == [None]


def test_a_comparison_draws_what_tools_compare_computes(tmp_path: Path) -> None:
    one, two = (Results.load(make(tmp_path / f"{n}.json", 20, better=n)) for n in (0, 1))
    two.tracks["Song 05"].values["nsdr"]["bass"] = None
    rows = [row for row in compare(one, two) if row.metric == "nsdr"]
    pair = compare_models.Pair(one, two, ("A", "B"))
    for row in rows:
        gaps = pair.gaps("nsdr", row.stem)
        assert len(gaps) == row.songs
        assert gaps.mean() == pytest.approx(row.mean)
    figure = compare_models.draw(pair, rows)
    assert [title.split(":")[0] for title in panels(figure)] == [*SOURCES, "mean"]
    assert all("B is better" in title and "***" in title for title in panels(figure))
    assert "Holm's correction for 4 stems" in notes(figure)
    turned = compare_models.Pair(two, one, ("A", "B"))
    rows = [row for row in compare(two, one) if row.metric == "nsdr"]
    assert all("A is better" in title for title in panels(compare_models.draw(turned, rows)))


def test_equal_models_and_few_songs_are_no_finding(tmp_path: Path) -> None:
    same = Results.load(make(tmp_path / "a.json", 12))
    pair = compare_models.Pair(same, same, ("A", "B"))
    rows = [row for row in compare(same, same) if row.metric == "sdr"]
    assert all("no test" in title for title in panels(compare_models.draw(pair, rows)))
    few = Results.load(make(tmp_path / "b.json", 4, better=2))
    rows = [row for row in compare(same, few) if row.metric == "sdr"]
    figure = compare_models.draw(compare_models.Pair(same, few, ("A", "B")), rows)
    assert all("4 songs: too few for a test" in title for title in panels(figure))
    assert "4 songs in common are too few to conclude anything" in notes(figure)
    noise = Results.load(make(tmp_path / "c.json", 12, better=0.01))
    row = next(one for one in compare(same, noise) if one.metric == "sdr")
    assert compare_models.verdict(row, 0.3, "AB") == "p = 0.3, not significant"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.json"], "is not the results of an evaluation"),
        (["other.json"], "have no song in common"),
        ([str(DEMO), "--metrics", "log_wmse"], "--metrics log_wmse: not measured in both"),
    ],
)
def test_what_cannot_be_compared_ends_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, words: list[str], message: str
) -> None:
    make(tmp_path / "other.json", 3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["compare_models", str(DEMO), *words])
    with pytest.raises(SystemExit) as caught:
        compare_models.main()
    assert caught.value.code == 1
    assert message in capsys.readouterr().err


def test_a_comparison_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(DEMO), str(DEMO), "--metrics", "nsdr", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["compare_models", *words])
    compare_models.main()
    assert capsys.readouterr().out.split() == [
        str(tmp_path / f"compare_nsdr.{suffix}") for suffix in ("png", "svg")
    ]
