"""The whole examination: tracks in processes, then what they show together."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

from demucs.console import bar
from demucs.data.doctor.compare import Track, same_audio, swapped
from demucs.data.doctor.examine import TrackFacts, examine
from demucs.data.doctor.findings import CHECKS, Finding
from demucs.data.doctor.judge import Wanted, track_findings, usual_sources
from demucs.data.doctor.limits import SWAP_TRACKS
from demucs.data.doctor.places import Place, dataset_places, other_places
from demucs.errors import ConfigError, DatasetError
from demucs.process.children import process_pool
from demucs.process.cores import core_count


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, the worst first.

    Attributes:
        tracks: how many were read.
        seconds: of sound in them.
        sources: stems that each track should have.
        findings: the problems.
        skipped: checks that could not be done, and why.
    """

    tracks: int
    seconds: float
    sources: tuple[str, ...]
    findings: list[Finding]
    skipped: list[str] = field(default_factory=list)


def diagnose(
    root: Path,
    wanted: Wanted,
    *,
    against: Sequence[Path] = (),
    ignore: Sequence[str] = (),
    workers: int | None = None,
    progress: bool = True,
) -> Diagnosis:
    """Examines a dataset folder.

    Args:
        root: the folder, with train/, valid/ or test/.
        wanted: what training asks of it; without sources, those that most tracks have.
        against: folders of songs that must not be in it.
        ignore: checks, by their names in `CHECKS`, whose findings are left out.
        workers: processes; None is one for each core, 1 stays in this process.
        progress: show a progress bar with the time left.

    Raises:
        ConfigError: a number or name that cannot be.
        DatasetError: no tracks where they should be, or a process was ended from outside.
        MissingToolError: stem files, and no ffmpeg.
    """
    _check(wanted, ignore, workers)
    places = dataset_places(root, wanted.sources or None)
    extra = [place for folder in against for place in other_places(folder)]
    if not wanted.sources:
        wanted = replace(wanted, sources=usual_sources(places))
    facts = examine_all([*places, *extra], workers, progress)
    tracks: list[Track] = list(zip(places, facts, strict=False))
    others: list[Track] = list(zip(extra, facts[len(places) :], strict=True))
    findings = [
        finding for place, found in tracks for finding in track_findings(place, found, wanted)
    ]
    findings += same_audio(tracks, others)
    findings += swapped(tracks)
    findings = [finding for finding in findings if finding.check not in ignore]
    order = list(CHECKS)
    findings.sort(key=lambda finding: (-finding.severity, order.index(finding.check)))
    return Diagnosis(
        tracks=len(tracks),
        seconds=sum(_seconds(found) for _, found in tracks),
        sources=wanted.sources,
        findings=findings,
        skipped=_skipped(tracks, others, wanted),
    )


def examine_all(
    places: Sequence[Place], workers: int | None = None, progress: bool = True
) -> list[TrackFacts]:
    """Facts of each track, in order. The bar counts bytes: tracks are not equally long.

    Raises:
        DatasetError: a process was ended from outside.
        MissingToolError: a file needs ffmpeg, which is not installed.
    """
    sizes = [place.bytes for place in places]
    processes = min(workers or core_count(), len(places))
    facts: dict[int, TrackFacts] = {}
    with bar(title="Doctor", total=sum(sizes), unit="B", unit_scale=True, show=progress) as shown:
        if processes == 1:
            for index, place in enumerate(places):
                facts[index] = examine(place)
                shown.update(sizes[index])
            return [facts[index] for index in range(len(places))]
        try:
            with process_pool(processes) as pool:
                jobs = {pool.submit(examine, place): index for index, place in enumerate(places)}
                for job in as_completed(jobs):
                    facts[jobs[job]] = job.result()
                    shown.update(sizes[jobs[job]])
        except BrokenExecutor as error:
            raise DatasetError(
                f"One of {processes} processes that read tracks was ended from outside, perhaps "
                "for its memory: use fewer (-j)"
            ) from error
    return [facts[index] for index in range(len(places))]


def _check(wanted: Wanted, ignore: Sequence[str], workers: int | None) -> None:
    for name, value in (
        ("samplerate", wanted.samplerate),
        ("channels", wanted.channels),
        ("segment", wanted.segment),
        ("workers", 1 if workers is None else workers),
    ):
        if not value > 0:
            raise ConfigError(f"{name}={value:g} cannot be: give a number above 0")
    unknown = sorted(set(ignore) - set(CHECKS))
    if unknown:
        raise ConfigError(f"There is no check {', '.join(unknown)}: there are {', '.join(CHECKS)}")
    twice = [name for name, count in Counter(wanted.sources).items() if count > 1]
    if twice:
        raise ConfigError(f"sources name {', '.join(twice)} more than once: name each stem once")


def _seconds(facts: TrackFacts) -> float:
    return max((file.frames / file.samplerate for file in facts.files.values()), default=0.0)


def _skipped(tracks: Sequence[Track], others: Sequence[Track], wanted: Wanted) -> list[str]:
    """What the reader must not take for checked."""
    problems = []
    heard = Counter(name for _, facts in tracks for name in facts.profiles)
    few = [name for name in wanted.sources if heard[name] < SWAP_TRACKS]
    if few:
        problems.append(
            f"swapped: fewer than {SWAP_TRACKS} tracks have a sounding {', '.join(few)} to "
            "compare with"
        )
    unmixed = sum("mixture" not in place.sources for place, _ in tracks)
    if unmixed:
        problems.append(f"sum: {unmixed} tracks have no mixture file (training sums the stems)")
    for place, facts in others:
        if facts.broken:
            problems.append(
                f"overlap: {place.label} cannot be read ({next(iter(facts.broken.values()))})"
            )
    return problems
