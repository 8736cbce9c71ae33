"""Candidates for training data: the songs that files could give, and those that are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from demucs.blind.distil.entry import Entry, Scored
from demucs.blind.distil.selection import Candidate, Rule, Selection, select, value_of
from demucs.blind.distil.sources import SourceFile


@dataclass(frozen=True)
class Song:
    """An excerpt that was judged, and the file that it is from."""

    name: str
    file: SourceFile
    entry: Entry
    scored: Scored
    seconds: float
    value: float | None


@dataclass(frozen=True)
class Survey:
    """All of a folder, after the first stage.

    Attributes:
        files: with their entries, in order.
        songs: by name.
        again: files, by `SourceFile.file`, that sound exactly as an earlier one.
        selection: what is kept.
    """

    files: Sequence[tuple[SourceFile, Entry]]
    songs: Mapping[str, Song]
    again: Mapping[str, str]
    selection: Selection
    rule: Rule
    kept: tuple[Song, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", tuple(self.songs[n] for n in self.selection.kept))


def survey(files: Sequence[tuple[SourceFile, Entry]], samplerate: int, rule: Rule) -> Survey:
    """Selects among the excerpts of all files; files of the same samples count once."""
    first: dict[str, str] = {}
    again: dict[str, str] = {}
    songs: dict[str, Song] = {}
    for file, entry in files:
        if entry.skipped is not None or entry.audio_sha256 is None:
            continue
        if first.setdefault(entry.audio_sha256, file.file) != file.file:
            again[file.file] = first[entry.audio_sha256]
            continue
        for scored in entry.excerpts:
            if scored.skipped is None:
                name = scored.excerpt.name(file.name)
                seconds = scored.excerpt.frames / samplerate
                songs[name] = Song(name, file, entry, scored, seconds, value_of(scored, rule))
    candidates = [Candidate(scored.name, scored.seconds, scored.value) for scored in songs.values()]
    return Survey(files, songs, again, select(candidates, rule), rule)
