"""The melody of the voice: phrases of syllables with pitches, and rests between them."""

from dataclasses import dataclass, replace

import numpy as np

from demucs.demo_songs import ranges
from demucs.demo_songs.music import BEATS, Score

VOWELS = ("a", "e", "i", "o", "u", "ae", "uh", "er")
# None is a syllable that starts with its vowel.
CONSONANTS = ("s", "sh", "f", "t", "k", "p", "h", "m", "n", "l", "w", "")
PHRASE_BARS = 2

Rhythm = tuple[tuple[float, float], ...]  # (beat, length in beats) of each syllable


@dataclass(frozen=True, slots=True)
class Syllable:
    """A sung note: seconds, MIDI pitch, velocity 0..1, and a glide between two vowels."""

    start: float
    length: float
    pitch: float
    velocity: float
    consonant: str
    vowels: tuple[str, str]

    @property
    def end(self) -> float:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Phrase:
    """Syllables sung in one breath."""

    section: str
    syllables: tuple[Syllable, ...]


def sung_phrases(rng: np.random.Generator, score: Score, low: float) -> list[Phrase]:
    """The vocal line of a song; its range starts at the MIDI pitch `low`."""
    top = low + ranges.VOICE_SPAN
    ladder = [float(p) for p in range(round(low), round(top) + 1) if p % 12 in score.scale]
    rhythms: dict[tuple[str, int, int], Rhythm] = {}
    phrases: list[Phrase] = []
    for section in score.sections:
        if "vocals" not in section.layers:
            continue
        at = len(ladder) // (2 if section.name == "chorus" else 3)
        for number, bar in enumerate(range(section.start, section.end, PHRASE_BARS)):
            bars = min(PHRASE_BARS, section.end - bar)
            key = (section.name, number % 2, bars)
            if key not in rhythms:
                rhythms[key] = _rhythm(rng, bars * BEATS)
            syllables, at = _phrase(rng, score, bar, rhythms[key], ladder, at)
            phrases.append(Phrase(section.name, syllables))
    return phrases


def harmonize(phrase: Phrase, score: Score, late: float) -> Phrase:
    """The phrase a third higher in the scale, `late` seconds later."""
    scale = score.scale
    moved = []
    for syllable in phrase.syllables:
        degree = scale.index(int(syllable.pitch) % 12)
        step = (scale[(degree + 2) % 7] - scale[degree]) % 12
        moved.append(replace(syllable, pitch=syllable.pitch + step, start=syllable.start + late))
    return Phrase(phrase.section, tuple(moved))


def _rhythm(rng: np.random.Generator, beats: int) -> Rhythm:
    """Syllables from somewhere in the first beat until a rest of up to two beats at the end."""
    beat = float(rng.choice((0.0, 0.0, 0.5, 1.0)))
    end = beats - float(rng.uniform(0.6, 2.0 if beats > BEATS else 1.2))
    rhythm = []
    while beat < end:
        length = float(rng.choice((0.5, 1.0, 1.5, 2.0), p=(0.5, 0.3, 0.12, 0.08)))
        if end - beat - length < 0.5:  # the last syllable is held
            length = end - beat
        rhythm.append((beat, length))
        beat += length
    return tuple(rhythm)


def _phrase(
    rng: np.random.Generator,
    score: Score,
    bar: int,
    rhythm: Rhythm,
    ladder: list[float],
    at: int,
) -> tuple[tuple[Syllable, ...], int]:
    """A walk on the ladder of scale tones; strong beats prefer tones of the chord."""
    syllables = []
    for beat, length in rhythm:
        at = int(np.clip(at + rng.choice((-2, -1, -1, 0, 1, 1, 2, 3)), 0, len(ladder) - 1))
        if beat % 1 == 0 and rng.random() < 0.7:
            tones = score.chord(bar, beat).tones
            inside = [k for k, pitch in enumerate(ladder) if pitch % 12 in tones]
            at = min(inside, key=lambda k: abs(k - at), default=at)
        vowels = [str(vowel) for vowel in rng.choice(VOWELS, size=2)]
        if length < 1.0 or rng.random() < 0.6:
            vowels[1] = vowels[0]
        start = score.time(bar, beat)
        syllables.append(
            Syllable(
                start=start,
                length=(score.time(bar, beat + length) - start) * float(rng.uniform(0.88, 1.0)),
                pitch=ladder[at],
                velocity=float(np.clip(rng.normal(0.85, 0.1), 0.5, 1.0)),
                consonant=str(rng.choice(CONSONANTS)),
                vowels=(vowels[0], vowels[1]),
            )
        )
    return tuple(syllables), at
