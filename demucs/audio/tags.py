"""Title, artist, album and so on, from the file of a track to those of its stems."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mutagen
from mutagen import id3
from mutagen.flac import FLAC

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
_log = logging.getLogger(__name__)


def read_tags(path: str | os.PathLike[str]) -> Tags:
    """The tags of a file that can be carried over, by their Vorbis names.

    Nothing for a file without tags, or with tags that cannot be read: they are not worth a track.
    """
    try:
        file: Any = mutagen.File(os.fspath(path), easy=True)  # type: ignore[attr-defined,unused-ignore]
        tags = None if file is None else file.tags
        found = {} if tags is None else {name: _values(tags, name) for name in _ID3}
    except Exception as error:  # mutagen has many, and a damaged tag may raise any other
        _log.debug("%s: its tags cannot be read: %s", path, error)
        return {}
    return {name: values for name, values in found.items() if values}


def _values(tags: Any, name: str) -> list[str]:
    if isinstance(tags, id3.ID3):  # of wav and aiff
        return [str(text) for frame in tags.getall(_ID3[name]) for text in frame.text]
    if type(tags).__name__ == "ASFTags":
        return [str(value) for value in tags.get(_ASF[name], [])]
    return [str(value) for value in tags.get(name, [])]


def write_tags(path: Path, tags: Tags, stem: str, note: str) -> None:
    """Tags a finished .mp3 or .flac file; other formats are left alone.

    Args:
        tags: what `read_tags` gave.
        stem: name of the stem, as the version of the title (flac `VERSION`, mp3 `TIT3`).
        note: for the comment.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        if path.suffix.lower() == ".mp3":
            _tag_mp3(path, tags, stem, note)
        elif path.suffix.lower() == ".flac":
            flac = FLAC(path)
            flac.update({**tags, "version": [stem], "comment": [note]})
            flac.save()
    except mutagen.MutagenError as error:
        raise OSError(str(error)) from error


def _tag_mp3(path: Path, tags: Tags, stem: str, note: str) -> None:
    frames = id3.ID3()
    for name, values in tags.items():
        frames.add(getattr(id3, _ID3[name])(encoding=id3.Encoding.UTF8, text=values))
    frames.add(id3.TIT3(encoding=id3.Encoding.UTF8, text=[stem]))
    frames.add(id3.COMM(encoding=id3.Encoding.UTF8, lang="eng", desc="", text=[note]))
    frames.save(path)
