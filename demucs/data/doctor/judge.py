"""From the measurements of one track to what is wrong with it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from demucs.data.doctor.examine import TrackFacts
from demucs.data.doctor.file_levels import FileFacts, decibels
from demucs.data.doctor.findings import Finding, Severity
from demucs.data.doctor.limits import (
    BLEED_SHARE,
    DC_LIMIT,
    DUPLICATE_DB,
    MOSTLY_SILENT,
    SILENCE_DBFS,
    SUM_CREST_DB,
    SUM_ERROR_DB,
    SUM_PEAK,
    SUM_WARNING_DB,
    SUM_WARNING_LOSSY_DB,
    SUM_WRAP,
)
from demucs.data.doctor.places import Place
from demucs.data.readers import MIXTURE, NOT_AUDIO
from demucs.files import SLOW_SUFFIXES

NOTE, WARNING, ERROR = Severity
_LEAVE_OUT = "or take the track out"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What training asks of a dataset.

    Attributes:
        samplerate: Hz.
        channels: number of them; mono files are copied to each.
        segment: seconds of a training segment.
        sources: stems that each track must have.
    """

    samplerate: int = 44100
    channels: int = 2
    segment: float = 11.0
    sources: tuple[str, ...] = ()


def usual_sources(places: Sequence[Place]) -> tuple[str, ...]:
    """Stems that at least half of the tracks have."""
    counts = Counter(name for place in places for name in place.sources if name != MIXTURE)
    return tuple(sorted(name for name, count in counts.items() if 2 * count >= len(places)))


def track_findings(place: Place, facts: TrackFacts, wanted: Wanted) -> Iterator[Finding]:
    """The problems of a track by itself."""
    label = place.label
    yield from _missing(place, wanted)
    yield from _unread(place)
    for name, reason in facts.broken.items():
        remedy = f"copy or convert it again, {_LEAVE_OUT}"
        yield Finding(ERROR, "unreadable", label, name, reason, remedy)
    for name, file in facts.files.items():
        if not file.frames:
            if name not in facts.broken:
                remedy = f"export it again, {_LEAVE_OUT}"
                yield Finding(ERROR, "unreadable", label, name, "holds no samples", remedy)
            continue
        yield from _format(label, name, file, wanted)
        yield from _sound(label, name, file)
    yield from _lengths(place, facts, wanted)
    yield from _sum(label, facts)
    yield from _likeness(label, facts)


def _missing(place: Place, wanted: Wanted) -> Iterator[Finding]:
    """Stems that are not there, or only in files that are not read."""
    for name in wanted.sources:
        if name not in place.sources:
            others = [file for file in place.unread if Path(file).stem == name]
            value = f"{', '.join(others)} {NOT_AUDIO}" if others else "no such file"
            remedy = f"add it, {_LEAVE_OUT}, or name the stems that you want"
            if others:
                remedy = "write it as wav or flac, if it is sound: ffmpeg -i IN OUT.flac"
            yield Finding(ERROR, "missing", place.label, name, value, remedy)
    if not place.sources:
        more = f": {', '.join(place.unread[:3])} cannot be read" if place.unread else ""
        remedy = f"write its stems as wav or flac, {_LEAVE_OUT}"
        yield Finding(ERROR, "missing", place.label, "", f"no audio file{more}", remedy)


def _unread(place: Place) -> Iterator[Finding]:
    """Files beside those that are read, and files that are read slowly."""
    for file in place.unread:
        stem = Path(file).stem
        if stem in place.sources:
            value = f"{file} is not read, as {place.sources[stem].path.name} is"
            yield Finding(NOTE, "unread", place.label, stem, value, "none, if it holds the same")
    suffixes = {source.path.suffix.lower() for source in place.sources.values()}
    slow = sorted(suffixes.intersection(SLOW_SUFFIXES))
    if slow and not any(source.stream is not None for source in place.sources.values()):
        value = f"{', '.join(slow)} files are decoded at each read, some from their beginning"
        remedy = "for training, write them as flac or wav: ffmpeg -i IN OUT.flac"
        yield Finding(NOTE, "slow", place.label, "", value, remedy)


def _format(label: str, name: str, file: FileFacts, wanted: Wanted) -> Iterator[Finding]:
    if file.samplerate != wanted.samplerate:
        yield Finding(
            ERROR,
            "samplerate",
            label,
            name,
            f"{file.samplerate} Hz, not {wanted.samplerate} Hz",
            f"convert it: ffmpeg -i IN -ar {wanted.samplerate} OUT.wav",
            file.samplerate,
        )
    if file.channels != wanted.channels:
        copied = file.channels == 1
        yield Finding(
            WARNING if copied or wanted.channels == 1 else ERROR,
            "channels",
            label,
            name,
            f"{file.channels} channel{'s' * (not copied)}, not {wanted.channels}",
            "is copied to each channel; give the stereo file if there is one"
            if copied
            else f"convert it: ffmpeg -i IN -ac {wanted.channels} OUT.wav",
            file.channels,
        )
    elif file.mono:
        remedy = "none needed, if it was recorded so"
        yield Finding(NOTE, "mono", label, name, "its channels are the same", remedy)


def _sound(label: str, name: str, file: FileFacts) -> Iterator[Finding]:
    if file.nonfinite:
        value = f"{file.nonfinite} samples are NaN or infinite"
        remedy = f"export it again, {_LEAVE_OUT}"
        yield Finding(ERROR, "nonfinite", label, name, value, remedy, file.nonfinite)
    if file.silent >= MOSTLY_SILENT:
        whole = file.silent == 1
        yield Finding(
            ERROR if whole and name == MIXTURE else WARNING,
            "silent",
            label,
            name,
            "silent throughout" if whole else f"{file.silent:.1%} is below {SILENCE_DBFS:g} dBFS",
            "look whether its export went wrong; scores of silence mean nothing"
            if whole
            else "look whether its export stopped early",
            file.silent,
        )
    if file.clipped and file.peak <= 1:
        value = f"{file.clipped} samples in runs, the longest {file.longest}"
        remedy = "export it again some dB lower"
        yield Finding(WARNING, "clipped", label, name, value, remedy, file.clipped)
    if file.peak > 1 and file.floating and not file.lossy:
        value = f"{decibels(file.peak**2):+.1f} dBFS at its peak"
        remedy = "keep it in floating point: integers would clip it"
        yield Finding(NOTE, "over", label, name, value, remedy, decibels(file.peak**2))
    if file.offset > DC_LIMIT:
        value = f"{file.offset:.4f} of full scale"
        remedy = "high-pass it at 20 Hz: ffmpeg -i IN -af highpass=f=20 OUT.wav"
        yield Finding(WARNING, "dc", label, name, value, remedy, file.offset)


def _lengths(place: Place, facts: TrackFacts, wanted: Wanted) -> Iterator[Finding]:
    whole = {n: f for n, f in facts.files.items() if n not in facts.broken and f.frames}
    cut = facts.broken and any(file.lossy for file in facts.files.values())
    if not whole or cut:  # a stem file is one file: what it still holds says nothing
        return
    # Files of another rate are a problem of their own, and their frames say nothing here.
    rate = Counter(file.samplerate for file in whole.values()).most_common(1)[0][0]
    frames = {name: file.frames for name, file in whole.items() if file.samplerate == rate}
    usual = Counter(frames.values()).most_common(1)[0][0]
    for name, count in frames.items():
        if count != usual:
            value = f"{count - usual:+d} frames ({(count - usual) / rate:+.3f} s) to the others"
            remedy = f"export all from the same start to the same end, {_LEAVE_OUT}"
            yield Finding(ERROR, "length", place.label, name, value, remedy, count - usual)
    shortest = min(file.frames / file.samplerate for file in whole.values())
    if place.split == "train" and shortest < wanted.segment:
        value = f"{shortest:.2f} s, and a segment {wanted.segment:g} s"
        remedy = "the rest would be silence: join short tracks, or set a shorter dset.segment"
        yield Finding(WARNING, "short", place.label, "", value, remedy, shortest)


def _sum(label: str, facts: TrackFacts) -> Iterator[Finding]:
    """A damaged file is reported as such: the sum cannot fit then."""
    if facts.sums is None or facts.broken:
        return
    sums, lossy = facts.sums, any(file.lossy for file in facts.files.values())
    click = not lossy and sums.peak > SUM_PEAK
    if sums.residual_db <= (SUM_WARNING_LOSSY_DB if lossy else SUM_WARNING_DB) and not click:
        return
    value = f"{sums.residual_db:.1f} dB differ from the sum of the stems, up to {sums.peak:.2f}"
    remedy = "look for a stem that is missing, extra, late or mastered apart"
    if sums.fitted_db < sums.residual_db - 20:
        value += f" ({sums.fitted_db:.1f} dB after a gain of {decibels(sums.gain**2):+.1f} dB)"
        remedy = "scale the mixture, or write it anew as the sum"
    elif sums.crest_db > SUM_CREST_DB and sums.peak > SUM_WRAP:
        remedy = "a stem went beyond full scale and wrapped around: export all of them lower"
    elif sums.crest_db > SUM_CREST_DB:
        remedy = "look for clicks and dropouts"
    severity = ERROR if sums.residual_db > SUM_ERROR_DB else WARNING
    yield Finding(severity, "sum", label, MIXTURE, value, remedy, sums.residual_db)


def _likeness(label: str, facts: TrackFacts) -> Iterator[Finding]:
    same = {pair for pair, (left, _) in facts.left_over.items() if left < DUPLICATE_DB}
    for one, other in sorted(same):
        left, gain = facts.left_over[one, other]
        value = f"equal to {left:.0f} dB, with a gain of {decibels(gain**2):+.1f} dB"
        if gain < 0:
            value += " and turned over"
        remedy = "put the right stem in place of one of them"
        yield Finding(ERROR, "duplicate", label, f"{one}, {other}", value, remedy, left)
    twins = {name for pair in same for name in pair}
    for name, bleed in facts.bleed.items():
        if bleed.share >= BLEED_SHARE and name not in twins:
            yield Finding(
                WARNING,
                "bleed",
                label,
                name,
                f"suspicion: {bleed.share:.0%} of its quiet moments is {bleed.other} "
                f"at {bleed.level_db:.0f} dB",
                "listen to its pauses; keep it out of training if you hear it",
                bleed.share,
            )
