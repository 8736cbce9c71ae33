"""Automix: beats, bars and keys that are known; plans within limits; stretches that arrive."""

import dataclasses
import itertools
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from automix_songs import RATE, SONGS, STEMS, make_song, write_songs

from demucs.data.automix import Limits, automix
from demucs.data.automix import mixes as build
from demucs.data.automix.analysis import Analysis, analyse
from demucs.data.automix.bars import first_downbeat
from demucs.data.automix.beats import find_pulse
from demucs.data.automix.key import PITCH_NAMES, chroma, find_key, transposition
from demucs.data.automix.match import knots, plan_song, usable
from demucs.data.automix.onsets import Array, onset_envelope
from demucs.data.automix.song_folders import FACTS_FILE
from demucs.data.automix.warp import LEAD, TOLERANCE, follow, pieces
from demucs.data.repitch import Engine, find_repitcher
from demucs.data.repitch.builtin import BuiltIn
from demucs.data.tracks import find_tracks
from demucs.errors import ConfigError, DatasetError

SHORT = Limits(min_seconds=6.0)


def clicks(times: Array, seconds: float) -> np.ndarray:
    """Short noises `[T]` at given seconds."""
    noise = np.random.default_rng(0).standard_normal(800) * np.exp(-np.arange(800) / 150)
    wav = np.zeros(round(seconds * RATE) + 1000, dtype=np.float32)
    for time in times:
        place = round(time * RATE)
        wav[place : place + 800] += noise.astype(np.float32) * 0.3
    return wav[: round(seconds * RATE)]


def nearest(found: Array, wanted: Array) -> Array:
    """Distance in seconds of each wanted moment to the nearest one found."""
    return np.abs(found[None] - wanted[:, None]).min(1)


@pytest.mark.parametrize("tempo", [72.0, 96.5, 120.0, 143.0])
def test_the_beats_of_a_steady_song_are_found(tempo: float) -> None:
    beats = np.arange(0.21, 19.9, 60 / tempo)
    pulse = find_pulse(*onset_envelope(clicks(beats, 20), RATE))
    assert pulse.tempo == pytest.approx(tempo, rel=0.005)
    assert pulse.clarity > 0.5
    assert nearest(pulse.beats, beats[2:-2]).max() < 0.010


def test_beats_follow_a_song_that_slows_down() -> None:
    beats = 0.3 + np.cumsum(0.5 + 0.002 * np.arange(45))
    pulse = find_pulse(*onset_envelope(clicks(beats, beats[-1] + 1), RATE))
    assert nearest(pulse.beats, beats[3:-3]).max() < 0.025


def test_silence_and_noise_have_no_beat() -> None:
    silent = find_pulse(*onset_envelope(np.zeros(RATE * 8, dtype=np.float32), RATE))
    assert (len(silent.beats), silent.tempo, silent.clarity) == (0, 0, 0)
    short = find_pulse(*onset_envelope(clicks(np.array([0.1, 0.6]), 1), RATE))
    assert len(short.beats) == 0
    noise = np.random.default_rng(1).standard_normal(RATE * 20).astype(np.float32)
    assert find_pulse(*onset_envelope(noise, RATE)).clarity < Limits().clarity


@pytest.mark.parametrize("cents", [0.0, 40.0])
@pytest.mark.parametrize("tonic", [0, 3, 10])
def test_the_key_is_found_also_out_of_tune(tonic: int, cents: float) -> None:
    stems = make_song(120, tonic, 0.1, seconds=9, cents=cents)
    found = chroma(stems["bass"] + stems["other"] + stems["vocals"], RATE)
    assert found.sum() == pytest.approx(1)
    assert find_key(found) == f"{PITCH_NAMES[tonic]} major"


def test_a_minor_song_is_minor() -> None:
    rng = np.random.default_rng(0)
    weights = np.array([5, 0, 1, 3, 0, 1.5, 0, 4, 1.5, 0, 1, 0]) + 0.1 * rng.random(12)
    assert find_key(np.roll(weights, 2)) == "D minor"


@pytest.mark.parametrize("step", [-6, -2, 0, 3, 5])
def test_the_transposition_brings_one_song_to_another(step: int) -> None:
    source = np.array([5, 0.2, 1, 0.1, 3, 1.5, 0, 4, 0.3, 1.5, 0, 1])
    found = transposition(source, np.roll(source, step))
    assert found is not None
    assert found.semitones == step
    assert found.likeness == pytest.approx(1)


def test_silence_has_no_key() -> None:
    silent = chroma(np.zeros(RATE, dtype=np.float32), RATE)
    assert not silent.any()
    assert find_key(silent) == ""
    assert transposition(silent, np.arange(12.0)) is None
    assert transposition(np.arange(12.0), silent) is None


@pytest.mark.parametrize("first", [0, 1, 3])
def test_the_bar_begins_where_the_chord_changes(first: int) -> None:
    stems = make_song(110, 4, 0.2)
    beats = np.arange(0.2, 19.5, 60 / 110)[first:]
    harmony = stems["bass"] + stems["other"]
    assert first_downbeat(stems["drums"], harmony, RATE, beats) == -first % 4


def test_a_steady_song_is_one_piece_and_a_drifting_one_as_many_as_it_needs() -> None:
    target = np.arange(64) * 0.5
    assert pieces(target * 1.07 + 3, target) == [(0, 63)]
    drifting = np.cumsum(0.5 + 0.001 * np.arange(64))
    found = pieces(drifting, target)
    assert 1 < len(found) < 20
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    for first, last in found:
        line = np.interp(drifting[first : last + 1], drifting[[first, last]], target[[first, last]])
        assert np.abs(line - target[first : last + 1]).max() <= TOLERANCE


@pytest.mark.parametrize("engine", [BuiltIn(), find_repitcher().engine], ids=["own", "best"])
@pytest.mark.parametrize("semitones", [0, 2])
def test_beats_arrive_where_they_should(engine: Engine, semitones: int) -> None:
    source = 0.4 + np.cumsum(0.5 + 0.001 * np.arange(32))  # slows down
    target = 7 + 0.55 * np.arange(32)
    wav = np.stack([clicks(source, source[-1] + 1)] * 2, 1)
    out = follow(wav, RATE, source, target, semitones=semitones, engine=engine, speech=False)
    assert out.shape == (round(0.55 * 31 * RATE), 2)
    level = np.abs(out.mean(1))
    for time in LEAD + target[:-1] - target[0]:
        first = max(0, round((time - 0.15) * RATE))
        near = level[first : round((time + 0.15) * RATE)]
        begins = (first + int(np.argmax(near > 0.25 * near.max()))) / RATE
        assert abs(begins - time) < 0.030


def test_what_needs_no_change_is_copied_and_what_is_not_there_is_silent() -> None:
    beats = np.array([0.01, 0.51, 1.01])
    wav = np.random.default_rng(0).standard_normal((RATE, 2)).astype(np.float32)
    out = follow(wav, RATE, beats, beats, semitones=0, engine=BuiltIn(), speech=False)
    assert len(out) == RATE
    before = round((LEAD - 0.01) * RATE)
    assert not out[:before].any()
    middle = slice(RATE // 4, RATE // 2)
    shift = round((0.01 - LEAD) * RATE)
    np.testing.assert_array_equal(out[middle], wav[middle.start + shift : middle.stop + shift])
    silent = follow(0 * wav, RATE, beats, 1.1 * beats, semitones=1, engine=BuiltIn(), speech=True)
    assert silent.shape == (round(1.1 * RATE), 2)
    assert not silent.any()


def analysis(tempo: float, tonic: int = 0, *, beats: int = 64, quiet: str = "") -> Analysis:
    times = 0.2 + 60 / tempo * np.arange(beats)
    classes = np.roll([5, 0.2, 1, 0.1, 3, 1.5, 0, 4, 0.3, 1.5, 0, 1], tonic) / 17.6
    return Analysis(
        fingerprint=f"{tempo} {tonic}",
        tempo=tempo,
        clarity=0.6,
        beats=tuple(times),
        downbeat=1,
        key="",
        chroma=tuple(classes),
        levels={stem: 0.0 if stem == quiet else 0.1 for stem in STEMS},
        loud={stem: (0.0 if stem == quiet else 0.1,) * (beats - 1) for stem in STEMS},
    )


def test_a_plan_takes_each_stem_from_another_song_within_the_limits() -> None:
    tempos = (100, 90, 106, 111, 60, 205, 103, 100, 51)
    keys = (0, 1, 11, 2, 0, 3, 6, 1, 2)
    songs = {f"song {i}": analysis(*one) for i, one in enumerate(zip(tempos, keys, strict=True))}
    drawn = set()
    for index in range(30):
        plan = plan_song("song 0", songs, STEMS, Limits(), seed=3, index=index)
        assert plan is not None
        assert plan == plan_song("song 0", songs, STEMS, Limits(), seed=3, index=index)
        assert tuple(part.stem for part in plan.parts) == STEMS
        used = [part.song for part in plan.parts]
        assert len(set(used)) == 4
        assert "song 0" in used
        assert plan.beats % 4 == 0
        for part in plan.parts:
            drawn.add((part.song, part.stem, part.step, part.host_step))
            source, target = knots(songs["song 0"], plan.start, plan.beats, songs[part.song], part)
            change = np.diff(source) / np.diff(target) - 1
            assert np.abs(change * 100 - part.tempo).max() < 1e-3
            assert abs(part.tempo) <= 12
            assert abs(part.semitones) <= (0 if part.stem == "drums" else 3)
            shift = keys[int(part.song[-1])]
            assert part.stem == "drums" or (shift + part.semitones) % 12 == 0
            assert (part.start - songs[part.song].downbeat) % 4 == 0
            assert part.gain == pytest.approx(1)
    assert {step for *_, step, _ in drawn} == {1, 2}  # 205 is twice 100
    assert {step for *_, step in drawn} == {1, 2}  # and 51 half of it
    assert not any(song == "song 4" for song, *_ in drawn)  # 60 is too far off
    assert {stem for song, stem, *_ in drawn if song == "song 6"} == {"drums"}  # six semitones
    others = [plan_song("song 0", songs, STEMS, Limits(), seed=4, index=i) for i in range(30)]
    plans = [plan_song("song 0", songs, STEMS, Limits(), seed=3, index=i) for i in range(30)]
    assert [p and p.parts for p in others] != [p and p.parts for p in plans]


def test_no_plan_without_partners() -> None:
    near = {str(i): analysis(100 + i) for i in range(3)}
    limits = Limits()
    assert plan_song("0", near, STEMS, limits, seed=0, index=0) is None
    four = {**near, "3": analysis(103)}
    assert plan_song("0", four, STEMS, limits, seed=0, index=0) is not None
    assert plan_song("0", {**near, "3": analysis(130)}, STEMS, limits, seed=0, index=0) is None
    short = {**near, "3": analysis(103, beats=12)}
    assert plan_song("0", short, STEMS, limits, seed=0, index=0) is None
    unlike = dataclasses.replace(analysis(103), chroma=tuple(np.tile([1.0, 0.0, 0.0], 4)))
    plan = plan_song("0", {**near, "3": unlike}, STEMS, limits, seed=0, index=0)
    assert plan is not None  # only drums, which have no key
    assert {p.stem for p in plan.parts if p.song == "3"} == {"drums"}
    nobody = {name: analysis(100 + int(name), quiet="vocals") for name in "0123"}
    assert plan_song("0", nobody, STEMS, limits, seed=0, index=0) is None
    uneven = np.array(analysis(103).beats)
    uneven[30:] += 0.8
    broken = dataclasses.replace(analysis(103), beats=tuple(uneven))
    assert plan_song("0", {**near, "3": broken}, STEMS, limits, seed=0, index=0) is None


def test_a_stem_gets_the_level_that_the_host_has() -> None:
    songs = {str(i): analysis(100 + i) for i in range(4)}
    loud = {**songs["0"].levels, "bass": 0.3, "vocals": 0.0}
    songs["0"] = dataclasses.replace(songs["0"], levels=loud)
    for index in range(8):
        plan = plan_song("0", songs, STEMS, Limits(), seed=0, index=index)
        assert plan is not None
        gains = {part.stem: part.gain for part in plan.parts if part.song != "0"}
        assert gains.get("bass", 3) == pytest.approx(3)
        assert gains["vocals"] == pytest.approx(np.sqrt(0.11) / 0.2, abs=1e-3)  # of the whole
        assert gains.get("drums", 1) == pytest.approx(1)


def test_songs_without_a_beat_or_too_short_are_not_usable() -> None:
    good = analysis(100)
    assert usable(good, Limits())
    assert not usable(dataclasses.replace(good, tempo=0.0, beats=()), Limits())
    assert not usable(dataclasses.replace(good, clarity=0.05), Limits())
    assert not usable(good, Limits(min_seconds=60))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tempo", 41),
        ("tempo", -1),
        ("semitones", 7),
        ("likeness", 2),
        ("clarity", 1),
        ("min_seconds", 0),
        ("max_seconds", 5),
    ],
)
def test_limits_that_cannot_be(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{field}={value}"):
        Limits(**{field: value})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("songs")
    return write_songs(write_songs(root), "valid")


def test_a_song_is_analysed_once_and_again_when_it_changed(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = find_tracks(dataset, "train", sources=STEMS, samplerate=RATE)[0]
    first = analyse(track, tmp_path)
    tempo, tonic, lead = SONGS[0]
    assert first.tempo == pytest.approx(tempo, rel=0.005)
    assert first.key == f"{PITCH_NAMES[tonic]} major"
    assert abs(first.beats[first.downbeat] - lead) % (240 / tempo) == pytest.approx(0, abs=0.02)
    assert min(first.levels.values()) > 0
    assert first.playing("bass").all()
    with monkeypatch.context() as patch:
        patch.setattr("demucs.data.automix.analysis.chroma", None)  # must not be called
        assert analyse(track, tmp_path) == first
    (file,) = tmp_path.iterdir()
    file.write_text("{", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert analyse(track, tmp_path) == first
    assert "is broken" in caplog.text
    wav, _ = soundfile.read(str(track.reader.path("bass")))
    other = find_tracks(dataset, "valid", sources=STEMS, samplerate=RATE)[0]
    soundfile.write(str(other.reader.path("bass")), 0 * wav, RATE)
    assert analyse(other, tmp_path).levels["bass"] == 0
    soundfile.write(str(other.reader.path("bass")), wav, RATE)
    assert analyse(other, tmp_path).levels["bass"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "test"}, "split=test.*never used"),
        ({"split": "training"}, "split=training"),
        ({"sources": ("drums",)}, "sources=drums: give two or more"),
        ({"sources": ("drums", "drums")}, "sources=drums,drums"),
        ({"per_song": 0}, "per_song=0 makes no song"),
        ({"seed": -1}, "seed=-1 is negative"),
        ({"workers": 0}, "workers=0 cannot work"),
    ],
)
def test_arguments_that_cannot_be(
    dataset: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    arguments: dict[str, object] = {"sources": STEMS, "samplerate": RATE, **change}
    with pytest.raises(ConfigError, match=message):
        automix(dataset, tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_new_songs_must_not_lie_in_the_dataset(dataset: Path, tmp_path: Path) -> None:
    for inside in (dataset, dataset / "train", dataset / "x" / ".." / "new"):
        with pytest.raises(ConfigError, match="give a folder outside"):
            automix(dataset, inside, sources=STEMS)
    link = tmp_path / "link"
    link.symlink_to(dataset)
    with pytest.raises(ConfigError, match="give a folder outside"):
        automix(dataset, link / "new", sources=STEMS)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        automix(dataset, tmp_path / "file", sources=STEMS)
    assert not (dataset / "new").exists()


def make(dataset: Path, out: Path, **change: object) -> "build.Outcome":
    arguments = {"limits": SHORT, "samplerate": RATE, "workers": 1, "progress": False, **change}
    return automix(dataset, out, sources=STEMS, builtin=True, **arguments)  # type: ignore[arg-type]


def test_a_failed_song_leaves_nothing_half_written(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = soundfile.write, itertools.count()

    def fail(*args: object, **options: object) -> None:
        if next(count) == 6:
            raise OSError("No space left on device")
        real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr("demucs.data.automix.song_folders.soundfile.write", fail)
        with pytest.raises(DatasetError, match=r"Cannot write songs.*No space left"):
            make(dataset, tmp_path)
    (done,) = (tmp_path / "train").iterdir()
    assert sorted(p.name for p in done.iterdir()) == sorted(
        [FACTS_FILE, *(f"{stem}.wav" for stem in STEMS)]
    )
    assert make(dataset, tmp_path).new == len(SONGS) - 1


@pytest.mark.long
def test_what_automix_did_not_make_is_not_replaced(dataset: Path, tmp_path: Path) -> None:
    foreign = make(dataset, tmp_path / "first").folders[0].name
    (tmp_path / "second" / "train" / foreign).mkdir(parents=True)
    with pytest.raises(DatasetError, match="is not a song of automix"):
        make(dataset, tmp_path / "second")
    assert list((tmp_path / "second" / "train").iterdir()) == [tmp_path / "second/train" / foreign]


def test_no_song_can_be_made(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"No song can be made.*no partners.*now 0 %"):
        make(dataset, tmp_path, limits=Limits(tempo=0, min_seconds=6))
    with pytest.raises(DatasetError, match=r"No song can be made.*shorter than 99 s"):
        make(dataset, tmp_path, limits=Limits(min_seconds=99))


def test_a_process_that_is_killed_is_reported(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise build.BrokenExecutor("gone")

    monkeypatch.setattr(build, "_all", killed)
    with pytest.raises(DatasetError, match=r"ended from outside.*fewer than 2 workers"):
        make(dataset, tmp_path, workers=2)
