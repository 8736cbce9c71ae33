"""Puts a report together: reads runs, separates excerpts, renders the page, writes the folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs.console import Progress
from demucs.errors import ConfigError, DemucsError
from demucs.report.output_folder import PAGE, check_folder, new_folder
from demucs.report.page import render
from demucs.report.run_files import Run, letter
from demucs.report.song_table import check_names, chosen, not_measured

if TYPE_CHECKING:
    from demucs.report.sound import Excerpt

MOST = 30  # players; a page with more of them is too large for a browser


@dataclass(frozen=True, kw_only=True)
class Options:
    """The content of a report.

    Attributes:
        title: of the page; None: the names of the runs.
        metric: that songs are chosen by, and that the table of songs shows first; None: SDR.
        tracks: songs with a player; empty: chosen by the metric.
        players: how many are chosen; 0 for none.
        seconds: that are played of each.
        start: of the span in seconds; None: the busiest span of each song.
        musdb: folder of the songs.
    """

    title: str | None = None
    metric: str | None = None
    tracks: Sequence[str] = ()
    players: int = 3
    seconds: float = 20.0
    start: float | None = None
    musdb: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.players <= MOST or len(self.tracks) > MOST:
            raise ConfigError(f"--players {max(self.players, len(self.tracks))}: 0 to {MOST}")
        if not 1 <= self.seconds <= 600:
            raise ConfigError(f"--seconds {self.seconds:g}: give 1 to 600")
        if self.start is not None and not 0 <= self.start < 1e6:
            raise ConfigError(f"--start {self.start:g}: give seconds from the start of the song")


def make_report(
    runs: Sequence[Run], out: Path, options: Options, *, progress: bool = True
) -> list[str]:
    """Writes `out/index.html` and its files; an earlier report there is replaced.

    Returns:
        What could not be shown, one line each; the page says it too.

    Raises:
        ConfigError: an option or the folder cannot work.
        DatasetError: the folder of songs does not exist.
        MissingToolError: a package that is needed is not installed.
        OSError: the folder cannot be written.
    """
    check_folder(out)
    with new_folder(out) as folder:
        players, problems = _players(runs, folder, options, progress=progress)
        text = render(runs, players, problems, options.title, options.metric)
        (folder / PAGE).write_text(text, encoding="utf-8")
    note = not_measured(runs, options.metric)
    return [*([note] if note else []), *_nothing_shown(runs), *problems]


def _nothing_shown(runs: Sequence[Run]) -> list[str]:
    """Runs without anything to show, and the reasons."""
    return [
        f"{run.name}: there is nothing to show of it: "
        + "; ".join([*dict.fromkeys(run.missing.values()), *run.notes])
        for run in runs
        if not run.is_shown
    ]


def _players(
    runs: Sequence[Run], folder: Path, options: Options, *, progress: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """The players for the page, and what kept others from it."""
    if options.players == 0 and not options.tracks:
        return [], ["players were not asked for (--players 0)"]
    from demucs.report.sound import write_player

    problems: list[str] = []
    work = [*_recordings(runs, options), *_to_separate(runs, options, problems)]
    made: list[dict[str, Any]] = []
    badges = "".join(letter(index) for index in range(len(runs))) if len(runs) > 1 else ""
    with Progress("excerpts", len(work), len(work), pieces="songs", show=progress) as bar:
        for name, excerpt in work:
            try:
                sounds = excerpt()
                made.append(write_player(folder, len(made) + 1, sounds, badges))
                bar.done(name, "written" if sounds.run is not None else "separated and written", 1)
            except DemucsError as error:
                problems.append(f"{name}: {error}")
                bar.done(name, "failed", 1)
    return made, problems


Work = list[tuple[str, "Callable[[], Excerpt]"]]


def _recordings(runs: Sequence[Run], options: Options) -> Work:
    """Excerpts that were separated earlier, of the songs asked for by name or of any."""
    from demucs.report.separated import Span, recorded_excerpt

    span = Span(seconds=options.seconds, start=options.start)
    work: Work = []
    for index, run in enumerate(runs):
        for place in run.recordings:
            if not options.tracks or place.name in options.tracks:
                make = partial(recorded_excerpt, place, index, run, span)
                work.append((f"{run.name}/{place.name}", make))
    return work[: max(options.players, len(options.tracks))]


def _to_separate(runs: Sequence[Run], options: Options, problems: list[str]) -> Work:
    """Excerpts that the releases separate now."""
    recorded = [place.name for run in runs for place in run.recordings]
    if not any(run.release for run in runs):
        if recorded:
            check_names(options.tracks, recorded, "among the recordings of these runs")
        else:
            problems.append("nothing to listen to: " + "; ".join(
                f"{run.name}: {run.missing.get('release', 'no release')}" for run in runs
            ))  # fmt: skip
        return []
    from demucs.report.separated import (
        Span,
        load_models,
        separate_excerpt,
        song_names,
        songs_folder,
    )

    songs, reason = songs_folder(options.musdb, runs)
    if songs is None:
        problems.append(f"no song could be separated: {reason}")
        return []
    names = song_names(songs)
    check_names(options.tracks, [*names, *recorded], f"in {songs}")
    wanted = _wanted(runs, options, names, problems)
    if not wanted:
        problems.append(f"no song could be separated: {songs.name} has none of the evaluated songs")
        return []
    models = load_models(runs, lambda run, text: problems.append(f"{run.name}: {text}"))
    if not models:
        return []
    span = Span(seconds=options.seconds, start=options.start)
    return [
        (name, partial(separate_excerpt, songs, name, why, models, span))
        for name, why in wanted.items()
    ]


def _wanted(
    runs: Sequence[Run], options: Options, names: Sequence[str], problems: list[str]
) -> dict[str, str]:
    """Songs to separate, and why each."""
    if options.tracks:
        return {name: "as asked for" for name in dict.fromkeys(options.tracks) if name in names}
    by_metric = chosen(runs, options.metric, options.players)
    if not by_metric:
        return dict.fromkeys(names[: options.players], "there is no evaluation to choose by")
    missing = [name for name in by_metric if name not in names]
    problems += [f"{name}: it is not among the songs that are here" for name in missing]
    return {name: why for name, why in by_metric.items() if name in names}
