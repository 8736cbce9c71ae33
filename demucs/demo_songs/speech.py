"""From syllables to the tracks that steer the voice, one value for each frame of 6 ms."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from demucs.demo_songs.melody import Phrase, Syllable

FRAME = 256 / 44100  # seconds
LEAD_IN = 0.35  # seconds before the first syllable, for the breath
LEAD_OUT = 0.2

Track = npt.NDArray[np.float64]

# Resonances F1..F3 of a man's vocal tract, Hz (Peterson and Barney, JASA 24, 1952).
VOWEL_FORMANTS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "ae": (660, 1720, 2410),
    "uh": (640, 1190, 2390),
    "er": (490, 1350, 1690),
}
SONORANT_FORMANTS = {
    "m": (250, 1000, 2200),
    "n": (270, 1500, 2400),
    "l": (360, 1300, 2700),
    "w": (300, 650, 2200),
}
UPPER_FORMANTS = (3500.0, 4500.0)
# Noise of a consonant: centre in Hz, width in octaves, loudness, seconds.
FRICATIVES = {
    "s": (7000.0, 0.45, 1.0, 0.1),
    "sh": (3600.0, 0.5, 1.0, 0.1),
    "f": (6000.0, 1.3, 0.45, 0.08),
}
PLOSIVES = {
    "t": (5000.0, 0.8, 1.2, 0.02),
    "k": (2200.0, 0.6, 1.2, 0.025),
    "p": (900.0, 1.0, 0.9, 0.018),
}
CLOSURE = 0.045  # seconds of silence before a burst


@dataclass(frozen=True, slots=True)
class Manner:
    """How a singer sings: times in seconds, pitch in semitones."""

    portamento: float
    vibrato_depth: float
    vibrato_rate: float
    scoop: float


@dataclass(frozen=True, slots=True)
class Tracks:
    """What steers the synthesis, `[N]` each, formants `[N, 5]`; amplitudes are linear."""

    start: float
    pitch: Track
    voiced: Track
    breath: Track
    hiss: Track
    hiss_centre: Track
    hiss_width: Track
    formants: Track


def speak(rng: np.random.Generator, phrase: Phrase, manner: Manner) -> Tracks:
    """Lays the syllables of a phrase on tracks and smooths them."""
    first, last = phrase.syllables[0], phrase.syllables[-1]
    begin = first.start - LEAD_IN
    frames = int((last.end + LEAD_OUT - begin) / FRAME) + 2
    zeros = np.zeros(frames)
    tracks = Tracks(
        start=begin,
        pitch=np.full(frames, first.pitch - manner.scoop),
        voiced=zeros.copy(),
        breath=zeros.copy(),
        hiss=zeros.copy(),
        hiss_centre=np.full(frames, 4000.0),
        hiss_width=np.full(frames, 1.0),
        formants=np.tile(_resonances(VOWEL_FORMANTS["uh"]), (frames, 1)),
    )
    vibrato = zeros.copy()
    ends = [s.start for s in phrase.syllables[1:]] + [last.end]
    for syllable, following in zip(phrase.syllables, ends, strict=True):
        legato = following - syllable.end < 0.05
        end = following if legato else syllable.end
        _lay(tracks, vibrato, syllable, end)
    inhale = slice(int(0.05 / FRAME), int(0.25 / FRAME))
    tracks.breath[inhale] = 2.0 * np.hanning(inhale.stop - inhale.start)
    tracks.pitch[:] = _smooth(tracks.pitch, manner.portamento)
    times = np.arange(frames) * FRAME
    turn = np.sin(2 * np.pi * (manner.vibrato_rate * times + rng.random()))
    drift = _smooth(rng.normal(0.0, 1.0, frames), 0.25)
    tracks.pitch[:] += manner.vibrato_depth * vibrato * turn + 0.4 * drift
    tracks.voiced[:] = _smooth(tracks.voiced, 0.035)
    tracks.breath[:] = _smooth(tracks.breath, 0.035)
    tracks.hiss[:] = _smooth(tracks.hiss, 0.012)
    tracks.formants[:] = np.stack([_smooth(f, 0.07) for f in tracks.formants.T], axis=1)
    return tracks


def _lay(tracks: Tracks, vibrato: Track, syllable: Syllable, end: float) -> None:
    """Writes one syllable onto the tracks, its consonant before the vowel."""
    frames = len(tracks.pitch)
    start = _frame(tracks, syllable.start)
    stop = min(max(_frame(tracks, end), start + 4), frames)
    tracks.pitch[start:] = syllable.pitch
    glide = np.clip((np.linspace(0.0, 1.0, stop - start) - 0.5) / 0.3, 0.0, 1.0)[:, None]
    before, after = (_resonances(VOWEL_FORMANTS[vowel]) for vowel in syllable.vowels)
    tracks.formants[start:stop] = (1.0 - glide) * before + glide * after
    tracks.voiced[start:stop] = syllable.velocity * np.linspace(1.0, 0.8, stop - start)
    tracks.breath[start:stop] = syllable.velocity
    late = np.arange(stop - start) * FRAME
    vibrato[start:stop] = np.clip((late - 0.2) / 0.3, 0.0, 1.0)
    _consonant(tracks, syllable, start)


def _consonant(tracks: Tracks, syllable: Syllable, start: int) -> None:
    name, loud = syllable.consonant, syllable.velocity
    if name in FRICATIVES:
        centre, width, level, length = FRICATIVES[name]
        part = slice(max(start - int(0.5 * length / FRAME), 0), start + int(0.5 * length / FRAME))
        silent = part
    elif name in PLOSIVES:
        centre, width, level, length = PLOSIVES[name]
        part = slice(start, start + max(2, round(length / FRAME)))
        silent = slice(max(start - int(CLOSURE / FRAME), 0), part.stop)
    elif name in SONORANT_FORMANTS:
        part = slice(max(start - int(0.03 / FRAME), 0), start + int(0.05 / FRAME))
        tracks.formants[part] = _resonances(SONORANT_FORMANTS[name])
        tracks.voiced[part] = 0.45 * loud
        return
    elif name == "h":
        part = slice(max(start - int(0.04 / FRAME), 0), start + int(0.04 / FRAME))
        tracks.voiced[part] = 0.0
        tracks.breath[part] = 4.0 * loud
        return
    else:
        return
    tracks.voiced[silent] = 0.0
    tracks.breath[silent] = 0.0
    tracks.hiss[part] = level * loud
    tracks.hiss_centre[part] = centre
    tracks.hiss_width[part] = width


def _frame(tracks: Tracks, seconds: float) -> int:
    return max(0, round((seconds - tracks.start) / FRAME))


def _resonances(lower: tuple[int, ...]) -> Track:
    """F1..F5 `[5]` in Hz."""
    return np.array([*lower, *UPPER_FORMANTS], dtype=float)


def _smooth(track: Track, seconds: float) -> Track:
    """Weighted average over a Hann window of `seconds`."""
    window = np.hanning(2 * max(1, round(seconds / FRAME / 2)) + 3)[1:-1]
    smoothed: Track = ndimage.convolve1d(track, window / window.sum(), mode="nearest")
    return smoothed
