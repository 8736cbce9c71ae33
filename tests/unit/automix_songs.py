"""Songs of known tempo, bars and key: every instrument plays on every beat."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 22050
STEMS = ("drums", "bass", "other", "vocals")
MAJOR = (0, 2, 4, 5, 7, 9, 11)
CHORDS = ((0, 4, 7), (5, 9, 0), (7, 11, 2), (0, 4, 7))  # I IV V I, a bar each
# (tempo, tonic, seconds before the first beat)
SONGS = ((100.0, 0, 0.3), (104.0, 1, 0.1), (97.0, 11, 0.45), (108.0, 2, 0.2), (93.0, 10, 0.37))


def struck(pitch: float, seconds: float, fall: float = 0.15) -> NDArray[np.float64]:
    """A tone `[T]` of four harmonics with a sharp start; `pitch` is a MIDI number."""
    time = np.arange(round(seconds * RATE)) / RATE
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    tone = sum(np.sin(2 * np.pi * k * frequency * time) / k for k in range(1, 5))
    return np.asarray(tone * np.exp(-time / fall))


def make_song(
    tempo: float, tonic: int, lead: float, seconds: float = 20.0, cents: float = 0.0
) -> dict[str, NDArray[np.float32]]:
    """Stems `[T]`."""
    rng = np.random.default_rng(int(tempo * 10) + tonic)
    stems = {stem: np.zeros(round(seconds * RATE)) for stem in STEMS}

    def add(stem: str, start: float, wave: NDArray[np.float64], gain: float) -> None:
        place = round(start * RATE)
        room = stems[stem][place : place + len(wave)]
        room += gain * wave[: len(room)]

    beat = 60 / tempo
    low = 36 + tonic % 12 + cents / 100
    for count, start in enumerate(np.arange(lead, seconds - 0.05, beat)):
        chord = CHORDS[count // 4 % 4]
        hit = rng.standard_normal(round(0.08 * RATE)) * np.exp(-np.arange(round(0.08 * RATE)) / 300)
        add("drums", start, hit, 0.15)
        if count % 4 == 0:
            add("drums", start, struck(30.0, 0.2, 0.05), 0.4)
        add("bass", start, struck(low + chord[0], beat * 0.9), 0.15)
        for tone in chord:
            add("other", start, struck(low + 24 + tone, beat * 0.9), 0.06)
        add("vocals", start, struck(low + 36 + MAJOR[int(rng.integers(7))], beat * 0.9), 0.1)
    return {stem: wave.astype(np.float32) for stem, wave in stems.items()}


def write_songs(root: Path, split: str = "train", seconds: float = 20.0) -> Path:
    """`SONGS` as a dataset, in stereo; the first half of a song's name is its number."""
    for number, (tempo, tonic, lead) in enumerate(SONGS):
        folder = root / split / f"{number} at {tempo:g}"
        folder.mkdir(parents=True)
        for stem, wave in make_song(tempo, tonic, lead, seconds).items():
            soundfile.write(str(folder / f"{stem}.wav"), np.stack([wave, wave], 1), RATE, "PCM_16")
    return root
