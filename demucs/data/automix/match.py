"""Matching stems of different songs: the plan of a new song.

One song, the host, gives the beat, the key, the balance and one stem. Every other stem comes from
another song, whose tempo and key a small change brings to the host's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from demucs.data.automix.analysis import UNPITCHED, Analysis
from demucs.data.automix.bars import BEATS
from demucs.data.automix.key import transposition
from demucs.data.automix.onsets import Array
from demucs.errors import ConfigError

# Beats of the host, and beats of the other song in the same time.
RATIOS = ((1, 1), (1, 2), (2, 1))
ATTEMPTS = 20  # at finding partners that do not exclude each other
STRAY = 5.0  # percent by which the tempo of a single bar may be further off
BUSY = 0.1  # how much less than in its busiest excerpt a stem may play in the one that is drawn


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a stem may be changed, and what is not worth using.

    Attributes:
        tempo: largest change, percent.
        semitones: largest transposition.
        likeness: smallest correlation of the chromas after it.
        clarity: of a song's pulse, 0..1; a song below has no beat to speak of.
        min_seconds: shortest new song.
        max_seconds: longest new song.
    """

    tempo: float = 12.0
    semitones: int = 3
    likeness: float = 0.5
    clarity: float = 0.1
    min_seconds: float = 12.0
    max_seconds: float = 600.0

    def __post_init__(self) -> None:
        if not 0 <= self.tempo <= 40:
            raise ConfigError(f"tempo={self.tempo} percent is no limit: give 0 to 40")
        if not 0 <= self.semitones <= 6:
            raise ConfigError(f"semitones={self.semitones} is no limit: give 0 to 6")
        if not -1 <= self.likeness <= 1:
            raise ConfigError(f"likeness={self.likeness} is no correlation: give -1 to 1")
        if not 0 <= self.clarity < 1:
            raise ConfigError(f"clarity={self.clarity} is no limit: give 0 to 1")
        if not 0 < self.min_seconds <= self.max_seconds:
            raise ConfigError(
                f"min_seconds={self.min_seconds} and max_seconds={self.max_seconds}: "
                "need 0 < min_seconds <= max_seconds"
            )


@dataclass(frozen=True, kw_only=True)
class Part:
    """A stem of the new song, and where it comes from.

    Attributes:
        stem: its name.
        song: the song it comes from.
        fingerprint: of that song's files.
        start: the first beat that is used.
        step: beats of that song for `host_step` beats of the host.
        host_step: 1 or 2.
        tempo: change in percent, on average.
        semitones: change of pitch.
        likeness: correlation of the two songs' chromas after it; 1 where none is needed.
        gain: linear; brings the stem to the level that it has in the host.
    """

    stem: str
    song: str
    fingerprint: str
    start: int
    step: int = 1
    host_step: int = 1
    tempo: float = 0.0
    semitones: int = 0
    likeness: float = 1.0
    gain: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A new song: `beats` beats of the host from beat `start`, with the seed it was drawn from."""

    name: str
    host: str
    seed: int
    index: int
    start: int
    beats: int
    tempo: float
    key: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class _Fit:
    """How a song can follow a host: the steps, semitones, likeness, percent, beats of the host."""

    host_step: int
    step: int
    tempo: float
    semitones: int
    likeness: float
    room: int


def usable(analysis: Analysis, limits: Limits) -> bool:
    """Whether a song has a beat, and is long enough."""
    bars = (len(analysis.beats) - 1 - analysis.downbeat) // BEATS
    return (
        analysis.tempo > 0
        and analysis.clarity >= limits.clarity
        and bars * BEATS * analysis.period >= limits.min_seconds
    )


def plan_song(
    host: str,
    songs: Mapping[str, Analysis],
    stems: Sequence[str],
    limits: Limits,
    *,
    seed: int,
    index: int,
) -> Plan | None:
    """Draws the new song number `index` of a host; None if there are no partners for it.

    It depends on the arguments alone.

    Args:
        host: name of the host.
        songs: usable songs by name, with the host.
        stems: names, in order.
        limits: how far stems may be changed.
        seed: another seed draws other songs.
        index: from 0.
    """
    key = int.from_bytes(sha256(host.encode()).digest()[:8], "big")
    rng = np.random.default_rng(np.random.SeedSequence((seed, key, index)))
    for _ in range(ATTEMPTS):
        drawn = _draw(rng, host, songs, stems, limits)
        if drawn is None:
            continue
        own, fits = drawn
        beats = _length(songs[host], fits.values(), limits)
        start = _excerpt(rng, songs[host], own, beats)
        parts = [_own_part(songs[host], host, own, start)]
        for stem, (song, fit) in fits.items():
            parts.append(_part(rng, songs[host], songs[song], stem, song, fit, beats))
        steady = all(_steady(songs[host], start, beats, songs[p.song], p, limits) for p in parts)
        if steady:
            return Plan(
                name=f"{host} (automix {seed}-{index + 1})",
                host=host,
                seed=seed,
                index=index,
                start=start,
                beats=beats,
                tempo=songs[host].tempo,
                key=songs[host].key,
                parts=tuple(sorted(parts, key=lambda part: stems.index(part.stem))),
            )
    return None


def knots(
    host: Analysis, start: int, beats: int, source: Analysis, part: Part
) -> tuple[Array, Array]:
    """Seconds in the source, and in the host, that belong together; both `[beats + 1]` or less."""
    count = beats // part.host_step + 1
    steps = np.arange(count)
    return (
        np.array(source.beats)[part.start + steps * part.step],
        np.array(host.beats)[start + steps * part.host_step],
    )


def _draw(
    rng: np.random.Generator,
    host: str,
    songs: Mapping[str, Analysis],
    stems: Sequence[str],
    limits: Limits,
) -> tuple[str, dict[str, tuple[str, _Fit]]] | None:
    """The host's own stem, and for each other one a song that no other stem comes from."""
    order = [stems[i] for i in rng.permutation(len(stems))]
    own = next((stem for stem in order if songs[host].levels[stem] > 0), None)
    if own is None:
        return None
    fits: dict[str, tuple[str, _Fit]] = {}
    names = sorted(songs)
    for stem in order:
        if stem == own:
            continue
        taken = {host, *(song for song, _ in fits.values())}
        for i in rng.permutation(len(names)):
            song = names[i]
            if song in taken or songs[song].levels[stem] == 0:
                continue
            fit = _fit(songs[host], songs[song], stem, limits)
            if fit is not None:
                fits[stem] = (song, fit)
                break
        else:
            return None
    return own, fits


def _fit(host: Analysis, song: Analysis, stem: str, limits: Limits) -> _Fit | None:
    """How a stem of a song can follow the host, if it can within the limits."""
    changes = {
        (host_step, step): (song.period * step / (host.period * host_step) - 1) * 100
        for host_step, step in RATIOS
    }
    (host_step, step), tempo = min(changes.items(), key=lambda item: abs(item[1]))
    if abs(tempo) > limits.tempo:
        return None
    room = (len(song.beats) - 1 - song.downbeat) * host_step // step
    if room // BEATS * BEATS * host.period < limits.min_seconds:
        return None
    if stem in UNPITCHED:
        return _Fit(host_step, step, tempo, 0, 1.0, room)
    moved = transposition(np.array(song.chroma), np.array(host.chroma))
    if moved is None or moved.likeness < limits.likeness:
        return None
    if abs(moved.semitones) > limits.semitones:
        return None
    return _Fit(host_step, step, tempo, moved.semitones, moved.likeness, room)


def _length(host: Analysis, fits: Iterable[tuple[str, _Fit]], limits: Limits) -> int:
    """Beats of the host that all have: whole bars."""
    room = min([len(host.beats) - 1 - host.downbeat, *(fit.room for _, fit in fits)])
    bars = min(room // BEATS, int(limits.max_seconds / host.period) // BEATS)
    return max(bars, 1) * BEATS


def _own_part(host: Analysis, name: str, stem: str, start: int) -> Part:
    return Part(stem=stem, song=name, fingerprint=host.fingerprint, start=start)


def _part(
    rng: np.random.Generator,
    host: Analysis,
    song: Analysis,
    stem: str,
    name: str,
    fit: _Fit,
    beats: int,
) -> Part:
    return Part(
        stem=stem,
        song=name,
        fingerprint=song.fingerprint,
        start=_excerpt(rng, song, stem, beats // fit.host_step * fit.step),
        step=fit.step,
        host_step=fit.host_step,
        tempo=round(fit.tempo, 3),
        semitones=fit.semitones,
        likeness=round(fit.likeness, 3),
        gain=round(_gain(host, song, stem), 4),
    )


def _excerpt(rng: np.random.Generator, song: Analysis, stem: str, beats: int) -> int:
    """A first beat, on a bar, from where the stem plays about as much as it can in `beats`."""
    starts = np.arange(song.downbeat, max(len(song.beats) - beats, song.downbeat + 1), BEATS)
    played = np.concatenate([[0], np.cumsum(song.playing(stem))])
    ends = np.minimum(starts + beats, len(played) - 1)
    share = (played[ends] - played[starts]) / beats
    return int(rng.choice(starts[share >= share.max() - BUSY]))


def _gain(host: Analysis, song: Analysis, stem: str) -> float:
    """Linear; where the host lacks the stem, what brings the whole song to the host's level."""
    if host.levels[stem] > 0:
        return host.levels[stem] / song.levels[stem]
    whole = [float(np.linalg.norm(list(piece.levels.values()))) for piece in (host, song)]
    return whole[0] / whole[1]


def _steady(
    host: Analysis, start: int, beats: int, song: Analysis, part: Part, limits: Limits
) -> bool:
    """Whether no bar needs much more of a change than the song as a whole."""
    source, target = knots(host, start, beats, song, part)
    bars = slice(None, None, BEATS // part.host_step)
    change = np.diff(source[bars]) / np.diff(target[bars]) - 1
    return bool(np.abs(change).max(initial=0) * 100 <= limits.tempo + STRAY)
