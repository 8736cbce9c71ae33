"""One song: composition, instruments, space and levels put together."""

from enum import IntEnum

import numpy as np

from demucs.demo_songs import ranges
from demucs.demo_songs.bass import play_bass
from demucs.demo_songs.drum_patterns import play_drums
from demucs.demo_songs.harmony import play_other
from demucs.demo_songs.kinds import Stage
from demucs.demo_songs.mastering import balance, master, quantize
from demucs.demo_songs.music import PITCH_NAMES, compose
from demucs.demo_songs.space import reverberate, room
from demucs.demo_songs.tones import Wave
from demucs.demo_songs.voice import play_vocals

STEMS = ("drums", "bass", "other", "vocals")
SPLITS = ("train", "valid", "test")


class _Part(IntEnum):
    """What a generator is for: a change in one part of the synthesis leaves the others alone."""

    SCORE = 0
    DRUMS = 1
    BASS = 2
    OTHER = 3
    VOCALS = 4
    MIX = 5
    STAGE = 6


def synthesize_song(
    seed: int, split: str, index: int, seconds: float, samplerate: int = 44100
) -> dict[str, Wave]:
    """Synthesises song `index` of a split; it depends on the arguments and on nothing else.

    Returns:
        `mixture`, `drums`, `bass`, `other` and `vocals`, each `[2, T]` float32 in multiples of
        1/32768, T = round(seconds * samplerate). The mixture is the exact sum of the stems.
    """
    return render(seed, split, index, seconds, samplerate)[0]


def render(
    seed: int, split: str, index: int, seconds: float, samplerate: int, kind: str = "studio"
) -> tuple[dict[str, Wave], dict[str, str]]:
    """As `synthesize_song`, and what the song is made of, in words.

    Args:
        kind: one of `demucs.demo_songs.kinds.KINDS`.
    """
    generators = {
        part: np.random.default_rng(
            np.random.SeedSequence((seed, SPLITS.index(split), index, int(part)))
        )
        for part in _Part
    }
    stage = Stage.draw(generators[_Part.STAGE], STEMS) if kind == "live" else None
    frames = round(seconds * samplerate)
    played = seconds * stage.speed if stage else seconds
    score = compose(generators[_Part.SCORE], played)
    dry = {name: np.zeros((2, round(played * samplerate)), dtype=np.float32) for name in STEMS}
    play_drums(generators[_Part.DRUMS], score, dry["drums"], samplerate)
    play_bass(generators[_Part.BASS], score, dry["bass"], samplerate)
    instruments = play_other(generators[_Part.OTHER], score, dry["other"], samplerate)
    singer = play_vocals(generators[_Part.VOCALS], score, dry["vocals"], samplerate)
    rng = generators[_Part.MIX]
    decay = float(rng.uniform(*ranges.REVERB_SECONDS))
    response = room(rng, stage.reverb if stage else decay, samplerate)
    if stage:
        dry = {name: stage.amplify(name, wave, frames) for name, wave in dry.items()}
    stage_wet = stage.wet if stage else 0.0
    wet = {
        name: reverberate(
            wave, response, stage_wet + float(rng.uniform(*ranges.REVERB_WET_DB[name]))
        )
        for name, wave in dry.items()
    }
    levelled = balance(rng, wet)
    if stage:
        levelled = {name: stage.mix(name, wave) for name, wave in levelled.items()}
    stems = quantize(master(rng, levelled, samplerate))
    facts = {
        "tempo": f"{score.tempo:.1f} beats per minute",
        "key": f"{PITCH_NAMES[score.tonic]} {score.mode}",
        "sections": " ".join(f"{s.name}({s.bars})" for s in score.sections),
        "other": ", ".join(instruments),
        "voice": singer,
    }
    return stems, facts
