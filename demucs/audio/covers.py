"""The picture on the cover, from the file of a track to those of its stems."""

import base64
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mutagen
from mutagen import id3
from mutagen.flac import FLAC, Picture
from mutagen.mp4 import MP4

_FRONT = 3  # the kind of picture, in ID3 and in flac
_LARGEST = 2**24 - 2**12  # bytes: what a block of flac metadata holds, less its texts
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cover:
    """A picture: `data` is a file of the type `mime`."""

    mime: str
    data: bytes


def read_cover(path: str | os.PathLike[str]) -> Cover | None:
    """The front cover in an mp3, flac, m4a, ogg, opus, wav or aiff file, else its first picture.

    None where there is no picture, or none that can be read: it is not worth a track.
    """
    try:
        pictures = list(_pictures(mutagen.File(os.fspath(path))))  # type: ignore[attr-defined,unused-ignore]
    except Exception as error:  # mutagen has many, and a damaged tag may raise any other
        _log.debug("%s: its pictures cannot be read: %s", path, error)
        return None
    covers = [(kind != _FRONT, cover) for kind, cover in pictures if cover is not None]
    return min(covers, key=lambda one: one[0])[1] if covers else None


def _pictures(file: Any) -> Iterator[tuple[int, Cover | None]]:
    """Kind and content of every picture."""
    tags = None if file is None else file.tags
    if isinstance(file, FLAC):
        pictures = file.pictures
    elif isinstance(file, MP4):
        yield from ((_FRONT, _cover("", bytes(data))) for data in (tags or {}).get("covr", []))
        return
    elif isinstance(tags, id3.ID3):
        pictures = tags.getall("APIC")
    elif tags is None or not hasattr(tags, "get"):
        return
    else:  # Vorbis comments, whose keys are without case
        texts = tags.get("metadata_block_picture") or []
        pictures = [Picture(base64.b64decode(text)) for text in texts]
    for picture in pictures:
        yield int(picture.type), _cover(picture.mime, picture.data)


def _cover(mime: str, data: bytes) -> Cover | None:
    """A cover, whose type is rather what its data say than what the tag does."""
    if data.startswith(b"\xff\xd8\xff"):
        mime = "image/jpeg"
    elif data.startswith(b"\x89PNG"):
        mime = "image/png"
    elif not mime.startswith("image/") or not data:  # "-->": the data are an address
        return None
    return Cover(mime, data) if len(data) <= _LARGEST else None


def apic_of(cover: Cover) -> id3.APIC:  # type: ignore[name-defined,unused-ignore]
    """The frame of an mp3."""
    return id3.APIC(  # type: ignore[attr-defined,unused-ignore]
        encoding=id3.Encoding.UTF8, mime=cover.mime, type=_FRONT, desc="", data=cover.data
    )


def picture_of(cover: Cover) -> Picture:
    """The block of a flac file."""
    picture = Picture()
    picture.type, picture.mime, picture.data = _FRONT, cover.mime, cover.data
    return picture
