"""Distillation, from scores to songs: what is written, kept, refused and removed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from distil_support import RATE, SOURCES, Halves, PeakJudge, make_scoring, noise, score, write

from demucs.blind.distil import song_writing as writing
from demucs.blind.distil.candidates import Survey, survey
from demucs.blind.distil.manifest import read_manifest, write_manifest
from demucs.blind.distil.selection import Budget, Rule
from demucs.blind.distil.song_writing import Writing, check_others, read_facts
from demucs.blind.distil.sources import distinct, find_sources
from demucs.blind.distil.stages import Part, entries_of, summary_lines, unwritten, write_songs
from demucs.blind.quality import Quality
from demucs.blind.teacher import StoppableTeacher
from demucs.data.tracks import tracks_in
from demucs.errors import DatasetError
from demucs.process.signals import Interrupted
from demucs.release.provenance import file_sha256

RULE = Rule(threshold=5.0)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Songs of quality 3, 6 and 9 dB, and one that is as the last."""
    folder = tmp_path / "music"
    for name, peak in {"bad": 0.3, "good": 0.6, "best": 0.9}.items():
        write(folder / f"{name}.wav", noise(4, peak, seed=ord(name[-1])), subtype="FLOAT")
    wave, _ = soundfile.read(folder / "best.wav")
    write(folder / "sub" / "copy.wav", wave, subtype="DOUBLE")
    return folder


def look(music: Path, out: Path, rule: Rule = RULE, **options: Any) -> Survey:
    """Scores what is not scored, and selects."""
    scoring = make_scoring(out, **options)
    files = score(music, scoring)
    found, missing = entries_of(files, scoring)
    assert not missing
    return survey(found, RATE, rule)


def writing_of(
    seen: Survey, out: Path, stop: Callable[[], bool] = lambda: False, weights: str = "w"
) -> Writing:
    return Writing(
        teacher=make_scoring(out).teacher, weights=weights, out=out, rule=seen.rule,
        threshold=seen.selection.threshold, licence=lambda song: f"of {song.name}", stop=stop,
    )  # fmt: skip


def test_the_set_is_a_dataset_with_the_mixture_and_the_teachers_stems(
    tmp_path: Path, music: Path
) -> None:
    out = tmp_path / "out"
    seen = look(music, out)
    assert seen.again == {"sub/copy.wav": "best.wav"}
    assert write_songs(seen, writing_of(seen, out), Part()) == 2
    tracks = tracks_in(out / "train", sources=SOURCES, samplerate=RATE)
    assert [track.name for track in tracks] == ["best", "good"]
    mixture, stems = tracks[0].load()
    true, _ = soundfile.read(music / "best.wav", dtype="float32")
    assert torch.allclose(mixture, torch.from_numpy(true.T), atol=2**-15)
    expected = writing_of(seen, out).teacher(torch.from_numpy(true.T))
    assert torch.allclose(stems, expected, atol=2**-15)
    facts = json.loads((out / "train" / "best" / "distilled.json").read_text())
    assert facts["format"] == "demucs-distilled-1"
    assert facts["source"]["file"] == "best.wav"
    assert facts["teacher"] == {"name": "half", "weights_sha256": "w"}
    assert facts["licence"] == "of best"
    assert facts["selection"] == {
        "by": "score", "over": "min", "use": "sdr", "threshold": 5.0, "value": 9.0,
    }  # fmt: skip
    assert Quality.from_dict(facts["quality"]).windows.shape == (2, 4)
    assert not [path for path in (out / "train").iterdir() if path.name[0] == "."]


def test_songs_above_full_scale_are_kept_as_floats(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(tmp_path / "music" / "loud.wav", noise(4, 1.5), subtype="FLOAT")
    write(tmp_path / "music" / "soft.wav", noise(4, 0.9, seed=1), subtype="FLOAT")
    seen = look(tmp_path / "music", out)
    write_songs(seen, writing_of(seen, out), Part())
    kinds = {name: soundfile.info(out / "train" / name / "mixture.wav").subtype
             for name in ("loud", "soft")}  # fmt: skip
    assert kinds == {"loud": "FLOAT", "soft": "PCM_16"}
    wave, _ = soundfile.read(out / "train" / "loud" / "mixture.wav")
    assert np.abs(wave).max() == pytest.approx(1.5)


def test_written_songs_stay_and_learn_of_another_threshold(tmp_path: Path, music: Path) -> None:
    out = tmp_path / "out"
    seen = look(music, out)
    write_songs(seen, writing_of(seen, out), Part())
    times = {path: path.stat().st_mtime_ns for path in out.glob("train/*/*.wav")}
    seen = look(music, out, Rule(threshold=2.0))
    assert write_songs(seen, writing_of(seen, out), Part()) == 1
    assert {path: path.stat().st_mtime_ns for path in times} == times
    facts = read_facts(out / "train" / "best")
    assert facts is not None
    assert facts["selection"]["threshold"] == 2
    assert write_songs(seen, writing_of(seen, out, weights="others"), Part()) == 3
    facts = read_facts(out / "train" / "best")
    assert facts is not None
    assert facts["teacher"]["weights_sha256"] == "others"
    assert len(list((out / "train").iterdir())) == 3


def test_songs_no_longer_selected_go_only_when_told(tmp_path: Path, music: Path) -> None:
    out = tmp_path / "out"
    seen = look(music, out)
    write_songs(seen, writing_of(seen, out), Part())
    stricter = look(music, out, Rule(threshold=8.0))
    with pytest.raises(DatasetError, match=r"selected \(good\): give another folder, or --prune"):
        check_others(out / "train", stricter.selection.kept, prune=False)
    assert (out / "train" / "good").is_dir()
    assert check_others(out / "train", stricter.selection.kept, prune=True) == ["good"]
    assert [path.name for path in (out / "train").iterdir()] == ["best"]
    (out / "train" / "mine").mkdir()
    with pytest.raises(DatasetError, match="is no song of tools"):
        check_others(out / "train", stricter.selection.kept, prune=True)
    assert check_others(tmp_path / "no", (), prune=False) == []


def test_a_folder_of_something_else_is_not_written_over(tmp_path: Path, music: Path) -> None:
    out = tmp_path / "out"
    seen = look(music, out)
    write(out / "train" / "best" / "mixture.wav", noise(1))
    with pytest.raises(DatasetError, match="in the way"):
        write_songs(seen, writing_of(seen, out), Part())
    assert read_facts(out / "train" / "best") is None


def test_a_failure_or_a_stop_leaves_whole_songs_alone(
    tmp_path: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    seen = look(music, out)
    plain = Halves.forward

    def fail(self: Halves, mix: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such shape")

    monkeypatch.setattr(Halves, "forward", fail)
    with pytest.raises(RuntimeError):
        write_songs(seen, writing_of(seen, out), Part())
    assert sorted(out.rglob("*.wav")) == []
    monkeypatch.setattr(Halves, "forward", plain)
    real = writing.write_audio

    def full(path: Path, *rest: Any, **options: Any) -> None:
        if path.name == "high.wav":
            raise OSError("no space left")
        real(path, *rest, **options)

    monkeypatch.setattr(writing, "write_audio", full)
    with pytest.raises(OSError, match="no space left"):
        write_songs(seen, writing_of(seen, out), Part())
    assert list((out / "train").iterdir()) == []
    monkeypatch.setattr(writing, "write_audio", real)
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        write_songs(seen, writing_of(seen, out, lambda: next(asked)), Part())
    assert [path.name for path in (out / "train").iterdir()] == ["best"]
    assert [song.name for song in unwritten(seen, writing_of(seen, out))] == ["good"]
    assert write_songs(seen, writing_of(seen, out), Part()) == 1


def test_a_stop_comes_between_two_separations(tmp_path: Path) -> None:
    teacher = make_scoring(tmp_path).teacher
    wave = torch.ones(2, RATE)
    asked = iter([False, True])
    stoppable = StoppableTeacher.wrap(teacher, lambda: next(asked))
    assert torch.equal(stoppable(wave), teacher(wave))
    with pytest.raises(Interrupted):
        stoppable(wave)


def test_shares_write_each_song_once(tmp_path: Path, music: Path) -> None:
    out = tmp_path / "out"
    seen = look(music, out, Rule(by="all"))
    new = [write_songs(seen, writing_of(seen, out), Part(rank, 2)) for rank in range(2)]
    assert sum(new) == 3
    assert min(new) > 0
    assert unwritten(seen, writing_of(seen, out)) == []


def test_a_file_that_has_changed_since_is_refused(tmp_path: Path, music: Path) -> None:
    out = tmp_path / "out"
    seen = look(music, out)
    write(music / "best.wav", noise(4, 0.9, seed=99))
    with pytest.raises(DatasetError, match="has changed since"):
        write_songs(seen, writing_of(seen, out), Part())


def test_the_manifest_says_what_became_of_every_file(tmp_path: Path, music: Path) -> None:
    out = tmp_path / "out"
    write(music / "short.wav", noise(1))
    (music / "twin.wav").write_bytes((music / "good.wav").read_bytes())
    write(music / "long.wav", np.concatenate([noise(10, 0.8), 0 * noise(10), noise(10, 0.2)]))
    seen = look(music, out, excerpt=10)
    how = writing_of(seen, out)
    write_songs(seen, how, Part())
    _, copies = distinct(find_sources(music))
    summary = write_manifest(
        seen, how, copies=copies, about={"teacher": {"name": "half"}}, warnings=["careful"]
    )
    manifest = read_manifest(out)
    files = {one["file"]: one for one in manifest["files"]}
    assert {name: one["status"] for name, one in files.items()} == {
        "bad.wav": "not selected", "best.wav": "kept", "good.wav": "kept", "long.wav": "kept",
        "short.wav": "skipped", "sub/copy.wav": "skipped", "twin.wav": "skipped",
    }  # fmt: skip
    assert "too short" in files["short.wav"]["reason"]
    assert files["sub/copy.wav"]["reason"] == "the same samples as best.wav"
    assert files["twin.wav"]["reason"] == "the same file as good.wav"
    assert files["twin.wav"]["seconds"] == 4
    for name, one in files.items():
        assert one["sha256"] == file_sha256(music / name)
    (bad,) = files["bad.wav"]["songs"]
    assert bad["reason"] == "3.00 dB is below 5.00 dB"
    assert bad["quality"]["sdr"] == [3.0, 23.0]
    parts = files["long.wav"]["songs"]
    assert [one["status"] for one in parts] == ["kept", "skipped", "not selected"]
    assert parts[0]["licence"] == "of long_0001"
    assert manifest["summary"] == summary
    assert summary["files"] == {
        "all": 7, "kept": 3, "not selected": 1, "skipped": 3, "refused": 0,
    }  # fmt: skip
    assert summary["mean value"] == pytest.approx((9 + 6 + 8) / 3, abs=0.01)
    assert summary_lines(summary, "nSDR")[1].startswith("3 songs (0.01 of 0.01 hours) kept, mean")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule(by="random", budget=Budget(1, "songs")), "not drawn"),
        (Rule(budget=Budget(1, "songs")), "3.00 dB is below 9.00 dB"),
        (
            Rule(budget=Budget(3.5, "seconds")),
            "4.0 s do not fit into what better songs leave of the budget",
        ),
        (Rule(by="oracle", threshold=0.0), "no true stems beside it"),
    ],
)
def test_reasons_go_by_the_way_of_selecting(
    tmp_path: Path, music: Path, rule: Rule, said: str
) -> None:
    out = tmp_path / "out"
    seen = look(music, out, rule, judge=PeakJudge())
    write_manifest(seen, writing_of(seen, out), copies={}, about={}, warnings=[])
    reasons = {song["reason"] for one in read_manifest(out)["files"]
               for song in one.get("songs", ()) if "reason" in song}  # fmt: skip
    assert said in reasons
