"""Keeps the songs that models are tested on out of what they are trained on."""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from demucs.audio.fingerprint import SECTION, Landmarks, matches, section_landmarks
from demucs.blind.distil.sources import SourceFile
from demucs.data.doctor.decode import Stream, open_stream
from demucs.data.doctor.limits import MATCH_COUNT, MATCH_SHARE
from demucs.data.doctor.places import Place, Source, other_places
from demucs.data.official import TEST_NAMES
from demucs.data.readers import MIXTURE, STEM_SUFFIX
from demucs.errors import AudioError, DatasetError
from demucs.files import AUDIO_SUFFIXES, atomic_path

_WHOLE = 1e9  # seconds: a test song is one section
_BLOCK = 2**18  # samples read at a time
_EMPTY = Landmarks(np.zeros(0, np.uint32), np.zeros(0, np.int32))
_LONG = 12  # letters and digits; such a name counts as a part of another one, too


@dataclass(frozen=True)
class Guard:
    """Test songs, by name and by sound.

    Attributes:
        names: by their letters and digits alone.
        songs: their labels, in the order of `prints`.
        prints: fingerprints.
        folders: names of the folders that they are from.
        id: of all that; scores that were guarded otherwise are checked anew.
    """

    names: dict[str, str] = field(default_factory=dict)
    songs: tuple[str, ...] = ()
    prints: tuple[Landmarks, ...] = ()
    folders: tuple[str, ...] = ()
    id: str = "none"

    def by_name(self, file: SourceFile) -> str | None:
        """Why a file is refused for its name, or its folders'; None if it is not."""
        path = PurePosixPath(file.file)
        for text in (path.stem, *path.parts[:-1], f"{path.parent.name} {path.stem}"):
            plain = plain_name(text)
            for name, song in self.names.items():
                if plain == name or (len(name) >= _LONG and name in plain):
                    return f"named as the test song {song!r}"
        return None

    def by_sound(self, sections: Sequence[Landmarks]) -> str | None:
        """Why a file is refused for how it sounds, a section of it being a test song's."""
        own = len(sections)
        best = None
        for match in matches([*sections, *self.prints], lambda i, j: i < own <= j, own):
            close = match.share >= MATCH_SHARE and match.count >= MATCH_COUNT
            if close and (best is None or match.share > best.share):
                best = match
        if best is None:
            return None
        where = f" around {(best.first + 0.5) * SECTION:.0f} s" if own > 1 else ""
        song = self.songs[best.second - own]
        return f"sounds as the test song {song!r}: {best.share:.0%} of the fingerprint{where}"

    def to_dict(self) -> dict[str, Any]:
        return {"folders": list(self.folders), "songs": len(self.songs), "names": len(self.names)}


def make_guard(
    folders: Sequence[Path],
    *,
    sources: Sequence[str] = (),
    cache: Path | None = None,
    names: bool = True,
    show: Callable[[Iterable[Place]], Iterable[Place]] = iter,
) -> Guard:
    """Fingerprints the songs of folders; with the names of MUSDB18's test songs, always known.

    Args:
        folders: of test songs: `FOLDER/SONG/mixture.wav`, or audio files at any depth.
        sources: names of stems, of which a song without a mixture is made.
        cache: a folder to keep the fingerprints in.
        names: False compares sounds alone.
        show: wraps the songs, to show progress.

    Raises:
        DatasetError: no such folder, none of its songs, or one that cannot be read.
        MissingToolError: a song needs ffmpeg, which is not installed.
    """
    found = [place for folder in folders for place in other_places(folder)]
    places = _songs(found, sources)
    known = {plain_name(name): name for name in TEST_NAMES} if names else {}
    if names:
        known.update({plain_name(_name(place)): _name(place) for place in places})
        known.pop("", None)
    marks = "\n".join(f"{place.label} {_mark(place)}" for place in places)
    number = hashlib.sha256(f"{marks}\n{sorted(known)}".encode(errors="replace")).hexdigest()[:16]
    path = cache / f"guard-{number}.npz" if cache else None
    prints = _load(path, len(places))
    if prints is None:
        prints = [_fingerprint(place) for place in show(places)]
        _save(path, prints)
    return Guard(
        names=known,
        songs=tuple(_name(place) for place in places),
        prints=tuple(prints),
        folders=tuple("/".join(folder.absolute().parts[-2:]) for folder in folders),
        id=number,
    )


def plain_name(name: str) -> str:
    """Letters and digits alone, small and without accents.

    >>> plain_name("Ben Carrigan - We'll Talk.wav")
    'bencarriganwelltalkwav'
    """
    text = unicodedata.normalize("NFKD", name).casefold()
    return re.sub(r"[\W_]+", "", "".join(c for c in text if not unicodedata.combining(c)))


def _songs(places: Sequence[Place], sources: Sequence[str]) -> list[Place]:
    """Loose files of one folder that are named as stems are one song: their sum."""
    stems: dict[Path, dict[str, Source]] = defaultdict(dict)
    for place in places:
        source = place.sources.get(MIXTURE)
        if source is not None and source.path.stem in sources:
            stems[source.path.parent][source.path.stem] = source
    joined = {folder: found for folder, found in stems.items() if len(found) > 1}
    songs = [Place("", folder.name, found) for folder, found in joined.items()]
    for place in places:
        paths = [source.path for source in place.sources.values()]
        if not any(path.stem in joined.get(path.parent, ()) for path in paths):
            songs.append(place)
    return songs


def _name(place: Place) -> str:
    """Of a song; loose files are known by their path."""
    name = PurePosixPath(place.name)
    if name.suffix.lower() not in AUDIO_SUFFIXES:
        return name.name.removesuffix(STEM_SUFFIX)
    return name.stem


def _fingerprint(place: Place) -> Landmarks:
    """Of the mixture, or the sum of the stems."""
    chosen = {k: v for k, v in place.sources.items() if k == MIXTURE} or place.sources
    streams = []
    try:
        for source in chosen.values():
            streams.append(open_stream(source))
        (found,) = section_landmarks(_sums(streams), streams[0].samplerate, _WHOLE) or [_EMPTY]
    except AudioError as error:
        raise DatasetError(
            f"the test song {place.label} cannot be read ({error}): nothing can be guarded "
            "against it; repair it, or take it out of the folder"
        ) from error
    finally:
        for stream in streams:
            stream.close()
    return found


def _sums(streams: Sequence[Stream]) -> Iterator[Tensor]:
    """Blocks `[1, n]`, mono, of all streams together until the last ends."""
    while True:
        blocks = [stream.read(_BLOCK).mean(1) for stream in streams]
        longest = max(len(block) for block in blocks)
        if not longest:
            return
        total = np.zeros(longest, np.float32)
        for block in blocks:
            total[: len(block)] += block
        yield torch.from_numpy(total)[None]


def _mark(place: Place) -> str:
    marks = []
    for name, source in sorted(place.sources.items()):
        facts = source.path.stat()
        marks.append(f"{name} {facts.st_size}/{facts.st_mtime_ns}")
    return ", ".join(marks)


def _load(path: Path | None, count: int) -> list[Landmarks] | None:
    if path is None or not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            return [Landmarks(held[f"marks{k}"], held[f"times{k}"]) for k in range(count)]
    except (OSError, ValueError, KeyError):
        return None


def _save(path: Path | None, prints: Sequence[Landmarks]) -> None:
    if path is None:
        return
    arrays: dict[str, Any] = {f"marks{k}": one.marks for k, one in enumerate(prints)}
    arrays |= {f"times{k}": one.times for k, one in enumerate(prints)}
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)
