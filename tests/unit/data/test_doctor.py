"""The dataset doctor: each problem by itself is found, and what only looks like it is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter, resample_poly

from demucs.data.doctor import CHECKS, Diagnosis, Finding, Severity, Wanted, diagnose
from demucs.data.doctor import diagnosis as run
from demucs.data.doctor.file_levels import ClippedRuns
from demucs.data.doctor.places import other_places
from demucs.data.doctor.profiles import odd_ones
from demucs.errors import ConfigError, DatasetError, MissingToolError
from tools import doctor

RATE = 16000
STEMS = ("bass", "drums", "vocals")
WANTED = Wanted(samplerate=RATE, segment=2.0)
Wave = np.ndarray  # [T, 2]
Song = dict[str, Wave]


# Songs of three stems with notes of their own, and the folders they are written to


def notes(rng: np.random.Generator, seconds: float, low: float, high: float, each: float) -> Wave:
    """Notes of random pitch with harmonics, panned; about a fifth of them are rests."""
    count = int(RATE * each)
    time = np.arange(count) / RATE
    parts = []
    for _ in range(int(np.ceil(seconds / each))):
        pitch = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        loud = 0.0 if rng.random() < 0.2 else 0.25 * rng.uniform(0.5, 1.0)
        tone = sum(np.sin(2 * np.pi * (h * pitch * time + rng.random())) / h for h in (1, 2, 3))
        parts.append(loud * tone * np.hanning(count) ** 0.3)
    mono = np.concatenate(parts)[: round(seconds * RATE)]
    return stereo(mono, rng)


def hits(rng: np.random.Generator, seconds: float) -> Wave:
    """Bursts of noise."""
    mono = np.zeros(round(seconds * RATE))
    for start in np.arange(0.05, seconds - 0.3, 0.25):
        if rng.random() < 0.8:
            at = int((start + rng.uniform(0, 0.03)) * RATE)
            burst = rng.normal(0, 0.2, RATE // 4) * np.exp(-np.arange(RATE // 4) / (0.03 * RATE))
            mono[at : at + len(burst)] += burst[: len(mono) - at]
    return stereo(np.clip(mono, -0.7, 0.7), rng)


def stereo(mono: np.ndarray, rng: np.random.Generator) -> Wave:
    return np.stack([mono, mono * rng.uniform(0.6, 0.9)], axis=1)


def song(seed: int, seconds: float = 4.0) -> Song:
    rng = np.random.default_rng(seed)
    return {
        "bass": 0.5 * notes(rng, seconds, 50, 140, 0.4),
        "drums": 0.5 * hits(rng, seconds),
        "vocals": 0.5 * notes(rng, seconds, 400, 1500, 0.25),
    }


def mixed(stems: Song) -> Song:
    return {**stems, "mixture": np.sum(list(stems.values()), axis=0)}


def write(folder: Path, files: Song, subtype: str = "PCM_16", rate: int = RATE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, wave in files.items():
        soundfile.write(str(folder / f"{name}.wav"), wave, rate, subtype)
    return folder


def look(root: Path, wanted: Wanted = WANTED, **options: Any) -> Diagnosis:
    return diagnose(root, wanted, workers=1, progress=False, **options)


def found(root: Path, wanted: Wanted = WANTED, **options: Any) -> list[tuple[str, str, str]]:
    return [(one.check, one.track, one.stem) for one in look(root, wanted, **options).findings]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clean dataset of two songs."""
    write(tmp_path / "train" / "one", mixed(song(1)))
    write(tmp_path / "test" / "two", mixed(song(2)))
    return tmp_path


@pytest.fixture
def spoil(root: Path) -> Callable[..., Path]:
    """Changes a stem of `train/one`; the mixture stays the sum unless it is what is changed."""

    def change(name: str, edit: Callable[[Wave], Wave], subtype: str = "PCM_16") -> Path:
        files = song(1) if name != "mixture" else mixed(song(1))
        files[name] = edit(files[name])
        write(root / "train" / "one", files if name == "mixture" else mixed(files), subtype)
        return root

    return change


def test_a_clean_dataset_has_no_findings(root: Path) -> None:
    diagnosis = look(root)
    assert diagnosis.findings == []
    assert (diagnosis.tracks, diagnosis.sources) == (2, STEMS)
    assert diagnosis.seconds == pytest.approx(8.0)
    assert "swapped" in diagnosis.skipped[0]  # too few tracks: said, not passed over


# One file


def test_a_damaged_file_is_named_with_the_reason(root: Path) -> None:
    folder = root / "train" / "one"
    (folder / "bass.wav").write_bytes(b"this is no sound at all, but forty or more bytes of text")
    (folder / "drums.wav").write_bytes(b"")
    whole = (folder / "vocals.wav").read_bytes()
    (folder / "vocals.wav").write_bytes(whole[: len(whole) // 2])
    reasons = {one.stem: one.value for one in look(root).findings if one.check == "unreadable"}
    assert set(reasons) == set(STEMS)
    assert "empty" in reasons["drums"]
    assert "cut off after 2.00 s" in reasons["vocals"]


def test_a_cut_flac_is_damaged(root: Path) -> None:
    folder = root / "train" / "one"
    (folder / "bass.wav").unlink()
    soundfile.write(str(folder / "bass.flac"), song(1)["bass"], RATE)
    assert found(root) == []
    whole = (folder / "bass.flac").read_bytes()
    (folder / "bass.flac").write_bytes(whole[: len(whole) // 2])
    assert found(root) == [("unreadable", "train/one", "bass")]


def test_a_wav_written_to_a_pipe_has_no_length_and_is_whole(root: Path) -> None:
    path = root / "train" / "one" / "bass.wav"
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))
    assert found(root) == []


def test_a_file_without_samples_is_unreadable(root: Path) -> None:
    write(root / "train" / "one", {"bass": np.zeros((0, 2))})
    assert ("unreadable", "train/one", "bass") in found(root)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_counted(root: Path, bad: float) -> None:
    files = mixed(song(1))
    write(root / "train" / "one", files, "FLOAT")
    assert found(root) == []
    files["vocals"][[5, 40000], 1] = bad
    write(root / "train" / "one", files, "FLOAT")
    findings = look(root).findings
    assert [one.check for one in findings if one.check != "sum"] == ["nonfinite"]
    assert (findings[0].stem, findings[0].number) == ("vocals", 2)


@pytest.mark.parametrize(("kept", "says"), [(0.0, "silent throughout"), (0.05, "94.")])
def test_silence_is_found(spoil: Callable[..., Path], kept: float, says: str) -> None:
    def fade(wave: Wave) -> Wave:
        loud = np.sin(np.arange(len(wave)) / 9)[:, None] * [0.3, 0.2]
        return loud * (np.arange(len(wave)) < kept * len(wave))[:, None]

    (one,) = look(spoil("vocals", fade)).findings
    assert (one.check, one.stem, one.severity) == ("silent", "vocals", Severity.WARNING)
    assert one.value.startswith(says)


def test_a_part_that_rests_for_most_of_the_song_is_fine(spoil: Callable[..., Path]) -> None:
    def rest(wave: Wave) -> Wave:
        return wave * (np.arange(len(wave)) > 0.75 * len(wave))[:, None]

    assert found(spoil("vocals", rest)) == []


def test_a_silent_mixture_is_an_error(root: Path) -> None:
    write(root / "train" / "one", mixed({name: 0 * wave for name, wave in song(1).items()}))
    worst = look(root).findings[0]
    assert (worst.check, worst.stem, worst.severity) == ("silent", "mixture", Severity.ERROR)


def test_clipping_is_counted(root: Path) -> None:
    stems = {name: 0.3 * wave for name, wave in song(1).items()}
    stems["drums"][1000:1007, 0] = 1.0
    stems["drums"][2000:2004, 1] = -1.0
    files = mixed(stems)
    files["mixture"] = np.clip(files["mixture"], -0.98, 0.98)
    write(root / "train" / "one", files)
    one = next(one for one in look(root).findings if one.check == "clipped")
    assert (one.stem, one.number) == ("drums", 11)
    assert "longest 7" in one.value


def test_two_samples_at_full_scale_are_a_peak(root: Path) -> None:
    stems = {name: 0.3 * wave for name, wave in song(1).items()}
    stems["drums"][1000:1002] = 1.0
    write(root / "train" / "one", stems)
    (root / "train" / "one" / "mixture.wav").unlink()
    assert found(root) == []


def test_runs_go_on_across_blocks() -> None:
    rng = np.random.default_rng(0)
    wave = np.where(rng.random((2, 4000)) < 0.8, 1.0, 0.0).astype(np.float32)
    wave[1, 500:900] = -1.0
    expected, longest = 0, 0
    for channel in wave:
        for run_text in "".join("x" if v else " " for v in np.abs(channel) >= 1).split():
            expected += len(run_text) * (len(run_text) >= 3)
            longest = max(longest, len(run_text))
    for size in (4000, 700, 64, 3):
        runs = ClippedRuns(2)
        for start in range(0, 4000, size):
            block = wave[:, start : start + size]
            runs.add(block, float(np.abs(block).max()))
        runs.end()
        assert (runs.samples, runs.longest) == (expected, longest), size


def test_floating_point_may_go_beyond_full_scale_and_it_is_noted(root: Path) -> None:
    write(root / "train" / "one", mixed({k: 8 * wave for k, wave in song(1).items()}), "FLOAT")
    findings = look(root).findings
    assert {one.check for one in findings} == {"over"}
    assert {one.severity for one in findings} == {Severity.NOTE}


@pytest.mark.parametrize(("offset", "expected"), [(0.02, ["dc"]), (-0.02, ["dc"]), (0.001, [])])
def test_an_offset_is_found(spoil: Callable[..., Path], offset: float, expected: list[str]) -> None:
    checks = [
        check for check, _, stem in found(spoil("bass", lambda w: w + offset)) if stem != "mixture"
    ]
    assert checks == expected


def test_equal_channels_are_a_note(spoil: Callable[..., Path]) -> None:
    (one,) = look(spoil("bass", lambda w: w[:, [0, 0]])).findings
    assert (one.check, one.stem, one.severity) == ("mono", "bass", Severity.NOTE)


# The files of a track


def test_another_rate_is_an_error(root: Path) -> None:
    folder = root / "train" / "one"
    write(folder, {"vocals": resample_poly(song(1)["vocals"], 3, 2)}, rate=24000)
    (one,) = [one for one in look(root).findings if one.check != "sum"]
    assert (one.check, one.stem, one.number) == ("samplerate", "vocals", 24000)
    assert {c for c, *_ in found(root, Wanted(samplerate=24000, segment=2))} >= {"samplerate"}


@pytest.mark.parametrize(("channels", "severity"), [(1, Severity.WARNING), (3, Severity.ERROR)])
def test_another_number_of_channels(root: Path, channels: int, severity: Severity) -> None:
    files = {name: np.repeat(wave[:, :1], 2, axis=1) for name, wave in song(1).items()}
    files = mixed(files)
    files["vocals"] = np.repeat(files["vocals"][:, :1], channels, axis=1)
    write(root / "train" / "one", files)
    findings = [one for one in look(root).findings if one.check != "mono"]
    assert [(o.check, o.stem, o.severity) for o in findings] == [("channels", "vocals", severity)]
    mono = Wanted(samplerate=RATE, channels=1, segment=2)
    assert ("channels", "train/one", "bass") in found(root, mono)


@pytest.mark.parametrize("change", [-1, 1, -4000])
def test_stems_of_a_track_must_be_equally_long(root: Path, change: int) -> None:
    wave = song(1)["vocals"]
    write(root / "train" / "one", {"vocals": np.resize(wave, (len(wave) + change, 2))})
    (one,) = [one for one in look(root).findings if one.check != "sum"]
    assert (one.check, one.stem, one.number) == ("length", "vocals", change)


def test_a_track_shorter_than_a_segment(root: Path) -> None:
    assert found(root, Wanted(samplerate=RATE, segment=4.0)) == []
    expected = [("short", "train/one", "")]  # tests are whole songs, of any length
    assert found(root, Wanted(samplerate=RATE, segment=4.1)) == expected


def test_a_missing_stem_is_an_error(root: Path) -> None:
    for stem in ("vocals", "mixture"):
        (root / "train" / "one" / f"{stem}.wav").unlink()
    assert found(root) == [("missing", "train/one", "vocals")]
    chosen = Wanted(samplerate=RATE, segment=2, sources=("bass", "piano"))
    missing = {item for item in found(root, chosen) if item[0] == "missing"}
    assert missing == {("missing", "train/one", "piano"), ("missing", "test/two", "piano")}


def test_a_track_without_a_mixture_is_fine_and_said(root: Path) -> None:
    (root / "train" / "one" / "mixture.wav").unlink()
    diagnosis = look(root)
    assert diagnosis.findings == []
    assert "sum: 1 tracks have no mixture" in "".join(diagnosis.skipped)


@pytest.mark.parametrize(
    ("noise_db", "severity"), [(-50, None), (-30, Severity.WARNING), (-5, Severity.ERROR)]
)
def test_the_mixture_must_be_the_sum(
    spoil: Callable[..., Path], noise_db: float, severity: Severity | None
) -> None:
    def disturb(wave: Wave) -> Wave:
        noise = np.random.default_rng(0).normal(size=wave.shape)
        return wave + noise * np.sqrt(np.mean(wave**2)) * 10 ** (noise_db / 20)

    findings = look(spoil("mixture", disturb)).findings
    assert [(one.check, one.severity) for one in findings] == (
        [("sum", severity)] if severity else []
    )
    if severity:
        assert findings[0].number == pytest.approx(noise_db, abs=1.5)


def test_a_mixture_of_another_level_is_said_so(spoil: Callable[..., Path]) -> None:
    (one,) = look(spoil("mixture", lambda w: 0.5 * w)).findings
    assert one.check == "sum"
    assert "gain of -6.0 dB" in one.value


def test_one_wrapped_sample_is_a_click_in_the_sum(root: Path) -> None:
    """An integer beyond full scale falls to the other end; the level hardly shows it."""
    stems = song(1)
    stems["drums"][30000, 0], stems["vocals"][30000, 0] = 1.2, -0.5
    files = mixed(stems)
    files["drums"][30000, 0] -= 2.0
    (one,) = look(write(root / "train" / "one", files).parents[1]).findings
    assert (one.check, one.track, one.severity) == ("sum", "train/one", Severity.WARNING)
    assert "up to 2.00" in one.value
    assert "wrapped" in one.remedy


def test_a_click_in_a_stem_is_a_click_in_the_sum(root: Path) -> None:
    files = mixed(song(1))
    files["drums"][30000, 0] += 0.15
    (one,) = look(write(root / "train" / "one", files).parents[1]).findings
    assert (one.check, "clicks" in one.remedy) == ("sum", True)
    files["drums"][30000, 0] -= 0.1
    assert found(write(root / "train" / "one", files).parents[1]) == []


@pytest.mark.parametrize("gain", [1.0, 0.25, -1.0])
def test_a_stem_twice_in_a_track(root: Path, gain: float) -> None:
    stems = song(1)
    stems["vocals"] = gain * stems["bass"]
    write(root / "train" / "one", mixed(stems))
    findings = [one for one in look(root).findings if one.stem != "mixture"]
    assert [(one.check, one.stem) for one in findings] == [("duplicate", "bass, vocals")]
    assert ("turned over" in findings[0].value) == (gain < 0)


def test_stems_that_are_alike_are_not_the_same(root: Path) -> None:
    stems = song(1)
    stems["vocals"] = stems["bass"] + 0.1 * stems["vocals"]  # -20 dB of its own
    write(root / "train" / "one", mixed(stems))
    assert "duplicate" not in {check for check, *_ in found(root)}


# Bleed


def pauses(seed: int, leak: float, reverb: bool = False) -> Song:
    """Vocals that rest for the second half, in which the drums leak by a gain."""
    stems = song(seed, 14.0)
    rest = np.arange(len(stems["vocals"])) > 0.4 * len(stems["vocals"])
    noise = np.random.default_rng(seed + 100).normal(0, 3e-4, stems["vocals"].shape)
    stems["vocals"] = np.where(rest[:, None], 0, stems["vocals"]) + noise
    leaked = stems["drums"]
    if reverb:
        leaked = lfilter([0.7, 0, 0, 0.4, -0.3], [1, -0.6], leaked, axis=0)
    stems["vocals"] = stems["vocals"] + leak * leaked
    return stems


@pytest.mark.parametrize(
    ("leak", "reverb"), [(0.05, False), (0.05, True), (0.2, True), (0.4, False)]
)
def test_bleed_in_the_pauses_is_suspected(root: Path, leak: float, reverb: bool) -> None:
    write(root / "train" / "one", mixed(pauses(3, leak, reverb)))
    (one,) = look(root).findings
    assert (one.check, one.stem, one.severity) == ("bleed", "vocals", Severity.WARNING)
    assert "suspicion" in one.value
    assert "drums" in one.value or "other stems" in one.value


def test_noise_in_the_pauses_is_no_bleed(root: Path) -> None:
    write(root / "train" / "one", mixed(pauses(3, 0.0)))
    assert found(root) == []


# Over the dataset


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    for seed in range(8):
        split = "train" if seed < 6 else "test"
        write(root / split / f"song {seed}", mixed(song(seed)))
    return root


def test_swapped_stems_are_suspected(many: Path) -> None:
    assert look(many).findings == []
    assert look(many).skipped == []
    stems = song(3)
    stems["bass"], stems["drums"] = stems["drums"], stems["bass"]
    write(many / "train" / "song 3", mixed(stems))
    try:
        findings = look(many).findings
    finally:
        write(many / "train" / "song 3", mixed(song(3)))
    assert {(one.check, one.track) for one in findings} == {("swapped", "train/song 3")}
    assert {one.stem for one in findings} <= {"bass", "drums"}
    assert all(one.value.startswith("suspicion") for one in findings)


def test_an_odd_stem_that_fits_no_other_name_is_not_swapped() -> None:
    rng = np.random.default_rng(0)
    usual = {"bass": np.zeros(48), "drums": np.full(48, 20.0)}
    tracks = [{name: row + rng.normal(0, 1, 48) for name, row in usual.items()} for _ in range(10)]
    assert odd_ones(tracks) == []
    tracks[4]["bass"] = tracks[4]["bass"] - 30.0  # far from its own, farther from drums
    assert odd_ones(tracks) == []
    tracks[4]["bass"] = usual["drums"] + rng.normal(0, 1, 48)
    assert [(track, name, other) for track, name, other, *_ in odd_ones(tracks)] == [
        (4, "bass", "drums")
    ]
    assert odd_ones(tracks[:5]) == []  # too few for a profile


def quieter(wave: Wave) -> Wave:
    return 0.2 * wave


def later(wave: Wave) -> Wave:
    """1.234 s of nothing before."""
    return np.concatenate([np.zeros((int(1.234 * RATE), 2)), wave])


def earlier(wave: Wave) -> Wave:
    return wave[int(1.5 * RATE) :]


@pytest.mark.parametrize("edit", [quieter, later, earlier])
def test_a_song_in_two_splits_is_an_error(root: Path, edit: Callable[[Wave], Wave]) -> None:
    copied = {name: edit(wave) for name, wave in song(1, 8.0).items()}
    write(root / "train" / "one", mixed(song(1, 8.0)))
    write(root / "valid" / "another name", mixed(copied))
    (one,) = look(root).findings
    assert (one.check, one.track, one.severity) == ("overlap", "train/one", Severity.ERROR)
    assert "valid/another name" in one.value


def test_a_song_twice_in_a_split_is_a_warning(root: Path) -> None:
    write(root / "train" / "again", mixed({k: 0.5 * wave for k, wave in song(1).items()}))
    (one,) = look(root).findings
    assert (one.check, one.severity) == ("duplicate", Severity.WARNING)
    assert (one.track, "train/one" in one.value) == ("train/again", True)


def test_a_stem_of_another_track_is_found(root: Path) -> None:
    stems = song(2)
    stems["vocals"] = 0.7 * song(1)["vocals"]
    write(root / "test" / "two", mixed(stems))
    assert found(root) == [("overlap", "train/one", "vocals")]  # it makes most of both mixtures
    stems["vocals"] *= 0.05
    write(root / "test" / "two", mixed(stems))
    assert found(root) == [("duplicate", "train/one", "vocals")]


@pytest.mark.parametrize("kind", ["wav", "mp3", "48k", "dataset"])
def test_another_folder_must_not_hold_our_songs(root: Path, tmp_path: Path, kind: str) -> None:
    write(root / "train" / "one", mixed(song(1, 8.0)))
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    mixture = mixed(song(1, 8.0))["mixture"]
    strange = mixed(song(7, 8.0))["mixture"]
    soundfile.write(str(other / "strange.wav"), strange, RATE)
    assert found(root, against=[other.parent]) == []
    if kind == "dataset":
        write(other / "test" / "copy", {"mixture": mixture, "vocals": song(1, 8.0)["vocals"]})
    elif kind == "48k":
        soundfile.write(str(other / "copy.wav"), resample_poly(mixture, 3, 1), 3 * RATE)
    else:
        soundfile.write(str(other / f"copy.{kind}"), 0.5 * earlier(mixture), RATE)
    findings = look(root, against=[other if kind == "dataset" else other.parent]).findings
    assert [(one.check, one.track) for one in findings] == [("overlap", "train/one")]
    assert "copy" in findings[0].value


def test_a_bad_file_of_the_other_folder_is_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "bad.wav").write_bytes(b"nothing")
    diagnosis = look(root, against=[tmp_path / "elsewhere"])
    assert diagnosis.findings == []
    assert "elsewhere/bad.wav cannot be read" in "".join(diagnosis.skipped)


# What cannot be used


def test_folders_without_tracks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        look(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no folder train, valid, test"):
        look(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DatasetError, match="hold no track"):
        look(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="is not a folder"):
        look(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no audio"):
        other_places(tmp_path / "empty")


@pytest.mark.parametrize(
    ("wanted", "options", "says"),
    [
        (Wanted(samplerate=0), {}, "samplerate=0"),
        (Wanted(channels=-1), {}, "channels=-1"),
        (Wanted(segment=float("nan")), {}, "segment=nan"),
        (Wanted(sources=("a", "a")), {}, "more than once"),
        (Wanted(), {"workers": 0}, "workers=0"),
        (Wanted(), {"ignore": ["clicks"]}, "no check clicks"),
    ],
)
def test_options_that_cannot_be_are_refused(
    root: Path, wanted: Wanted, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        diagnose(root, wanted, progress=False, **options)


def test_stem_files_need_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "song.stem.mp4").write_bytes(b"x")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="ffmpeg"):
        look(tmp_path)


def test_processes_find_the_same(root: Path) -> None:
    write(root / "train" / "again", mixed(song(1)))
    alone = look(root, Wanted(samplerate=RATE, segment=5))
    several = diagnose(root, Wanted(samplerate=RATE, segment=5), workers=2, progress=False)
    assert several == alone
    assert len(alone.findings) == 3


def _die(place: object) -> None:
    import os

    os._exit(1)


def test_a_process_that_is_killed_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "examine", _die)
    with pytest.raises(DatasetError, match="use fewer"):
        diagnose(root, WANTED, workers=2, progress=False)


# The command's table, codes and JSON


def command(root: Path, *options: str) -> int:
    fixed = ["--samplerate", str(RATE), "--segment", "2", "-j", "1", "--no-progress"]
    return doctor.main([str(root), *fixed, *options])


def test_the_table_and_the_codes(
    spoil: Callable[..., Path], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(root) == 0
    assert "2 tracks, 8 s of bass, drums, vocals: no problems" in capsys.readouterr().out
    spoil("bass", lambda wave: wave[:, [0, 0]])
    assert command(root) == 0  # a note is no problem
    assert command(root, "--strict") == 1
    assert command(root, "--strict", "--ignore", "mono") == 0
    spoil("bass", lambda wave: 0 * wave)
    capsys.readouterr()
    assert command(root) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[1].split()[:4] == ["warning", "train/one", "bass", "silent"]
    assert "1 warning (1 silent)" in out
    assert command(root / "nowhere") == 2
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit) as wrong:
        doctor.main(["--segment", "long", str(root)])
    assert wrong.value.code == 2


def test_json_holds_everything(spoil: Callable[..., Path], tmp_path: Path) -> None:
    root = spoil("bass", lambda wave: 0 * wave)
    assert command(root, "--json", str(tmp_path / "out" / "doctor.json")) == 1
    content = json.loads((tmp_path / "out" / "doctor.json").read_text())
    assert content["counts"] == {"note": 0, "warning": 1, "error": 0}
    assert content["wanted"]["sources"] == list(STEMS)
    (one,) = content["findings"]
    assert one["severity"] == "warning"
    assert Finding(**{**one, "severity": Severity.WARNING}) == look(root).findings[0]


def test_json_holds_numbers_where_two_files_are_equal(root: Path, tmp_path: Path) -> None:
    stems = {**song(1), "vocals": song(1)["bass"]}
    write(root / "train" / "one", mixed(stems))
    assert command(root, "--json", str(tmp_path / "doctor.json")) == 1
    (one,) = json.loads((tmp_path / "doctor.json").read_text())["findings"]
    assert one["check"] == "duplicate"
    assert -130 < one["number"] < -100


def test_the_help_names_every_check() -> None:
    text = doctor.parser().format_help()
    assert all(f"  {check} " in text for check in CHECKS)
