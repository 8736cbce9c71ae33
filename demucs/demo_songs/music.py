"""Composition: tempo, key, chords and sections of a song. Nothing here makes a sound."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from demucs.demo_songs import ranges

BEATS = 4  # of a bar
LAYERS = ("drums", "bass", "bed", "comp", "line", "vocals")
PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
# Degrees of the scale (0 is the tonic), one chord a bar.
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 3), (1, 4, 0, 5), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 6, 5, 6), (0, 3, 6, 2), (0, 3, 4, 0), (5, 6, 0, 0)),
    "dorian": ((0, 3, 0, 3), (0, 6, 3, 0), (0, 2, 3, 6)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 3), (0, 4, 6, 3)),
}
# What may play where the voice rests, or in a break.
INTROS = (
    "bed comp",
    "drums bass comp",
    "drums comp line",
    "bass bed line",
    "bed line",
    "bass comp",
)
BREAKS = ("bed comp vocals", "drums bass comp line", "drums bass vocals", "bed line", "drums bass")


@dataclass(frozen=True, slots=True)
class Note:
    """A tone to play: start and length in seconds, pitch as a MIDI number, velocity 0..1."""

    start: float
    length: float
    pitch: float
    velocity: float


@dataclass(frozen=True, slots=True)
class Chord:
    """Pitch classes (0 is C), the root first."""

    tones: tuple[int, ...]

    @property
    def root(self) -> int:
        return self.tones[0]


@dataclass(frozen=True, slots=True)
class Section:
    """Bars `start` to `start + bars - 1`, and which layers play there."""

    name: str
    start: int
    bars: int
    layers: frozenset[str]

    @property
    def end(self) -> int:
        return self.start + self.bars


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What all instruments share.

    Attributes:
        seconds: length of the song.
        tempo: beats per minute.
        swing: where the second half of a beat starts, 0.5 for straight time.
        tonic: pitch class.
        mode: a key of `MODES`.
        chords: two for each bar, one for each half.
        sections: in order, without gaps.
    """

    seconds: float
    tempo: float
    swing: float
    tonic: int
    mode: str
    chords: tuple[Chord, ...]
    sections: tuple[Section, ...]

    @property
    def beat(self) -> float:
        """Seconds of a beat."""
        return 60.0 / self.tempo

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the key, from the tonic."""
        return tuple((self.tonic + step) % 12 for step in MODES[self.mode])

    def time(self, bar: int, beat: float) -> float:
        """Seconds of a beat (0 is the first) of a bar, with swing."""
        whole = int(beat // 1)
        part = beat - whole
        half = self.swing
        swung = 2 * half * part if part < 0.5 else half + (2 * part - 1) * (1 - half)
        return (bar * BEATS + whole + swung) * self.beat

    def chord(self, bar: int, beat: float = 0.0) -> Chord:
        """The chord that sounds there; past the end, the last one."""
        return self.chords[min(bar * 2 + int(beat // 2), len(self.chords) - 1)]

    def playing(self, layer: str) -> list[tuple[int, Section]]:
        """Bars in which a layer plays, each with its section."""
        return [
            (bar, section)
            for section in self.sections
            if layer in section.layers
            for bar in range(section.start, section.end)
        ]


def compose(rng: np.random.Generator, seconds: float) -> Score:
    """Draws the plan of a song of the given length."""
    tempo = float(rng.uniform(*ranges.TEMPO_BPM))
    swing = float(rng.uniform(*ranges.SWING)) if rng.random() < ranges.SWING_SHARE else 0.5
    tonic, mode = int(rng.integers(12)), str(rng.choice(list(MODES), p=(0.35, 0.35, 0.15, 0.15)))
    bars = max(1, ceil(seconds * tempo / 60.0 / BEATS))
    sections = _sections(rng, bars)
    return Score(
        seconds=seconds,
        tempo=tempo,
        swing=swing,
        tonic=tonic,
        mode=mode,
        chords=_chords(rng, sections, tonic, mode),
        sections=sections,
    )


def _sections(rng: np.random.Generator, bars: int) -> tuple[Section, ...]:
    everything = set(LAYERS) if rng.random() < 0.6 else set(LAYERS) - {"line"}
    if bars < 6:
        return (Section("chorus", 0, bars, frozenset(everything)),)
    sections: list[Section] = []

    def add(name: str, length: int, layers: set[str]) -> None:
        start = sections[-1].end if sections else 0
        if start < bars:
            kept = frozenset(layers & everything)
            sections.append(Section(name, start, min(length, bars - start), kept))

    if rng.random() < ranges.INTRO_SHARE:
        add("intro", int(rng.choice((1, 2))), set(str(rng.choice(INTROS)).split()))
    first = True
    while not sections or sections[-1].end < bars:
        sparse = {"bed"} if rng.random() < 0.5 else {"line"}
        if not first and rng.random() < 0.4:
            sparse = {str(rng.choice(("drums", "bass", "comp")))}
        add("verse", 4, set(LAYERS) - sparse)
        add("chorus", 4, set(LAYERS))
        add("break", 2, set(str(rng.choice(BREAKS)).split()))
        first = False
    return tuple(sections)


def _chords(
    rng: np.random.Generator, sections: tuple[Section, ...], tonic: int, mode: str
) -> tuple[Chord, ...]:
    size = 4 if rng.random() < 0.35 else 3
    fast = rng.random() < 0.25
    choice = PROGRESSIONS[mode]
    verse, chorus = (choice[int(i)] for i in rng.integers(len(choice), size=2))
    chords: list[Chord] = []
    for section in sections:
        degrees = chorus if section.name == "chorus" else verse
        for half in range(2 * section.bars):
            degree = degrees[(half if fast else half // 2) % len(degrees)]
            steps = [MODES[mode][(degree + 2 * k) % 7] for k in range(size)]
            chords.append(Chord(tuple((tonic + step) % 12 for step in steps)))
    return tuple(chords)
