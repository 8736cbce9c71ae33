"""Analysis of a song for automix: beats, bars, pitch classes, and the level of each stem over time.

The result is kept as JSON beside a fingerprint of the song's files, so that a song is analysed
once and again only after it has changed.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demucs.data.automix.bars import first_downbeat
from demucs.data.automix.beats import find_pulse
from demucs.data.automix.key import chroma, find_key
from demucs.data.automix.onsets import onset_envelope
from demucs.data.metadata import Wanted, fingerprint
from demucs.data.tracks import Track
from demucs.files import atomic_path

logger = logging.getLogger(__name__)

VERSION = 1  # raise it when a number below comes to mean, or to be, something else
RHYTHM = ("drums", "bass")  # what gives the beat, where a song has it
UNPITCHED = ("drums",)  # what has no key
LOUD_DB = -35.0  # a stem plays where it is within so much of its loudest beat


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """One song.

    Attributes:
        fingerprint: of its files.
        tempo: beats per minute; 0 if no beat was found.
        clarity: 0..1, how much the song repeats itself at its tempo.
        beats: seconds of each beat.
        downbeat: the first beat that begins a bar of four.
        key: its name, for people.
        chroma: how much each pitch class (0 is C) sounds.
        levels: of each stem, RMS over the beats where it plays; 0 for silence.
        loud: of each stem, RMS from each beat to the next.
    """

    fingerprint: str
    tempo: float
    clarity: float
    beats: tuple[float, ...]
    downbeat: int
    key: str
    chroma: tuple[float, ...]
    levels: dict[str, float]
    loud: dict[str, tuple[float, ...]]

    @property
    def period(self) -> float:
        """Seconds of a beat."""
        return 60 / self.tempo

    def playing(self, stem: str) -> NDArray[np.bool_]:
        """Whether a stem plays, from each beat to the next."""
        loud = np.array(self.loud[stem])
        return loud > max(float(loud.max(initial=0)) * 10 ** (LOUD_DB / 20), 1e-9)


def analyse(track: Track, cache: Path) -> Analysis:
    """The analysis of a track, from the folder `cache` if the files are the same as then.

    Raises:
        AudioError: a file cannot be read.
    """
    wanted = Wanted(sources=track.sources, samplerate=track.samplerate, channels=track.channels)
    mark = fingerprint(track.reader, wanted)
    file = cache / f"{sha256(str(track.reader.location.resolve()).encode()).hexdigest()[:16]}.json"
    known = _load(file, mark)
    if known is not None:
        return known
    analysis = _measure(track, mark)
    with atomic_path(file) as temporary:
        content = {"version": VERSION, "track": track.name, "analysis": asdict(analysis)}
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return analysis


def chosen(names: Sequence[str], preferred: Sequence[str]) -> list[str]:
    """Those of `names` that are preferred, or all if there are none."""
    return [name for name in names if name in preferred] or list(names)


def _measure(track: Track, mark: str) -> Analysis:
    mono = {source: track.read(source).numpy().mean(0) for source in track.sources}
    pitched = [source for source in track.sources if source not in UNPITCHED]
    rhythm = _total(mono, chosen(track.sources, RHYTHM))
    harmony = _total(mono, pitched or track.sources)
    pulse = find_pulse(*onset_envelope(rhythm, track.samplerate))
    classes = chroma(harmony, track.samplerate)
    beats = pulse.beats
    enough = len(beats) > 4
    loud = {name: _loudness(wav, track.samplerate, beats) for name, wav in mono.items()}
    return Analysis(
        fingerprint=mark,
        tempo=round(pulse.tempo, 4),
        clarity=round(pulse.clarity, 4),
        beats=tuple(round(float(beat), 5) for beat in beats),
        downbeat=first_downbeat(rhythm, harmony, track.samplerate, beats) if enough else 0,
        key=find_key(classes),
        chroma=tuple(round(float(share), 6) for share in classes),
        levels={name: _level(values) for name, values in loud.items()},
        loud={name: tuple(round(float(x), 7) for x in values) for name, values in loud.items()},
    )


def _total(mono: dict[str, NDArray[np.float32]], names: Sequence[str]) -> NDArray[np.float32]:
    return np.asarray(np.sum([mono[name] for name in names], axis=0), dtype=np.float32)


def _loudness(
    wav: NDArray[np.float32], samplerate: int, beats: NDArray[np.float64]
) -> NDArray[np.float64]:
    """RMS of a mono signal `[T]` from each beat to the next, `[beats - 1]`."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(wav, dtype=np.float64))])
    places = np.clip(np.rint(beats * samplerate).astype(int), 0, len(wav))
    return np.asarray(np.sqrt(np.diff(energy[places]) / np.maximum(np.diff(places), 1)))


def _level(loud: NDArray[np.float64]) -> float:
    """RMS over the beats where something plays."""
    some = loud[loud > loud.max(initial=0) * 10 ** (LOUD_DB / 20)]
    return round(float(np.sqrt(np.mean(np.square(some)))), 7) if len(some) else 0.0


def _load(file: Path, mark: str) -> Analysis | None:
    """The analysis in a file, if it is there, whole, and of the same audio."""
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        fields = content["analysis"]
        if content["version"] != VERSION or fields["fingerprint"] != mark:
            return None
        lists = {name: tuple(fields[name]) for name in ("beats", "chroma")}
        loud = {stem: tuple(values) for stem, values in fields["loud"].items()}
        return Analysis(**{**fields, **lists, "loud": loud})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s is broken (%s) and is made again", file, error)
        return None
