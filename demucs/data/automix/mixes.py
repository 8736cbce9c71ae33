"""Making a set of new songs from a set of songs, with all cores."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, cast

import soundfile
import torch

from demucs.console import bar
from demucs.data.automix.analysis import Analysis, analyse
from demucs.data.automix.match import Limits, plan_song, usable
from demucs.data.automix.song_folders import (
    Job,
    check_names,
    complete,
    sweep,
    write_manifest,
    write_song,
)
from demucs.data.repitch import Engine, find_repitcher
from demucs.data.repitch.builtin import BuiltIn
from demucs.data.tracks import Track, find_tracks
from demucs.errors import ConfigError, DatasetError
from demucs.process.children import process_pool
from demucs.process.cores import core_count

logger = logging.getLogger(__name__)

ANALYSES = "analyses"  # folder in OUT
SPLITS = ("train", "valid")
SHOWN = 5  # names in a message
One = TypeVar("One")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Outcome:
    """Folders of the songs asked for, how many are new, and what was not done and why."""

    folders: Sequence[Path]
    new: int
    left_out: Sequence[str]


def automix(
    dataset: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    sources: Sequence[str],
    split: str = "train",
    per_song: int = 1,
    seed: int = 0,
    limits: Limits | None = None,
    samplerate: int = 44100,
    channels: int = 2,
    mixture: bool = False,
    builtin: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Outcome:
    """Makes `per_song` new songs for each song of a split, in `out`/SPLIT, and a manifest.

    A new song depends on the songs of the split, the seed, its host, its number and the limits
    alone (and, to the sample, on the engine that stretches). Songs that are there already and
    are complete are kept.

    Args:
        dataset: a folder that `find_tracks` reads.
        out: folder for the new songs, outside of `dataset`.
        sources: stems to use.
        split: `train` or `valid`; never `test`.
        per_song: new songs with the beat and key of each song.
        seed: another seed gives other songs.
        limits: how far stems may be changed.
        samplerate: Hz of the dataset.
        channels: of the new songs.
        mixture: write the sum of the stems too.
        builtin: stretch with our own code even where SoundTouch is there.
        workers: processes; None is one for each core, 1 stays in this process.
        progress: show progress bars.

    Raises:
        ConfigError: an argument that cannot be.
        DatasetError: the dataset does not serve, or `out` cannot be written.
        AudioError: a file cannot be read.
    """
    dataset, out = Path(dataset), Path(out)
    _check(dataset, out, split, sources, per_song, seed, workers)
    limits = limits or Limits()
    tracks = find_tracks(
        dataset,
        cast(Literal["train", "valid"], split),
        sources=sources,
        samplerate=samplerate,
        channels=channels,
        metadata=out / ANALYSES,
    )
    processes = workers or core_count()
    try:
        (out / split).mkdir(parents=True, exist_ok=True)
        sweep(out / split)
        work = partial(analyse, cache=out / ANALYSES)
        done = _all(work, {t.name: t for t in tracks}, processes, "Analysing", progress)
        jobs, left_out = _jobs(
            {track.name: track for track in tracks},
            done,
            folder=out / split,
            numbers=range(per_song),
            seed=seed,
            limits=limits,
            mixture=mixture,
            engine=BuiltIn() if builtin else find_repitcher().engine,
        )
        check_names(jobs)
        waiting = {job.plan.name: job for job in jobs if not complete(job)}
        _all(write_song, waiting, processes, "Mixing", progress)
        total = write_manifest(out / split, out / f"{split}.jsonl")
    except (OSError, soundfile.SoundFileError) as error:
        raise DatasetError(
            f"Cannot write songs to {out}: {error}. Give a folder that can be written, on a disk "
            "with space"
        ) from error
    except BrokenExecutor as error:
        raise DatasetError(
            "A process that analysed or made a song was ended from outside, perhaps for its "
            f"memory: use fewer than {processes} workers (-j)"
        ) from error
    logger.info("%s: %d songs in all", out / f"{split}.jsonl", total)
    return Outcome([job.folder for job in jobs], len(waiting), left_out)


def _check(
    dataset: Path,
    out: Path,
    split: str,
    sources: Sequence[str],
    per_song: int,
    seed: int,
    workers: int | None,
) -> None:
    if split not in SPLITS:
        raise ConfigError(
            f"split={split}: new songs are made of {' or '.join(SPLITS)} songs. Songs for testing "
            "are never used, or results on them would mean nothing"
        )
    if out.resolve().is_relative_to(dataset.resolve()):
        raise ConfigError(
            f"{out} is in the dataset {dataset}, whose songs would then include the new ones: "
            "give a folder outside"
        )
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file: give a folder, new or existing")
    if len(sources) < 2 or len(set(sources)) < len(sources):
        raise ConfigError(
            f"sources={','.join(sources)}: give two or more different stems, as in drums,bass"
        )
    if per_song < 1:
        raise ConfigError(f"per_song={per_song} makes no song: give 1 or more")
    if seed < 0:
        raise ConfigError(f"seed={seed} is negative: give 0 or more")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers={workers} cannot work: give 1 or more, or leave it out")


def _jobs(
    tracks: Mapping[str, Track],
    analyses: Mapping[str, Analysis],
    *,
    folder: Path,
    numbers: Sequence[int],
    seed: int,
    limits: Limits,
    mixture: bool,
    engine: Engine,
) -> tuple[list[Job], list[str]]:
    """What to write, and a line for each song that cannot be."""
    stems = next(iter(tracks.values())).sources
    songs = {name: analyses[name] for name in sorted(tracks) if usable(analyses[name], limits)}
    left_out = [
        f"{name}: no beat found, or shorter than {limits.min_seconds:g} s from its first bar"
        for name in sorted(tracks.keys() - songs.keys())
    ]
    jobs = []
    for host in songs:
        for index in numbers:
            plan = plan_song(host, songs, stems, limits, seed=seed, index=index)
            if plan is None:
                left_out.append(
                    f"{host}: no partners for each stem near {songs[host].tempo:.0f} beats per "
                    f"minute and {songs[host].key or 'its key'}"
                )
                break
            used = {part.song for part in plan.parts} | {host}
            jobs.append(
                Job(
                    plan=plan,
                    folder=folder / plan.name,
                    tracks={name: tracks[name] for name in used},
                    analyses={name: songs[name] for name in used},
                    engine=engine,
                    mixture=mixture,
                )
            )
    if not jobs:
        more = f"; and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
        raise DatasetError(
            f"No song can be made ({'; '.join(left_out[:SHOWN])}{more}): allow larger changes of "
            f"tempo (now {limits.tempo:g} %) and key (now {limits.semitones} semitones), shorter "
            "songs, or give more songs"
        )
    return jobs, left_out


def _all(
    work: Callable[[One], Made],
    items: Mapping[str, One],
    processes: int,
    title: str,
    progress: bool,
) -> dict[str, Made]:
    """Does the work for each item, in processes; results by the names of the items."""
    processes = min(processes, len(items))
    with bar(title=title, total=len(items), unit="song", show=progress and bool(items)) as shown:
        made = {}
        for name, result in _results(work, items, processes):
            made[name] = result
            shown.update()
    return made


def _results(
    work: Callable[[One], Made], items: Mapping[str, One], processes: int
) -> Iterator[tuple[str, Made]]:
    if processes <= 1:
        yield from ((name, work(item)) for name, item in items.items())
        return
    with process_pool(processes, _settle) as pool:
        names = {pool.submit(work, item): name for name, item in items.items()}
        for future in as_completed(names):
            yield names[future], future.result()


def _settle() -> None:
    """In a new process: no threads of torch, which do not live through a fork."""
    torch.set_num_threads(1)
