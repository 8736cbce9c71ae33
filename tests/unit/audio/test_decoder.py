"""All that a file holds is decoded: files that were joined, cut, piped, or have a wrong header."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from demucs.audio import AudioSource, audio_info, convert_audio, read_audio
from demucs.audio.stream import AudioStream
from demucs.errors import AudioError
from tests.unit.sound_files import (
    BY_FFMPEG,
    CODED,
    EXACT,
    RATE,
    Samples,
    alone,
    encoded,
    ffmpeg,
    lag,
    noise,
    snr,
)

FRAMES = 12_000


def read(path: Path) -> Samples:
    """The whole of a file, `[T, C]`; the three ways to read it have to agree."""
    wav, rate = read_audio(path)
    info = audio_info(path)
    assert (info.samplerate, info.channels, info.frames) == (rate, *wav.shape)
    source = AudioSource(path, rate, 2)
    blocks = torch.cat(list(source.blocks()), dim=-1)
    assert torch.equal(blocks, convert_audio(wav, rate, rate, 2))
    assert source.length == wav.shape[-1]
    return wav.numpy().T


def widened(wav: Samples, channels: int) -> Samples:
    return np.repeat(wav, channels, axis=1) if wav.shape[1] < channels else wav


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", [*EXACT, *CODED, *BY_FFMPEG])
def test_each_kind_is_what_another_decoder_makes_of_it(
    tmp_path: Path, kind: str, channels: int
) -> None:
    path = tmp_path / f"song.{kind}"
    path.write_bytes(encoded(kind, FRAMES, channels))
    wav = read(path)
    lossy = kind in CODED or kind.endswith((".mp3", "mp3", "mp2", "aac"))
    assert snr(noise(FRAMES, channels), wav) > (10 if lossy else 200) or kind.endswith(
        ("untagged.mp3", "mp2", "aac")  # nothing in these tells of the encoder's delay
    )
    if kind != "pipe.rf64.wav":  # of which ffmpeg and libsndfile read nothing
        expected = alone(kind, FRAMES, channels)
        assert wav.shape == expected.shape
        assert snr(expected, wav) > 90


JOINED = ["wav", "float.wav", "flac", "ogg", "opus", "mp3", "vbr.mp3", "untagged.mp3", "mp2"]


@pytest.mark.parametrize("channels", [(2, 2), (1, 2), (2, 1), (1, 2, 2)])
@pytest.mark.parametrize("kind", JOINED)
def test_joined_files_are_read_to_the_last(
    tmp_path: Path, kind: str, channels: tuple[int, ...]
) -> None:
    """`cat a.mp3 b.mp3`, chained ogg streams of radio recordings, and the like."""
    parts = [(kind, FRAMES - 1000 * k, count, RATE, k) for k, count in enumerate(channels)]
    path = tmp_path / f"joined.{kind}"
    path.write_bytes(b"".join(encoded(*part) for part in parts))
    expected = np.concatenate([widened(alone(*part), 2) for part in parts])
    wav = read(path)
    if kind in ("untagged.mp3", "mp2") and len(set(channels)) < len(channels):
        # Nothing shows where one ends and another of its kind begins: decoded in one go.
        assert wav.shape == expected.shape
        assert lag(expected[:, 0], wav[:, 0]) == 0
        return
    assert wav.shape == expected.shape
    assert snr(expected, wav) > 90


def test_aac_that_turns_to_stereo_is_stereo(tmp_path: Path) -> None:
    path = tmp_path / "joined.aac"
    path.write_bytes(encoded("aac", FRAMES, 1) + encoded("aac", FRAMES, 2, seed=1))
    wav = read(path)
    expected = np.concatenate(
        [widened(alone("aac", FRAMES, 1), 2), alone("aac", FRAMES, 2, seed=1)]
    )
    assert wav.shape == expected.shape
    assert snr(expected, wav) > 90


@pytest.mark.parametrize("kind", ["wav", "ogg", "mp3"])
def test_joined_files_of_two_rates_have_the_higher(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"joined.{kind}"
    parts = [(kind, FRAMES, 2, RATE, 0), (kind, FRAMES, 2, 2 * RATE, 1)]
    path.write_bytes(b"".join(encoded(*part) for part in parts))
    slow, quick = (torch.from_numpy(alone(*part).T.copy()) for part in parts)
    expected = torch.cat([convert_audio(slow, RATE, 2 * RATE, 2), quick], dim=-1).T.numpy()
    assert audio_info(path).samplerate == 2 * RATE
    wav = read(path)
    assert wav.shape == expected.shape
    assert snr(expected, wav) > 90


def test_tags_between_joined_mp3_files_are_no_sound(tmp_path: Path) -> None:
    """An ID3v1 tag at the end of the first; in the second an ID3v2 tag that looks like frames."""
    first, second = encoded("mp3", FRAMES), encoded("mp3", FRAMES, seed=1)
    frame = second[second.index(b"\xff\xfb") :][:4]
    tag = b"ID3\4\0\0" + bytes([0, 0, 8, 0]) + (frame + bytes(100)) * 9 + bytes(1024 - 9 * 104)
    path = tmp_path / "a.mp3"
    path.write_bytes(first + b"TAG" + frame * 31 + b"\0" + tag + second)
    expected = np.concatenate([alone("mp3", FRAMES), alone("mp3", FRAMES, seed=1)])
    wav = read(path)
    assert wav.shape == expected.shape
    assert snr(expected, wav) > 90


@pytest.mark.parametrize("tagged", [True, False])
def test_what_follows_the_count_of_an_mp3_is_read(tmp_path: Path, tagged: bool) -> None:
    first, second = ("mp3", "untagged.mp3") if tagged else ("untagged.mp3", "mp3")
    path = tmp_path / "a.mp3"
    path.write_bytes(encoded(first, FRAMES) + encoded(second, FRAMES, seed=1))
    expected = np.concatenate([alone(first, FRAMES), alone(second, FRAMES, seed=1)])
    assert read(path).shape == expected.shape


@pytest.mark.parametrize(
    ("cut", "first", "last"), [(["-ss", "0.6"], 4608, 12_000), (["-t", "0.6"], 0, 9216)]
)
def test_a_flac_file_that_an_editor_cut_is_what_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: list[str], first: int, last: int
) -> None:
    """Its header is that of the whole, and its frames have their numbers there."""
    whole, path = tmp_path / "whole.flac", tmp_path / "cut.flac"
    whole.write_bytes(encoded("flac", FRAMES))
    ffmpeg(*cut, "-i", str(whole), "-c", "copy", str(path))
    wav = read(path)
    assert len(wav) < FRAMES
    begin = FRAMES - len(wav) if first else 0
    np.testing.assert_array_equal(wav, noise(FRAMES)[begin : begin + len(wav)])
    told = f"it tells of {FRAMES / RATE:.2f} s, and {len(wav) / RATE:.2f} s are there"
    assert f"cut.flac has a wrong header ({told}): it is read to its end." in caplog.text


@pytest.mark.parametrize("seeds", [(0, 1), (0, 0), (0, 1, 2, 3, 4)])
def test_flac_frames_under_the_header_of_the_first_are_all_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seeds: tuple[int, ...]
) -> None:
    """As ffmpeg joins files; where all are as long, only the numbers of frames show it."""
    path, listed = tmp_path / "joined.flac", tmp_path / "list.txt"
    for seed in seeds:
        (tmp_path / f"{seed}.flac").write_bytes(encoded("flac", 5 * FRAMES, seed=seed))
    listed.write_text("".join(f"file {seed}.flac\n" for seed in seeds))
    ffmpeg("-f", "concat", "-i", str(listed), "-c", "copy", str(path))
    expected = np.concatenate([noise(5 * FRAMES, seed=seed) for seed in seeds])
    np.testing.assert_array_equal(read(path), expected)
    assert "joined.flac has a wrong header" in caplog.text


@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_a_tag_between_joined_files_is_no_damage(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    parts = [encoded(kind, FRAMES), encoded(kind, FRAMES, seed=1)]
    path.write_bytes((b"TAG" + bytes(125)).join(parts))
    expected = np.concatenate([alone(kind, FRAMES), alone(kind, FRAMES, seed=1)])
    wav = read(path)
    assert wav.shape == expected.shape
    assert snr(expected, wav) > 90


def test_a_cut_mp3_does_not_take_the_beginning_of_the_next_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = encoded("mp3", FRAMES), encoded("mp3", FRAMES, seed=1)
    path = tmp_path / "a.mp3"
    path.write_bytes(first[: int(0.6 * len(first))] + second)
    wav = read(path)
    assert 1.3 * FRAMES < len(wav) < 1.7 * FRAMES
    assert snr(alone("mp3", FRAMES, seed=1), wav[-FRAMES:]) > 90
    assert "a.mp3 seems to be cut short" in caplog.text


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_a_recording_that_begins_within_a_stream_is_read_from_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(kind, 10 * FRAMES)[-9001:] + encoded(kind, FRAMES, seed=1))
    wav = read(path)
    assert wav.shape == alone(kind, FRAMES, seed=1).shape
    assert "has 9001 bytes of a stream before the first whose beginning is there" in caplog.text


FOLLOWED = {"mp3": "wav", "w64": "w64", "aiff": "aiff", "au": "au", "untagged.mp3": "ogg"}


@pytest.mark.parametrize("kind", FOLLOWED)
def test_what_follows_and_is_not_read_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(kind, FRAMES) + encoded(FOLLOWED[kind], FRAMES, seed=1))
    wav = read(path)
    assert wav.shape == alone(kind, FRAMES).shape
    assert snr(alone(kind, FRAMES), wav) > 90
    assert "bytes after the end that its header tells of, which are not read" in caplog.text


def with_size(length: int) -> Callable[[bytes], bytes]:
    """A wav file whose header announces so many bytes of samples; or that many more, from -1e6."""

    def change(content: bytes) -> bytes:
        place = content.index(b"data") + 4
        there = int.from_bytes(content[place : place + 4], "little")
        told = length if length >= 0 else there - length
        return content[:place] + told.to_bytes(4, "little") + content[place + 4 :]

    return change


def with_long_size(length: int) -> Callable[[bytes], bytes]:
    """The same of an RF64 file."""

    def change(content: bytes) -> bytes:
        place = content.index(b"ds64") + 16
        content = content[:place] + length.to_bytes(8, "little") + content[place + 8 :]
        return with_size(2**32 - 1)(content)

    return change


WRONG = "has a wrong header"
LYING = {
    "nothing": ("wav", with_size(0), WRONG),
    "two billion": ("wav", with_size(2 * 10**9), WRONG),
    "its own header too": ("wav", with_size(-44), WRONG),
    "a block too many": ("wav", with_size(-4096), WRONG),
    "the largest": ("wav", with_size(2**32 - 1), ""),
    "the largest of sox": ("wav", with_size(2**31 - 4096), ""),
    "nothing, rf64": ("rf64.wav", with_long_size(0), WRONG),
    "the largest, rf64": ("rf64.wav", with_long_size(2**64 - 1), WRONG),
}


@pytest.mark.parametrize("case", LYING)
def test_a_header_with_a_wrong_length_hides_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    kind, change, said = LYING[case]
    path = tmp_path / "song.wav"
    path.write_bytes(change(encoded(kind, FRAMES)))
    np.testing.assert_array_equal(read(path), noise(FRAMES))
    warnings = [record.getMessage() for record in caplog.records]
    assert all(said in warning for warning in warnings)
    assert len(warnings) == (2 if said else 0)  # as a whole and in blocks


def test_samples_that_a_header_does_not_tell_of_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a recorder died that had written the length of its first seconds."""
    path = tmp_path / "song.wav"
    path.write_bytes(with_size(20_000)(encoded("wav", FRAMES)))
    np.testing.assert_array_equal(read(path), noise(FRAMES)[:5000])
    assert (
        "has 28000 bytes after the end that its header tells of, which are not rea" in caplog.text
    )


@pytest.mark.parametrize("kind", ["wav", "rf64.wav", "flac", "aiff", "w64", "caf", "au", "mp3"])
def test_the_remedy_for_a_damaged_file_works(tmp_path: Path, kind: str) -> None:
    path, kept = tmp_path / f"song.{kind}", tmp_path / "kept.wav"
    content = encoded(kind, 5 * FRAMES)
    path.write_bytes(content[: int(0.6 * len(content))])
    with pytest.raises(AudioError, match=r"cut short: .*or keep what there is: ffmpeg -i IN OUT"):
        read(path)
    ffmpeg("-i", str(path), str(kept))
    wav = read(kept)
    assert len(wav) == pytest.approx(3 * FRAMES, rel=0.15)
    assert snr(noise(5 * FRAMES), wav) > 15


def test_zeros_after_the_last_frame_do_not_hide_the_others(tmp_path: Path) -> None:
    """A download for which the disk had kept more room."""
    path = tmp_path / "song.ogg"
    path.write_bytes(encoded("ogg", FRAMES) + bytes(70_000))
    assert len(read_audio(path)[0].T) == FRAMES


@pytest.mark.parametrize("with_ffmpeg", [True, False])
def test_damage_in_the_middle_is_told_of(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    with_ffmpeg: bool,
) -> None:
    """libsndfile leaves out what it cannot decode of an ogg, and says nothing."""
    path = tmp_path / "song.ogg"
    content = bytearray(encoded("ogg", 10 * FRAMES))
    third = len(content) // 3
    content[third : 2 * third] = bytes(third)
    path.write_bytes(content)
    if not with_ffmpeg:
        monkeypatch.setenv("PATH", str(tmp_path))
    wav, _ = read_audio(path)
    assert 5 * FRAMES < wav.shape[-1] < 9 * FRAMES
    assert "song.ogg seems to be damaged (libsndfile stops after" in caplog.text


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["ogg", "flac", "opus"])
def test_left_and_right_come_first(tmp_path: Path, kind: str, channels: int) -> None:
    """Vorbis has the centre between them; each channel has a tone of its own here."""
    names = {3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
    time = np.arange(24_000) / 24_000
    tones = [200.0 * (k + 1) for k in range(channels)]
    wav = np.stack([0.2 * np.sin(2 * np.pi * tone * time) for tone in tones], axis=1)
    plain, path = tmp_path / "plain.wav", tmp_path / f"song.{kind}"
    soundfile.write(plain, wav, 24_000)
    codec = {"ogg": "libvorbis", "flac": "flac", "opus": "libopus"}[kind]
    options = {"ogg": ["-q:a", "9"], "opus": ["-mapping_family", "1", "-b:a", "500k"]}
    layout = f"channelmap=channel_layout={names[channels]}"
    ffmpeg("-i", str(plain), "-af", layout, "-c:a", codec, *options.get(kind, []), str(path))
    found, rate = read_audio(path, start=4000, frames=12_000)
    spectra = np.abs(np.fft.rfft(found.numpy()))
    peaks = [float(np.argmax(row)) * rate / 12_000 for row in spectra]
    low = 3 if channels >= 6 else channels  # the low-frequency channel holds no tone of its own
    for number, (peak, tone) in enumerate(zip(peaks, tones, strict=True)):
        assert number == low or peak == pytest.approx(tone, abs=3), (number, peaks)


@settings(max_examples=40)
@given(data=st.data())
def test_any_part_is_that_of_the_whole(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In the last page of Ogg Vorbis too, where libsndfile's own seeking goes astray."""
    kind = data.draw(st.sampled_from([*EXACT, *CODED, "mp3", "untagged.mp3", "joined.mp3",
                                      "joined.flac", "joined.ogg"]))  # fmt: skip
    frames = data.draw(st.sampled_from([2000, 20_000]))
    path = tmp_path_factory.getbasetemp() / f"parts-{frames}.{kind}"
    if not path.exists():
        bare = kind.removeprefix("joined.")
        more = encoded(bare, 3000, 1, seed=1) if bare != kind else b""
        path.write_bytes(encoded(bare, frames) + more)
    whole, _ = read_audio(path)
    length = whole.shape[-1]
    near_end = st.integers(max(0, length - 2500), length - 1)
    start = data.draw(st.one_of(st.integers(0, length - 1), near_end))
    count = data.draw(st.integers(1, 5000))
    part, _ = read_audio(path, start=start, frames=count)
    expected = whole[:, start : start + count]
    assert part.shape == expected.shape
    assert float((part - expected).abs().max()) < 1e-3


@settings(max_examples=100)
@given(data=st.data())
def test_damage_of_any_kind_is_an_error_or_read(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No other error than ours, and no reading without an end."""
    kind = data.draw(st.sampled_from([*EXACT, *CODED]))
    content = bytearray(encoded(kind, 1000) + data.draw(st.sampled_from([b"", encoded(kind, 500)])))
    place = st.integers(0, len(content) - 1)
    for where in data.draw(st.lists(st.one_of(place, st.integers(0, 80)), max_size=5)):
        content[where] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), place))])
    for look in (audio_info, read_audio, lambda path: AudioSource(path, RATE, 2)):
        with suppress(AudioError), patch.dict(os.environ, PATH=""):  # ffmpeg takes long to start
            look(path)


@pytest.mark.parametrize("kind", [*EXACT, *CODED])
def test_a_file_that_ends_within_its_header_is_an_error_or_read(kind: str, tmp_path: Path) -> None:
    content = encoded(kind, 1000)
    path = tmp_path / f"cut.{kind}"
    for size in range(1, 90):
        path.write_bytes(content[:size])
        with suppress(AudioError), patch.dict(os.environ, PATH=""):  # ffmpeg takes long to start
            audio_info(path)


def test_a_stream_is_read_in_pieces_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "joined.wav"
    path.write_bytes(encoded("wav", FRAMES) + encoded("wav", FRAMES, rate=2 * RATE, seed=1))
    whole = read_audio(path)[0].numpy().T
    with AudioStream(path) as stream:
        stream.skip(777)
        pieces = []
        while len(piece := stream.read(1 + len(pieces) * 313)):
            pieces.append(piece)
    np.testing.assert_array_equal(np.concatenate(pieces), whole[777:])


def test_nothing_runs_on_where_reading_stops_early(tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(encoded("mka", 40 * FRAMES))
    with AudioStream(path) as stream:
        stream.read(10)
        assert commands_with(path)
    assert not commands_with(path)


def commands_with(path: Path) -> list[str]:
    """Command lines of running processes that name a file."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(place.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [command for command in found if str(path) in command]
