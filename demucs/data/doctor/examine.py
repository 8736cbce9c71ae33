"""One track: every file is read once, all in step, and measured alone and together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from demucs.audio.fingerprint import Landmarks, Peaks
from demucs.audio.spectra import BLOCK_HOPS, Spectrograph, hop_frames
from demucs.data.doctor.bleed import Bleed, BleedFacts
from demucs.data.doctor.decode import Samples, Stream, open_stream
from demucs.data.doctor.file_levels import FileFacts, Levels
from demucs.data.doctor.mixing import Mixing, SumFacts
from demucs.data.doctor.places import Place
from demucs.data.doctor.profiles import Profile, Profiler
from demucs.data.readers import MIXTURE
from demucs.errors import AudioError


@dataclass(slots=True)
class TrackFacts:
    """What was measured of a track.

    Attributes:
        files: facts of each file that could be opened.
        broken: why a file could not be read, or not to its end.
        sums: the mixture against its stems; None where there is nothing to compare.
        left_over: for two stems, what a gain times the one leaves of the other (dB); the gain.
        bleed: by stem.
        profiles: by stem.
        prints: fingerprints by file; `mixture` is the sum of the stems where there is no file.
    """

    files: dict[str, FileFacts] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    sums: SumFacts | None = None
    left_over: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    bleed: dict[str, BleedFacts] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    prints: dict[str, Landmarks] = field(default_factory=dict)


def examine(place: Place) -> TrackFacts:
    """Reads and measures a track.

    Raises:
        MissingToolError: a file needs ffmpeg, which is not installed.
    """
    facts = TrackFacts()
    streams: dict[str, Stream] = {}
    try:
        for name, source in place.sources.items():
            try:
                streams[name] = open_stream(source)
            except AudioError as error:
                facts.broken[name] = str(error)
        rates = Counter(stream.samplerate for stream in streams.values())
        for rate, _ in rates.most_common():
            _read(facts, {n: s for n, s in streams.items() if s.samplerate == rate})
    finally:
        for stream in streams.values():
            stream.close()
    return facts


def _read(facts: TrackFacts, streams: Mapping[str, Stream]) -> None:
    """Measures the files of one rate. Where there are several rates, only the usual one's files
    are compared with each other."""
    rate = next(iter(streams.values())).samplerate
    hop = hop_frames(rate)
    levels = {
        name: Levels(rate, one.channels, hop, lossy=one.lossy, floating=one.floating)
        for name, one in streams.items()
    }
    together = None if facts.files else _Together(list(streams), rate, hop)
    unfinished = dict(streams)
    while unfinished:
        blocks = {}
        for name, stream in list(unfinished.items()):
            try:
                block = np.ascontiguousarray(stream.read(BLOCK_HOPS * hop).T)
            except AudioError as error:
                facts.broken[name] = str(error)
                block = np.zeros((stream.channels, 0), np.float32)
            if block.shape[1] < BLOCK_HOPS * hop:
                del unfinished[name]
            if block.shape[1]:
                blocks[name] = levels[name].add(block)
        if together is not None and blocks:
            together.add(blocks)
    for name, one in levels.items():
        facts.files[name] = one.facts()
    if together is not None:
        together.finish(facts)


class _Together:
    """Compares files of one rate with each other."""

    def __init__(self, names: Sequence[str], rate: int, hop: int) -> None:
        stems = [name for name in names if name != MIXTURE]
        self._names = [*stems, *([MIXTURE] if MIXTURE in names else [])]
        self._stems = stems
        self._hop = hop
        self._mixing = Mixing(self._names, MIXTURE if MIXTURE in names else None, hop)
        self._spectrograph = Spectrograph(len(self._names), hop)
        self._bleed = Bleed(stems, rate, hop)
        self._profiler = Profiler(len(stems), rate, hop)
        self._peaks = {name: Peaks(rate, hop) for name in (*stems, MIXTURE)}

    def add(self, blocks: Mapping[str, Samples]) -> None:
        """Takes in the next `[C, T]` of the files that have not ended."""
        channels = max(len(block) for block in blocks.values())
        longest = max(block.shape[1] for block in blocks.values())
        common = min(blocks[n].shape[1] if n in blocks else 0 for n in self._names)
        waves = np.zeros((len(self._names), channels, longest + -longest % self._hop), np.float32)
        for index, name in enumerate(self._names):
            if name in blocks:
                block = blocks[name]
                fits = len(block) in (1, channels)  # mono counts as the same on each channel
                waves[index, :, : block.shape[1]] = block if fits else block.mean(0)
        self._mixing.add(waves, common)
        spectra = self._spectrograph.add(waves.mean(1))
        count = len(self._stems)
        self._bleed.add(spectra[:count])
        powers = np.square(spectra.real) + np.square(spectra.imag)
        if count:
            self._profiler.add(powers[:count])
        for index, name in enumerate(self._names):
            self._peaks[name].add(powers[index])
        if MIXTURE not in self._names:
            summed = spectra.sum(0)
            self._peaks[MIXTURE].add(np.square(summed.real) + np.square(summed.imag))

    def finish(self, facts: TrackFacts) -> None:
        facts.sums = self._mixing.sum_facts()
        facts.left_over = self._mixing.left_over()
        facts.bleed = self._bleed.facts()
        for stem, profile in zip(self._stems, self._profiler.profiles(), strict=True):
            if profile is not None:
                facts.profiles[stem] = profile
        facts.prints = {name: peaks.landmarks() for name, peaks in self._peaks.items()}
