"""Title, artist, album and so on, from the file of a track to those of its stems."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mutagen
from mutagen import id3
from mutagen.flac import FLAC

from demucs.audio.covers import Cover, apic_of, picture_of
from demucs.audio.riff import read_info, write_info

Tags = Mapping[str, list[str]]

# Names of Vorbis comments (flac, ogg) and of mutagen's "easy" MP4; frames of ID3; ASF attributes.
_ID3 = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "albumartist": "TPE2",
    "composer": "TCOM",
    "date": "TDRC",
    "genre": "TCON",
    "tracknumber": "TRCK",
    "discnumber": "TPOS",
}
_ASF = {
    "title": "Title",
    "artist": "Author",
    "album": "WM/AlbumTitle",
    "albumartist": "WM/AlbumArtist",
    "composer": "WM/Composer",
    "date": "WM/Year",
    "genre": "WM/Genre",
    "tracknumber": "WM/TrackNumber",
    "discnumber": "WM/PartOfSet",
}
# Of a wav file's INFO chunk. Programs do not agree where the number of the track is.
_INFO = {
    "title": ["INAM"],
    "artist": ["IART"],
    "album": ["IPRD"],
    "composer": ["IMUS"],
    "date": ["ICRD"],
    "genre": ["IGNR"],
    "tracknumber": ["IPRT", "ITRK"],
}
_LONGEST = 1000  # characters of a value; whatever is longer is no title
_log = logging.getLogger(__name__)


def read_tags(path: str | os.PathLike[str]) -> Tags:
    """The tags of a file that can be carried over, by their Vorbis names.

    Of a wav file they come from its id3 chunk, and what is not there from its INFO chunk. Nothing
    for a file without tags, or with tags that cannot be read: they are not worth a track.
    """
    values_by_name: dict[str, list[str]] = {}
    for read in (_read_mutagen, _read_info):
        try:
            tags = read(Path(path))
        except Exception as error:  # mutagen has many, and a damaged tag may raise any other
            _log.debug("%s: its tags cannot be read: %s", path, error)
            continue
        for name, values in tags.items():
            cleaned = [value for value in map(_clean, values) if value]
            if cleaned:
                values_by_name.setdefault(name, cleaned)
    return values_by_name


def _read_mutagen(path: Path) -> dict[str, list[str]]:
    file: Any = mutagen.File(os.fspath(path), easy=True)  # type: ignore[attr-defined,unused-ignore]
    tags = None if file is None else file.tags
    return {} if tags is None else {name: _values(tags, name) for name in _ID3}


def _read_info(path: Path) -> dict[str, list[str]]:
    info = read_info(path)
    return {
        name: [info[identifier] for identifier in ids if identifier in info][:1]
        for name, ids in _INFO.items()
    }


def _clean(text: str) -> str:
    """What every format can hold: Unicode, without zeros, of reasonable length."""
    text = text.replace("\0", " ").encode("utf-8", "backslashreplace").decode()
    return text.strip()[:_LONGEST]


def _values(tags: Any, name: str) -> list[str]:
    if isinstance(tags, id3.ID3):  # of wav and aiff
        return [str(text) for frame in tags.getall(_ID3[name]) for text in frame.text]
    if type(tags).__name__ == "ASFTags":
        return [str(value) for value in tags.get(_ASF[name], [])]
    return [str(value) for value in tags.get(name, [])]


def write_tags(path: Path, tags: Tags, stem: str, note: str, cover: Cover | None = None) -> None:
    """Tags a finished .mp3, .flac or .wav file; other formats are left alone.

    A wav file gets an INFO chunk if there are tags to carry over, and never a cover. Tags that
    cannot be written are left out, with a warning.

    Args:
        tags: what `read_tags` gave.
        stem: name of the stem, as the version of the title (flac `VERSION`, mp3 `TIT3`).
        note: for the comment.
        cover: what `read_cover` gave.

    Raises:
        OSError: the file cannot be written.
    """
    kind, note = path.suffix.lower(), _clean(note)
    try:
        if kind == ".mp3":
            _tag_mp3(path, tags, stem, note, cover)
        elif kind == ".flac":
            flac = FLAC(path)
            flac.update({**tags, "version": [stem], "comment": [note]})
            if cover is not None:
                flac.add_picture(picture_of(cover))
            flac.save()
        elif kind == ".wav" and tags:
            _tag_wav(path, tags, note)
    except mutagen.MutagenError as error:
        raise OSError(str(error)) from error
    except (ValueError, TypeError, LookupError) as error:
        _log.warning("%s: written without tags: %s", note, error)


def _tag_mp3(path: Path, tags: Tags, stem: str, note: str, cover: Cover | None) -> None:
    frames = id3.ID3()
    for name, values in tags.items():
        frames.add(getattr(id3, _ID3[name])(encoding=id3.Encoding.UTF8, text=values))
    frames.add(id3.TIT3(encoding=id3.Encoding.UTF8, text=[stem]))
    frames.add(id3.COMM(encoding=id3.Encoding.UTF8, lang="eng", desc="", text=[note]))
    if cover is not None:
        frames.add(apic_of(cover))
    frames.save(path)


def _tag_wav(path: Path, tags: Tags, note: str) -> None:
    texts = {
        place: "; ".join(values)[:_LONGEST]
        for name, values in tags.items()
        for place in _INFO.get(name, [])
    }
    write_info(path, {**texts, "ICMT": note})
