"""Parts of the "other" stem: sustained chords, rhythmic chords, arpeggios and lead lines."""

import numpy as np

from demucs.demo_songs import ranges
from demucs.demo_songs.instruments import BEDS, COMPS, LINES, Player
from demucs.demo_songs.mastering import active_rms
from demucs.demo_songs.music import BEATS, Chord, Note, Score
from demucs.demo_songs.space import echo, place
from demucs.demo_songs.tones import Wave, decibels

RHYTHMS = (
    "x...x...x...x...",
    "x..x..x.x..x..x.",
    "x.....x.x.....x.",
    "..x...x...x...x.",
    "x..x....x..x....",
    "x.xx..x.x.xx..x.",
)
SHAPES = ("up", "down", "both", "random")


def voicing(chord: Chord, low: float) -> list[float]:
    """The chord's tones within the octave above `low`, rising: neighbours move little."""
    return sorted(low + (tone - low) % 12 for tone in chord.tones)


def bed_notes(rng: np.random.Generator, score: Score) -> list[Note]:
    """Each chord held until it changes."""
    low = round(float(rng.uniform(*ranges.BED_LOW)))
    notes: list[Note] = []
    for bar, _ in score.playing("bed"):
        whole = score.chord(bar) == score.chord(bar, 2.0)
        for beat, length in ((0.0, 4.0),) if whole else ((0.0, 2.0), (2.0, 2.0)):
            start, end = score.time(bar, beat), score.time(bar, beat + length)
            velocity = float(rng.uniform(0.7, 0.9))
            notes += [
                Note(start, end - start, pitch, velocity)
                for pitch in voicing(score.chord(bar, beat), low)
            ]
    return notes


def comp_notes(rng: np.random.Generator, score: Score, *, strum: float) -> list[Note]:
    """Chords in a rhythm; `strum` is the delay from string to string in seconds."""
    low = round(float(rng.uniform(*ranges.COMP_LOW)))
    rhythms = {"verse": str(rng.choice(RHYTHMS)), "chorus": str(rng.choice(RHYTHMS))}
    held = float(rng.uniform(0.4, 1.0))
    notes: list[Note] = []
    for bar, section in score.playing("comp"):
        rhythm = rhythms["chorus" if section.name == "chorus" else "verse"]
        steps = [k for k, mark in enumerate(rhythm) if mark == "x"]
        for step, following in zip(steps, [*steps[1:], len(rhythm)], strict=True):
            beat = step * BEATS / len(rhythm)
            start = score.time(bar, beat)
            length = held * (score.time(bar, following * BEATS / len(rhythm)) - start)
            velocity = float(np.clip(rng.normal(0.8, 0.1), 0.4, 1.0))
            for k, pitch in enumerate(voicing(score.chord(bar, beat), low)):
                notes.append(Note(start + k * strum, length, pitch, velocity))
    return notes


def arpeggio_notes(rng: np.random.Generator, score: Score) -> list[Note]:
    """Broken chords over two octaves, in eighths or sixteenths."""
    low = round(float(rng.uniform(*ranges.LINE_LOW)))
    shape, step = str(rng.choice(SHAPES)), float(rng.choice((0.5, 0.25)))
    notes: list[Note] = []
    for bar, _ in score.playing("line"):
        for k in range(int(BEATS / step)):
            tones = voicing(score.chord(bar, k * step), low)
            ladder = [*tones, *(tone + 12 for tone in tones[:2])]
            if shape == "both":
                ladder += ladder[-2:0:-1]
            place_in = int(rng.integers(len(ladder))) if shape == "random" else k % len(ladder)
            pitch = ladder[-1 - place_in] if shape == "down" else ladder[place_in]
            start = score.time(bar, k * step)
            length = 0.85 * (score.time(bar, (k + 1) * step) - start)
            notes.append(Note(start, length, pitch, 0.95 if k % 4 == 0 else 0.7))
    return notes


def lead_notes(rng: np.random.Generator, score: Score) -> list[Note]:
    """A wandering line of quarters and eighths with rests."""
    low = round(float(rng.uniform(*ranges.LINE_LOW)))
    ladder = [p for p in range(low, low + 18) if p % 12 in score.scale]
    at, notes = len(ladder) // 2, []
    for bar, _ in score.playing("line"):
        beat = 0.0
        while beat < BEATS:
            length = float(rng.choice((0.5, 1.0, 1.5)))
            at = int(np.clip(at + rng.integers(-2, 3), 0, len(ladder) - 1))
            if rng.random() < 0.75:
                start = score.time(bar, beat)
                end = score.time(bar, beat + 0.9 * length)
                notes.append(Note(start, end - start, float(ladder[at]), 0.85))
            beat += length
    return notes


def play_other(rng: np.random.Generator, score: Score, canvas: Wave, samplerate: int) -> list[str]:
    """Adds the "other" stem to a canvas `[2, T]`; returns the names of the instruments."""
    names: dict[str, str] = {}
    side = float(rng.choice((-1.0, 1.0)))
    for layer, makers in (("bed", BEDS), ("comp", COMPS), ("line", LINES)):
        if not score.playing(layer):
            continue
        free = [name for name in makers if name not in names.values()]
        names[layer] = str(rng.choice(free))
        player = makers[names[layer]](rng, samplerate)
        if layer == "bed":
            notes, pan = bed_notes(rng, score), 0.0
        elif layer == "comp":
            strum = float(rng.uniform(0.004, 0.02)) if names[layer] == "guitar" else 0.0
            notes, pan = comp_notes(rng, score, strum=strum), side * float(rng.uniform(0.1, 0.6))
        else:
            write = arpeggio_notes if rng.random() < 0.65 else lead_notes
            notes, pan = write(rng, score), -side * float(rng.uniform(0.1, 0.6))
        drawn = _render(rng, notes, player, canvas.shape[-1], samplerate, pan)
        if layer == "line" and rng.random() < 0.5:
            drawn = echo(drawn, int(0.75 * score.beat * samplerate), feedback=0.35)
        spread = rng.uniform(-ranges.LAYER_SPREAD_DB, ranges.LAYER_SPREAD_DB)
        level = decibels(ranges.LAYER_LEVEL_DB[layer] + spread)
        canvas += drawn * np.float32(level / max(active_rms(drawn), 1e-9))
    return list(names.values())


def _render(
    rng: np.random.Generator,
    notes: list[Note],
    player: Player,
    frames: int,
    samplerate: int,
    pan: float,
) -> Wave:
    canvas = np.zeros((2, frames), dtype=np.float32)
    for note in notes:
        start = int(max(0.0, note.start + rng.normal(0.0, 0.004)) * samplerate)
        if start < frames:
            place(canvas, player(note), start, gain=note.velocity, pan=pan)
    return canvas
