"""Writing a dataset of demo songs with all cores."""

import logging
import math
import os
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor, as_completed
from pathlib import Path
from typing import Any

import soundfile

from demucs.console import bar
from demucs.demo_songs.folders import Recipe, clear, write_song
from demucs.demo_songs.kinds import KINDS
from demucs.demo_songs.ranges import VERSION
from demucs.errors import ConfigError, DatasetError
from demucs.process.children import process_pool
from demucs.process.cores import core_count

logger = logging.getLogger(__name__)

MIN_SECONDS, MAX_SECONDS = 1.0, 1200.0
MIN_SAMPLERATE, MAX_SAMPLERATE = 8000, 192000


def write_demo_songs(
    root: str | os.PathLike[str],
    *,
    train: int = 24,
    valid: int = 4,
    test: int = 4,
    seconds: float = 30.0,
    seed: int = 0,
    samplerate: int = 44100,
    kind: str = "studio",
    workers: int | None = None,
    progress: bool = True,
) -> list[Path]:
    """Writes demo songs; afterwards the splits hold these demo songs and no others.

    A song depends on (seed, split, its number, seconds, samplerate, kind) alone. Songs that are
    complete are kept; demo songs of other parameters are removed. Other folders are left alone.

    Args:
        root: the dataset folder, made if it is missing.
        train: how many songs for training.
        valid: how many songs for validation.
        test: how many songs for testing.
        seconds: length of a song.
        seed: another seed gives other songs.
        samplerate: Hz.
        kind: `studio`, or `live`: another kind of music, see `demucs.demo_songs.kinds`.
        workers: processes; None is one for each core, 1 stays in this process.
        progress: show a progress bar.

    Returns:
        The songs' folders, by split and number.

    Raises:
        ConfigError: a number that cannot be.
        DatasetError: `root` cannot be written, or another folder has a song's name.
    """
    counts = {"train": train, "valid": valid, "test": test}
    _check(counts, seconds, seed, samplerate, workers)
    if kind not in KINDS:
        raise ConfigError(f"kind={kind} is not one of: {', '.join(KINDS)}")
    root = Path(root)
    recipes = [
        Recipe(VERSION, seed, split, index, float(seconds), samplerate, kind)
        for split, count in counts.items()
        for index in range(count)
    ]
    wanted = {recipe.folder(root): recipe for recipe in recipes}
    try:
        if root.exists() and not root.is_dir():
            raise DatasetError(f"{root} is a file: give a folder, new or existing")
        for folder in wanted:
            folder.parent.mkdir(parents=True, exist_ok=True)
        clear(root, wanted)
        waiting = {folder: recipe for folder, recipe in wanted.items() if not folder.exists()}
        if waiting:
            _write_all(waiting, workers, progress)
    except (OSError, soundfile.SoundFileError) as error:
        raise DatasetError(
            f"Cannot write demo songs to {root}: {error}. Give a folder that can be written, on a "
            "disk with space"
        ) from error
    except BrokenExecutor as error:
        raise DatasetError(
            "A process that made a demo song was ended from outside, perhaps for its memory: use "
            f"fewer workers or shorter songs than {seconds:g} s"
        ) from error
    logger.info("%s: %d demo songs, %d of them new", root, len(wanted), len(waiting))
    return list(wanted)


def _check(
    counts: dict[str, int], seconds: float, seed: int, samplerate: int, workers: int | None
) -> None:
    for split, count in counts.items():
        if count < 0:
            raise ConfigError(f"{split}={count} songs cannot be made: give 0 or more")
    if not sum(counts.values()):
        raise ConfigError("No song was asked for: give train, valid or test a number above 0")
    if not (math.isfinite(seconds) and MIN_SECONDS <= seconds <= MAX_SECONDS):
        raise ConfigError(
            f"seconds={seconds} cannot be made: give {MIN_SECONDS:g} to {MAX_SECONDS:g}"
        )
    if seed < 0:
        raise ConfigError(f"seed={seed} is negative: give 0 or more")
    if not MIN_SAMPLERATE <= samplerate <= MAX_SAMPLERATE:
        raise ConfigError(
            f"samplerate={samplerate} cannot be made: give {MIN_SAMPLERATE} to {MAX_SAMPLERATE} Hz"
        )
    if workers is not None and workers < 1:
        raise ConfigError(f"workers={workers} cannot work: give 1 or more, or leave it out")


def _write_all(waiting: dict[Path, Recipe], workers: int | None, progress: bool) -> None:
    processes = min(workers or core_count(), len(waiting))
    if processes == 1:
        for folder, recipe in _bar(waiting.items(), len(waiting), progress):
            write_song(folder, recipe)
        return
    with process_pool(processes) as pool:
        songs = [pool.submit(write_song, *job) for job in waiting.items()]
        for song in _bar(as_completed(songs), len(waiting), progress):
            song.result()


def _bar(songs: Iterable[Any], total: int, progress: bool) -> Iterable[Any]:
    return bar(songs, title="Demo songs", total=total, unit="song", show=progress)
