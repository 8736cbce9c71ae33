"""The singer: a glottal-like source and noise, shaped by resonances that move with the vowels.

Source and filter (Fant, Acoustic Theory of Speech Production, 1960): the source is read from a
table at the sung pitch; the filter is applied to short frames, which are added with overlap.
"""

import numpy as np
from scipy import fft

from demucs.demo_songs import ranges
from demucs.demo_songs.melody import harmonize, sung_phrases
from demucs.demo_songs.music import Score
from demucs.demo_songs.space import place
from demucs.demo_songs.speech import FRAME, Manner, Track, Tracks, speak
from demucs.demo_songs.tones import Wave, bandpass, decibels, noise, oscillate, sine, wavetable

BANDWIDTHS = (75.0, 95.0, 140.0, 220.0, 320.0)  # of F1..F5, Hz
OVERLAP = 4  # frames that cover a sample


class Singer:
    """A voice: its range, its tract and its manner, drawn from `rng`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.range = str(rng.choice(list(ranges.VOICE_LOW)))
        self.low = float(rng.uniform(*ranges.VOICE_LOW[self.range]))
        self.tract = float(rng.uniform(0.95, 1.06)) * (1.0 if self.range == "low" else 1.16)
        self.slope = float(rng.uniform(0.8, 1.25))  # harmonics fall as h ** -slope
        self.breath = decibels(float(rng.uniform(*ranges.BREATH_DB)))
        self.consonants = decibels(float(rng.uniform(*ranges.CONSONANT_DB)))
        self.manner = Manner(
            portamento=float(rng.uniform(0.05, 0.12)),
            vibrato_depth=float(rng.uniform(*ranges.VIBRATO_SEMITONES)),
            vibrato_rate=float(rng.uniform(*ranges.VIBRATO_HZ)),
            scoop=float(rng.uniform(0.0, 2.0)),
        )

    def sing(self, rng: np.random.Generator, tracks: Tracks, samplerate: int) -> Wave:
        """The wave `[T]` of a phrase; its first sample is at `tracks.start` seconds."""
        hop = max(8, round(FRAME * samplerate))
        frames = len(tracks.pitch) * hop
        where = np.arange(frames) / hop
        index = np.arange(len(tracks.pitch))
        frequency = 440.0 * 2.0 ** ((tracks.pitch - 69.0) / 12.0)
        cycles = np.cumsum(np.interp(where, index, frequency)) / samplerate
        count = max(1, int(0.45 * samplerate / frequency.max()))
        law = np.arange(1, count + 1) ** -self.slope
        tone = oscillate(wavetable(law / np.sqrt(np.sum(law**2) / 2)), cycles)
        tone *= np.interp(where, index, tracks.voiced).astype(np.float32)
        air = noise(rng, frames) * (0.65 + 0.35 * sine(cycles))
        air *= np.interp(where, index, self.breath * tracks.breath).astype(np.float32)
        hiss = noise(rng, frames)
        hiss *= np.interp(where, index, self.consonants * tracks.hiss).astype(np.float32)
        bins = fft.rfftfreq(OVERLAP * hop, 1.0 / samplerate)
        tract = _tract(bins, self.tract * tracks.formants)
        shape = _band(bins, tracks.hiss_centre, tracks.hiss_width)
        sung = _filtered(tone + air, tract, hop) + _filtered(hiss, shape, hop)
        # Some breath passes by the resonances: without it nothing is above 6 kHz in a vowel.
        sung += np.float32(0.3) * bandpass(air, 5000.0, None, samplerate)
        return sung


def play_vocals(rng: np.random.Generator, score: Score, canvas: Wave, samplerate: int) -> str:
    """Adds the vocals stem to a canvas `[2, T]`; returns the name of the range."""
    singer = Singer(rng)
    phrases = sung_phrases(rng, score, singer.low)
    pan = float(rng.uniform(-0.12, 0.12))
    second = rng.random() < ranges.HARMONY_SHARE
    level = decibels(float(rng.uniform(*ranges.HARMONY_DB)))
    side = float(rng.choice((-0.5, 0.5)))
    for phrase in phrases:
        tracks = speak(rng, phrase, singer.manner)
        start = int(tracks.start * samplerate)
        place(canvas, singer.sing(rng, tracks, samplerate), start, pan=pan)
        if second and phrase.section == "chorus":
            above = speak(rng, harmonize(phrase, score, late=0.02), singer.manner)
            start = int(above.start * samplerate)
            place(canvas, singer.sing(rng, above, samplerate), start, gain=level, pan=side)
    return singer.range


def _tract(bins: Track, formants: Track) -> Wave:
    """Gains `[N, F]` of five resonances in a row, the vowels brought near one loudness."""
    gains = np.ones((len(formants), len(bins)), dtype=np.float32)
    squares = (bins**2).astype(np.float32)
    for k, bandwidth in enumerate(BANDWIDTHS):
        peak = (formants[:, k, None] ** 2).astype(np.float32)
        gains *= peak / np.sqrt((peak - squares) ** 2 + np.float32(bandwidth**2) * squares)
    # Resonances above F5 are missing; they lift what a row of five lets fall.
    gains *= (1.0 + np.minimum(bins / 3800.0, 3.0) ** 2).astype(np.float32)
    weight = (1.0 / np.maximum(bins, 100.0) ** 2).astype(np.float32)
    loudness = np.sqrt(np.sum(gains**2 * weight, axis=1, keepdims=True) / weight.sum())
    shaped: Wave = gains / loudness
    return shaped


def _band(bins: Track, centre: Track, width: Track) -> Wave:
    """Gains `[N, F]` of bells around a centre (Hz) with a width in octaves."""
    octaves = np.log2(np.maximum(bins, 20.0))[None] - np.log2(centre)[:, None]
    return np.exp(-0.5 * (octaves / width[:, None]) ** 2).astype(np.float32)


def _filtered(wave: Wave, gains: Wave, hop: int) -> Wave:
    """Filters `[T]` by gains `[N, F]`, frame k being centred on sample k * hop."""
    count, size = len(gains), OVERLAP * hop
    window = np.sqrt(np.hanning(size + 1)[:-1]).astype(np.float32)
    padded = np.pad(wave, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: count * hop : hop]
    parts = fft.irfft(fft.rfft(frames * window) * gains, size) * (window * np.float32(2 / OVERLAP))
    blocks = np.zeros((count + OVERLAP, hop), dtype=np.float32)
    for k in range(OVERLAP):
        blocks[k : k + count] += parts[:, k * hop : (k + 1) * hop]
    return blocks.reshape(-1)[size // 2 : size // 2 + len(wave)]
