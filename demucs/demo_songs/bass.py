"""The bass: lines that follow the chords, and its timbres."""

from collections.abc import Callable

import numpy as np

from demucs.demo_songs import ranges
from demucs.demo_songs.music import Note, Score
from demucs.demo_songs.space import place
from demucs.demo_songs.tones import (
    Wave,
    adsr,
    decay,
    hertz,
    oscillate_sweep,
    seconds_axis,
    sine,
    sweep_tables,
)

# (beat, length in beats, what): r root, f fifth, o octave, t third, a step towards the next root.
LINES: dict[str, tuple[tuple[tuple[float, float, str], ...], ...]] = {
    "roots": (
        ((0, 2, "r"), (2, 2, "r")),
        ((0, 3, "r"), (3, 1, "f")),
        ((0, 1.5, "r"), (1.5, 2.5, "r")),
    ),
    "eighths": (
        tuple((k / 2, 0.45, "r") for k in range(8)),
        (*((k / 2, 0.45, "r") for k in range(6)), (3, 0.45, "f"), (3.5, 0.45, "a")),
    ),
    "walking": (
        ((0, 0.9, "r"), (1, 0.9, "t"), (2, 0.9, "f"), (3, 0.9, "a")),
        ((0, 0.9, "r"), (1, 0.9, "f"), (2, 0.9, "o"), (3, 0.9, "a")),
    ),
    "octaves": (
        tuple((k / 2, 0.4, "o" if k % 2 else "r") for k in range(8)),
        ((0, 0.7, "r"), (0.75, 0.4, "o"), (2, 0.7, "r"), (2.75, 0.4, "o"), (3.5, 0.4, "f")),
    ),
    "syncopated": (
        ((0, 0.7, "r"), (0.75, 0.7, "r"), (2.5, 0.4, "f"), (3, 0.9, "r")),
        ((0, 1.3, "r"), (1.5, 0.9, "r"), (2.75, 0.4, "o"), (3.25, 0.6, "a")),
    ),
}


def bass_notes(rng: np.random.Generator, score: Score) -> list[Note]:
    """The bass part of a song."""
    low = float(rng.uniform(*ranges.BASS_LOW))
    names = [str(name) for name in rng.choice(list(LINES), size=2)]
    notes = []
    for bar, section in score.playing("bass"):
        line = LINES[names[section.name == "chorus"]]
        for beat, length, note in line[int(rng.integers(len(line)))]:
            chord = score.chord(bar, beat)
            root = low + (chord.root - low) % 12
            if note == "a":
                following = low + (score.chord(bar + 1).root - low) % 12
                pitch = following + float(rng.choice((-1, 1, -2, 2)))
            else:
                step = {"r": 0, "o": 12, "t": chord.tones[1], "f": chord.tones[2]}[note]
                pitch = root + (step if note in "ro" else (step - chord.root) % 12)
            start = score.time(bar, beat)
            end = score.time(bar, beat + length)
            velocity = float(np.clip(rng.normal(0.85, 0.08), 0.4, 1.0))
            notes.append(Note(start, end - start, pitch, velocity))
    return notes


def play_bass(rng: np.random.Generator, score: Score, canvas: Wave, samplerate: int) -> None:
    """Adds the bass stem to a canvas `[2, T]`."""
    play = make_bass(rng, samplerate)
    pan = float(rng.uniform(-0.1, 0.1))
    for note in bass_notes(rng, score):
        start = int((note.start + rng.normal(0.0, 0.003)) * samplerate)
        place(canvas, play(note), max(start, 0), gain=note.velocity, pan=pan)


def make_bass(rng: np.random.Generator, samplerate: int) -> Callable[[Note], Wave]:
    """A bass timbre: a function from a note to its wave `[T]`."""
    kind = str(rng.choice(("finger", "pick", "saw", "square", "sub", "fm")))
    dark = float(rng.uniform(90.0, 180.0))
    bright = float(rng.uniform(2.5, 6.0)) * dark * (1.6 if kind == "pick" else 1.0)
    sweep = float(rng.uniform(0.08, 0.3))
    ring = float(rng.uniform(0.5, 1.2))
    drive = float(rng.uniform(0.6, 2.0))
    cutoffs = np.geomspace(dark, bright, 6)
    harmonics = np.arange(1, 41)
    law = 1.0 / harmonics
    if kind == "square":
        law = law * (harmonics % 2 + 0.15)
    elif kind in ("finger", "pick"):
        law = np.abs(np.sin(np.pi * harmonics * float(rng.uniform(0.12, 0.3)))) / harmonics

    def play(note: Note) -> Wave:
        frames = max(int((note.length + 0.03) * samplerate), 64)
        times = seconds_axis(frames, samplerate)
        frequency = hertz(note.pitch)
        plucked = kind in ("finger", "pick", "fm")
        envelope = adsr(
            frames,
            samplerate,
            attack=0.004 if plucked else 0.008,
            fall=ring if plucked else 0.25,
            sustain=0.0 if plucked else 0.75,
            release=0.03,
        )
        if kind == "fm":
            index = 1.8 * decay(frames, sweep, samplerate)
            wave = sine(frequency * times + 0.16 * index * sine(2.0 * frequency * times))
        elif kind == "sub":
            wave = np.tanh(1.6 * drive * sine(frequency * times)).astype(np.float32)
        else:
            tables = sweep_tables(law, frequency, cutoffs, samplerate)
            position = note.velocity * decay(frames, sweep, samplerate)
            wave = oscillate_sweep(tables, frequency * times, position)
            wave = np.tanh(drive * wave).astype(np.float32)
        played: Wave = wave * envelope
        return played

    return play
