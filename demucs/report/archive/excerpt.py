"""A few seconds of a test song, separated by the release of an archived run, as FLAC files."""

import argparse
from pathlib import Path

from demucs.audio import write_audio
from demucs.audio.levels import common_gain
from demucs.errors import ConfigError, DatasetError
from demucs.files import atomic_path
from demucs.report.run_files import Run, find_run
from demucs.report.separated import (
    Span,
    load_models,
    separate_excerpt,
    song_names,
    songs_folder,
)
from demucs.report.sound import Excerpt


def separate(args: argparse.Namespace) -> Excerpt:
    """A span of a test song, and its stems by the release.

    Raises:
        ConfigError: there is no release of the run.
        DatasetError: the songs are not here, or none has that name.
    """
    run = find_run(args.signature, outputs=args.dora_dir, repo=args.repo)
    models = load_models([run], _refuse)
    if not models:
        raise ConfigError(
            f"for sound, {args.repo} needs the release {args.signature}: make it with "
            f"python3 -m tools.export {args.signature}, or give --no-sound"
        )
    songs, reason = songs_folder(args.musdb, [run])
    if songs is None:
        raise DatasetError(f"{reason}, or give --no-sound")
    names = song_names(songs)
    track = args.track or next(iter(names), "")
    if track not in names:
        raise DatasetError(
            f"there is no song {track!r} in {songs}; there are: {', '.join(names[:5]) or 'none'}"
        )
    span = Span(seconds=args.seconds, start=args.start)
    return separate_excerpt(songs, track, "", models, span)


def keep_sound(excerpt: Excerpt, folder: Path) -> None:
    """Writes `audio/{mixture, STEM_reference, STEM_estimate}.flac`, 16 bits, at one common gain."""
    gain = common_gain([signal.wav for signal in excerpt.signals])
    for signal in excerpt.signals:
        name = "mixture" if signal.kind == "mixture" else f"{signal.stem}_{signal.kind}"
        with atomic_path(folder / "audio" / f"{name}.flac") as temporary:
            write_audio(temporary, signal.wav * gain, excerpt.samplerate, bits=16, clip="none")
    begin = excerpt.start or 0.0
    end = begin + excerpt.signals[0].wav.shape[-1] / excerpt.samplerate
    about = f"{excerpt.name}, seconds {begin:.1f} to {end:.1f}"
    if gain < 1:
        about += f", all files at a gain of {gain:.2f}, since the loudest would clip"
    with atomic_path(folder / "audio" / "about.txt") as temporary:
        temporary.write_text(f"{about}\n", encoding="utf-8")


def _refuse(run: Run, reason: str) -> None:
    raise ConfigError(f"{run.name}: {reason}")
