"""Tags and covers: from every format that has them to those of the stems, and never in the way."""

import base64
import json
import logging
import struct
import subprocess
from pathlib import Path
from typing import Any

import mutagen
import pytest
import soundfile
import torch
from mutagen import id3
from mutagen.flac import FLAC, Picture
from mutagen.mp4 import MP4, MP4Cover
from mutagen.wave import WAVE
from torch import Tensor

from demucs.audio import encoding as encoding_module
from demucs.audio import read_audio, write_audio
from demucs.audio.covers import Cover, read_cover
from demucs.audio.riff import read_info, write_info
from demucs.audio.tags import read_tags, write_tags

RATE = 44100
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 5
TAGS = {
    "title": ["Übung"],
    "artist": ["The 音"],
    "album": ["A"],
    "date": ["1999"],
    "genre": ["Polka"],
    "tracknumber": ["3"],
}


def noise(length: int = 20_001, channels: int = 1) -> Tensor:
    return torch.rand(channels, length, generator=torch.Generator().manual_seed(2)) - 0.5


def song(path: Path, tags: dict[str, list[str]] = TAGS) -> Path:
    """A file with tags that ffmpeg wrote."""
    write_audio(path.with_name("plain.flac"), noise(), RATE)
    named = {"track" if name == "tracknumber" else name: one[0] for name, one in tags.items()}
    given = [part for name, one in named.items() for part in ("-metadata", f"{name}={one}")]
    plain = path.with_name("plain.flac")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", plain, *given, path], check=True)
    return path


def probed(path: Path) -> dict[str, str]:
    """The tags as ffprobe sees them."""
    command = ["ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert not done.stderr
    tags: dict[str, str] = json.loads(done.stdout)["format"].get("tags", {})
    return {name.lower(): text for name, text in tags.items()}


@pytest.mark.parametrize("source", ["wav", "flac", "mp3", "ogg", "m4a"])
@pytest.mark.parametrize("target", ["wav", "flac", "mp3"])
def test_tags_go_from_every_format_to_every_other(tmp_path: Path, source: str, target: str) -> None:
    path, stem = song(tmp_path / f"song.{source}"), tmp_path / f"stem.{target}"
    assert read_tags(path) == TAGS
    write_audio(stem, noise(), RATE, bits=24)
    sound, _ = read_audio(stem)
    write_tags(stem, read_tags(path), "drums", "drums, by me")
    assert torch.equal(read_audio(stem)[0], sound)
    assert read_tags(stem) == TAGS
    seen = probed(stem)
    assert seen["comment"] == "drums, by me"
    expected = {"track" if name == "tracknumber" else name: one[0] for name, one in TAGS.items()}
    assert {name: seen[name] for name in expected} == expected


@pytest.mark.parametrize("frames", [1, 4, 5, 9999])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_texts_of_a_wav_file_leave_its_sound(
    tmp_path: Path, frames: int, kind: str, subtype: str
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(frames)[0].numpy(), RATE, subtype=subtype, format=kind)
    before, content = soundfile.read(path)[0], path.read_bytes()
    write_info(path, {"INAM": "Übung", "IART": "AB", "ICMT": "x" * 999})
    assert read_info(path) == {"INAM": "Übung", "IART": "AB", "ICMT": "x" * 999}
    found, rate = soundfile.read(path)
    assert (found == before).all()
    assert rate == RATE
    assert soundfile.info(path).format == {"WAV": "WAV", "WAVEX": "WAVEX", "RF64": "RF64"}[kind]
    after = path.read_bytes()
    told = after[4:8] if kind != "RF64" else after[20:28]
    assert int.from_bytes(told, "little") == len(after) - 8
    assert len(after) % 2 == 0
    assert after[48 : len(content)] == content[48:]
    assert (probed(path)["title"], probed(path)["artist"]) == ("Übung", "AB")


def test_our_own_long_wav_is_tagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding_module, "RIFF_LIMIT", 1000)
    path = tmp_path / "a.wav"
    write_audio(path, noise(), RATE)
    assert path.read_bytes()[:4] == b"RF64"
    write_tags(path, TAGS, "drums", "note")
    assert read_tags(path) == TAGS
    assert read_audio(path)[0].shape == (1, 20_001)
    assert probed(path)["title"] == "Übung"


def test_a_wav_that_would_be_too_long_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, noise(4), RATE)
    with path.open("r+b") as file:
        file.truncate(2**32 - 8)  # a hole on the disk
    write_info(path, {"INAM": "too much"})
    assert path.stat().st_size == 2**32 - 8
    assert read_info(path) == {}


def test_of_two_kinds_of_tags_in_a_wav_the_id3_chunk_is_the_better(tmp_path: Path) -> None:
    path = song(tmp_path / "song.wav")
    file: Any = WAVE(path)
    file.add_tags()
    file.tags.add(id3.TIT2(encoding=3, text=["A longer title than INFO holds"]))
    file.tags.add(id3.TPE1(encoding=3, text=["A", "B"]))
    file.tags.add(id3.TPE2(encoding=3, text=["All"]))
    file.tags.add(id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=PNG))
    file.save()
    expected = {**TAGS, "title": ["A longer title than INFO holds"], "artist": ["A", "B"]}
    assert read_tags(path) == {**expected, "albumartist": ["All"]}
    assert read_cover(path) == Cover("image/png", PNG)
    write_audio(tmp_path / "stem.wav", noise(), RATE)
    write_tags(tmp_path / "stem.wav", read_tags(path), "drums", "note")
    assert read_tags(tmp_path / "stem.wav")["artist"] == ["A; B"]
    assert probed(tmp_path / "stem.wav")["artist"] == "A; B"


def test_texts_of_old_programs(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, noise(), RATE)
    body = b"INFOINAM\x06\0\0\0\xdcbung\0IART\x04\0\0\0 \0\0\0ICMT\xff\xff\xff\xffcut"
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", len(body)) + body)
    assert read_info(path) == {"INAM": "Übung", "ICMT": "cut"}  # Windows-1252; empty; no end
    assert read_tags(path) == {"title": ["Übung"]}


def with_cover(path: Path, *pictures: tuple[int, str, bytes]) -> Path:
    """A song with pictures: kind, type, content."""
    song(path)
    file: Any = mutagen.File(path)  # type: ignore[attr-defined,unused-ignore]
    blocks = []
    for kind, mime, data in pictures:
        block = Picture()
        block.type, block.mime, block.data = kind, mime, data
        blocks.append(block)
    if isinstance(file, FLAC):
        for block in blocks:
            file.add_picture(block)
    elif isinstance(file, MP4):
        forms = {"image/jpeg": MP4Cover.FORMAT_JPEG, "image/png": MP4Cover.FORMAT_PNG}
        file["covr"] = [MP4Cover(b.data, imageformat=forms[b.mime]) for b in blocks]
    elif isinstance(file.tags, id3.ID3):
        for number, b in enumerate(blocks):
            frame = id3.APIC(encoding=3, mime=b.mime, type=b.type, desc=str(number), data=b.data)
            file.tags.add(frame)
    else:
        texts = [base64.b64encode(block.write()).decode() for block in blocks]
        file["metadata_block_picture"] = texts
    file.save()
    return path


@pytest.mark.parametrize("source", ["flac", "mp3", "ogg", "m4a", "opus"])
@pytest.mark.parametrize("target", ["flac", "mp3", "wav"])
@pytest.mark.parametrize("picture", [("image/jpeg", JPEG), ("image/png", PNG)])
def test_covers_go_with_the_stems(
    tmp_path: Path, source: str, target: str, picture: tuple[str, bytes]
) -> None:
    path, stem = with_cover(tmp_path / f"a.{source}", (3, *picture)), tmp_path / f"b.{target}"
    cover = read_cover(path)
    assert cover == Cover(*picture)
    write_audio(stem, noise(), RATE)
    write_tags(stem, read_tags(path), "drums", "note", cover)
    assert read_cover(stem) == (None if target == "wav" else cover)
    assert read_tags(stem)["title"] == TAGS["title"]
    assert read_audio(stem)[0].shape[-1] >= 20_001
    if target != "wav":  # ordinary programs see it
        command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "json"]
        done = subprocess.run([*command, str(stem)], capture_output=True, check=False)
        seen = [one.get("codec_name") for one in json.loads(done.stdout)["streams"]]
        assert seen[1:] == ["png" if picture[1] is PNG else "mjpeg"]


@pytest.mark.parametrize("source", ["flac", "mp3", "ogg"])
def test_of_several_pictures_the_front_is_taken(tmp_path: Path, source: str) -> None:
    back, front = (4, "image/png", PNG), (3, "image/jpg", JPEG)
    cover = read_cover(with_cover(tmp_path / f"a.{source}", back, front))
    assert cover == Cover("image/jpeg", JPEG)  # the name of the type is put right
    assert read_cover(with_cover(tmp_path / f"b.{source}", back)) == Cover("image/png", PNG)


@pytest.mark.parametrize(
    "picture",
    [
        (3, "-->", b"http://example.org/cover.jpg"),
        (3, "image/jpeg", b""),
        (3, "text/plain", b"no picture"),
        (3, "image/jpeg", JPEG + bytes(2**24)),
    ],
    ids=["address", "empty", "text", "huge"],
)
def test_what_is_no_cover_is_left(tmp_path: Path, picture: tuple[int, str, bytes]) -> None:
    assert read_cover(with_cover(tmp_path / "a.mp3", picture)) is None


def test_the_broken_and_the_bare_have_none(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", noise(), RATE)
    head = (tmp_path / "a.wav").read_bytes()
    song(tmp_path / "song.ogg")
    ogg: Any = mutagen.File(tmp_path / "song.ogg")  # type: ignore[attr-defined,unused-ignore]
    ogg["metadata_block_picture"] = ["no base64!", "AAAA"]
    ogg.save()
    assert read_tags(tmp_path / "song.ogg") == TAGS
    contents = {
        "list.wav": head + b"LIST\xff\xff\xff\x7fINFO",
        "id3.wav": head + b"id3 \x40\0\0\0ID3\x04\0\0\0\0\0\x50TIT2\0\0\0\x50\0\0" + b"\1" * 43,
        "empty.wav": head + b"LIST\0\0\0\0LIST\4\0\0\0INFOLIST",
        "chunks.wav": head + b"junk\0\0\0\0" * 5000,
        "bad.mp3": b"ID3\x04\0\0\0\0\0\x50APIC\0\0\0\x50\0\0" + b"\1" * 70,
        "bad.flac": b"fLaC\x06\0\0\x20" + b"\1" * 32,
        "none": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert read_tags(tmp_path / name) == {}, name
    for name in ("a.wav", "song.ogg", "missing.mp3", *contents):
        assert read_cover(tmp_path / name) is None, name
    before = (tmp_path / "a.wav").read_bytes()
    write_tags(tmp_path / "a.wav", {}, "drums", "a wav file without tags stays as it is")
    assert (tmp_path / "a.wav").read_bytes() == before


@pytest.mark.parametrize("target", ["wav", "flac", "mp3"])
def test_odd_tags_are_made_fit(tmp_path: Path, target: str) -> None:
    path = song(tmp_path / "song.flac")
    flac = FLAC(path)
    flac["title"], flac["artist"], flac["album"] = ["a\0b"], [" ", "x" * 10**6], ["y\n=z"]
    flac["tracknumber"], flac["date"] = ["no/number"], ["some day"]
    flac.save()
    tags = read_tags(path)
    stem = tmp_path / f"caf\udce9.{target}"
    write_audio(stem, noise(), RATE)
    write_tags(stem, tags, "drums", "drums of caf\udce9.wav")
    found = read_tags(stem)
    assert found["title"] == ["a b"]
    assert found["artist"] == ["x" * 1000]
    assert found["album"] == ["y\n=z"]
    assert found["tracknumber"] == ["no/number"]
    plain = stem.rename(tmp_path / f"plain.{target}")
    assert probed(plain)["comment"] == r"drums of caf\udce9.wav"


@pytest.mark.parametrize("target", ["wav", "flac", "mp3"])
def test_tags_that_cannot_be_written_are_left_out(
    tmp_path: Path, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    stem = tmp_path / f"a.{target}"
    write_audio(stem, noise(), RATE)
    sound, _ = read_audio(stem)
    tags: Any = {"mood": ["low"]} if target == "mp3" else {"title": [5]}  # no frame; no text
    with caplog.at_level(logging.WARNING):
        write_tags(stem, tags, "drums", "drums of a.mp3")
    assert "drums of a.mp3: written without tags" in caplog.text
    assert torch.equal(read_audio(stem)[0], sound)
