"""Comparison of the tracks of a dataset: the same song twice, and stems in wrong places."""

from collections.abc import Iterator, Sequence

from demucs.audio.fingerprint import Landmarks, Match, matches
from demucs.data.doctor.examine import TrackFacts
from demucs.data.doctor.findings import Finding, Severity
from demucs.data.doctor.limits import MATCH_COUNT, MATCH_SHARE, STEM_SHARE
from demucs.data.doctor.places import Place
from demucs.data.doctor.profiles import odd_ones
from demucs.data.readers import MIXTURE

Track = tuple[Place, TrackFacts]


def same_audio(tracks: Sequence[Track], others: Sequence[Track]) -> Iterator[Finding]:
    """Songs, and stems of one name, that are in two tracks; songs that are in the other dataset."""
    own = len(tracks)
    by_pair: dict[tuple[int, int], dict[str, Match]] = {}
    for stem in sorted({name for place, _ in tracks for name in place.sources} - {MIXTURE}):
        for match in _alike(tracks, stem, own):
            by_pair.setdefault((match.first, match.second), {})[stem] = match
    for match in _alike([*tracks, *others], MIXTURE, own):
        place, facts = tracks[match.first]
        shared = by_pair.pop((match.first, match.second), {})
        if match.second < own:
            twin, twin_facts = tracks[match.second]
            crosses = twin.split != place.split
            partly = 0 < len(shared) < len(_heard(facts) & _heard(twin_facts))
        else:
            twin, crosses, partly = others[match.second - own][0], True, False
        what = "the same audio as in" if partly else "the same song as"
        yield Finding(
            Severity.ERROR if crosses else Severity.WARNING,
            "overlap" if crosses else "duplicate",
            place.label,
            ", ".join(shared) if partly else "",
            f"{what} {twin.label}: {_how(match)}",
            "take one of them out: scores on what was trained on mean nothing"
            if crosses
            else "take one of them out, or it counts twice",
            match.share,
        )
    for (first, second), shared in by_pair.items():
        for stem, match in shared.items():
            if match.share < STEM_SHARE:
                continue
            value = f"the same audio as in {tracks[second][0].label}: {_how(match)}"
            remedy = "look which of the tracks it belongs to"
            yield Finding(
                Severity.WARNING,
                "duplicate",
                tracks[first][0].label,
                stem,
                value,
                remedy,
                match.share,
            )


def _heard(facts: TrackFacts) -> set[str]:
    """Stems with enough landmarks to be known again."""
    return {n for n, one in facts.prints.items() if n != MIXTURE and len(one.marks) >= MATCH_COUNT}


def swapped(tracks: Sequence[Track]) -> Iterator[Finding]:
    """Stems that sound as those of another name do; a suspicion."""
    for index, name, other, own, near in odd_ones([facts.profiles for _, facts in tracks]):
        yield Finding(
            Severity.WARNING,
            "swapped",
            tracks[index][0].label,
            name,
            f"suspicion: {near:.1f} dB from the profile of {other}, {own:.1f} dB from its own",
            f"listen whether it is {other}; swap the files if so",
            own - near,
        )


def _alike(tracks: Sequence[Track], name: str, own: int) -> list[Match]:
    """Matches of a file's fingerprints in which the first track is one of our own."""
    prints: list[Landmarks] = []
    numbers: list[int] = []
    for number, (_, facts) in enumerate(tracks):
        if name in facts.prints:
            prints.append(facts.prints[name])
            numbers.append(number)
    findings = []
    for match in matches(prints, lambda first, _: numbers[first] < own):
        if match.share >= MATCH_SHARE and match.count >= MATCH_COUNT:
            first, second = numbers[match.first], numbers[match.second]
            findings.append(Match(first, second, match.count, match.share, match.offset))
    return findings


def _how(match: Match) -> str:
    return f"{match.share:.0%} of the fingerprint, {match.offset:+.1f} s later there"
