"""Ranges that demo songs draw from: everything that makes them easier or harder, in one place.

A pair is a range from which each song draws uniformly. Raise `VERSION` after any change here or
in the synthesis: songs of another version are written again.
"""

VERSION = 5

Range = tuple[float, float]

# Levels. A stem's level is its RMS where it plays, against the other stems, in dB.
STEM_LEVEL_DB = {"drums": 1.0, "bass": -1.0, "other": 0.0, "vocals": 0.0}
STEM_SPREAD_DB = 1.5  # each song moves each stem by up to so much, up or down
MASTER_RMS_DB: Range = (-13.5, -10.0)  # of the mixture, dBFS
PEAK_DB = -0.6  # of the mixture before 16-bit rounding
MAX_LIMITING_DB = 6.0  # the limiter takes at most so much off a peak; else the song gets quieter

# Space. Wet is the energy of the reverb against the dry sound, in dB.
REVERB_SECONDS: Range = (0.4, 1.5)  # time to fall by 60 dB
REVERB_WET_DB: dict[str, Range] = {
    "drums": (-32.0, -22.0),
    "bass": (-45.0, -35.0),
    "other": (-28.0, -18.0),
    "vocals": (-26.0, -16.0),
}

# Music.
TEMPO_BPM: Range = (78.0, 144.0)
SWING: Range = (0.5, 0.62)  # where the off-beat falls within a beat; 0.5 is straight
SWING_SHARE = 0.35  # share of songs that swing
INTRO_SHARE = 0.7  # share of songs that start without the voice

# Ranges of pitch, MIDI numbers (60 is middle C, 262 Hz).
BASS_LOW: Range = (32.0, 35.0)  # lowest note; the roots span an octave from there
BED_LOW: Range = (50.0, 56.0)  # sustained chords: lowest note of an octave
COMP_LOW: Range = (50.0, 59.0)  # rhythmic chords
LINE_LOW: Range = (71.0, 76.0)  # arpeggios and lead
VOICE_LOW = {"low": (45.0, 49.0), "high": (55.0, 59.0)}  # the melody spans VOICE_SPAN from there
VOICE_SPAN = 15.0  # semitones

# Loudness of the layers of "other" against each other, in dB.
LAYER_LEVEL_DB = {"bed": -7.0, "comp": 0.0, "line": -2.0}
LAYER_SPREAD_DB = 2.0

# The voice.
VIBRATO_SEMITONES: Range = (0.25, 0.6)
VIBRATO_HZ: Range = (4.8, 6.4)
BREATH_DB: Range = (-28.0, -18.0)  # breath noise under the sung tone
CONSONANT_DB: Range = (-14.0, -7.0)  # hiss of s, sh, f and bursts of t, k, p against the tone
HARMONY_SHARE = 0.1  # share of songs with a second voice in the chorus
HARMONY_DB: Range = (-10.0, -6.0)
