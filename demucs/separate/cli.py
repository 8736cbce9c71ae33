"""The `demucs` command: separates the stems of audio files.

    demucs --repo ./release_models -n SIG song.mp3

Heavy imports wait until the arguments are known to be right.
"""

import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from demucs.errors import ConfigError, DemucsError, ModelNotFoundError, explain_os_error, message_of
from demucs.process.signals import Asked, exit_code, working
from demucs.separate.inputs import Found, Track, find_tracks
from demucs.separate.options import STANDARD, Options, parse_options, unused_flags
from demucs.separate.outputs import OutputNames
from demucs.separate.summary import Summary, write_json

if TYPE_CHECKING:
    from demucs.api import Block, Separator
    from demucs.separate.progress import Progress

_log = logging.getLogger("demucs.separate")


def main(opts: Sequence[str] | None = None) -> None:
    """Runs the command with the arguments `opts` (None: those of the process).

    Exits with 1 if any track could not be separated (the others are), 2 if the arguments are
    wrong, 130 when interrupted, 143 or 129 when ended by SIGTERM or SIGHUP. Tracks that were not
    finished leave no files.
    """
    options = parse_options(opts)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names may not be Unicode
    try:
        with _logging(options.verbose), _ending_on_signals():
            failed = _list_models(options) if options.list_models else _separate_all(options)
    except (DemucsError, OSError) as error:
        if isinstance(error, OSError) and explain_os_error(error) is None:
            raise
        _complain(message_of(error), options.verbose)
        sys.exit(1)
    except KeyboardInterrupt as interrupt:
        _complain(str(interrupt) or "interrupted")
        sys.exit(exit_code(interrupt.name) if isinstance(interrupt, Asked) else 130)
    if failed:
        sys.exit(1)


@contextmanager
def _logging(verbose: bool) -> Iterator[None]:
    """Sends log messages to standard error, at the level that `--verbose` chooses."""
    level = logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    logger = logging.getLogger("demucs")
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Lets SIGTERM (sent by SLURM) and SIGHUP (of a closing terminal) end the command like Ctrl-C.

    No partial file is left then. Handlers that the caller or the program has set stay.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise Asked(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:  # not ignored, which is what nohup does
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _list_models(options: Options) -> int:
    """Lists the models that `-n` knows, without importing torch."""
    from demucs.release.listing import list_entries
    from demucs.separate.list_models import models_json, models_text

    if options.repo is not None and not options.repo.is_dir():
        raise ModelNotFoundError(
            f"--repo {options.repo}: there is no such folder. Name a folder of models."
        )
    entries = list_entries(options.repo)
    if options.json is None:
        print(models_text(entries, shutil.get_terminal_size((100, 24)).columns), end="")
    elif options.json == STANDARD:
        print(models_json(entries), end="")
    else:
        write_json(options.json, models_json(entries))
    return 0


def _separate_all(options: Options) -> int:
    """Separates every track, the others if one cannot be; returns how many failed."""
    from demucs.separate.progress import Progress

    arguments = find_tracks(options)
    count = len(arguments.tracks) + len(arguments.problems)
    if options.to_stdout and count != 1:
        raise ConfigError(
            f"-o -: standard output takes one track, and there are {count}: name one file, or "
            "give a folder with -o"
        )
    separator = _separator(options)
    working()  # until here, an exception may come out of an import as another one
    stems = _stems(separator.sources, options)
    names = _names(arguments.tracks, options)
    summary, complete = _begun(arguments, options), False
    progress = Progress([(track.path, track.name.name) for track in arguments.tracks])
    try:
        for track in arguments.tracks:
            progress.next()
            try:
                outputs = names.of(track.name, stems, track.below)
                if options.resume and not track.is_newer_than(list(outputs.values())):
                    _say(
                        f"Skipping track {track.path}: its stems are newer",
                        to_stderr=options.keeps_stdout_clean,
                    )
                    summary.add(track.path, "skipped", stems=_texts(outputs))
                else:
                    _separate_track(separator, track, outputs, options, progress, summary)
            except Exception as error:
                _note_failure(track, error, summary, options.verbose)
        complete = True
    finally:
        summary.write(complete)
    failed = summary.count("failed")
    if failed:
        _complain(f"{failed} of {len(summary.tracks)} tracks could not be separated")
    return failed


def _separate_track(
    separator: "Separator",
    track: Track,
    outputs: dict[str, Path],
    options: Options,
    progress: "Progress",
    summary: Summary,
) -> None:
    """Separates one track into `outputs` (stem → file), all of them or none, block by block.

    Raises:
        AudioError: the file cannot be read, or a stem cannot be written.
    """
    from demucs.separate.track import destination, open_writer, signals

    _say(f"Separating track {track.path}", to_stderr=options.keeps_stdout_clean)
    began, rate = time.monotonic(), separator.samplerate
    with (
        track.opened() as file,
        progress.bar() as bar,
        destination(outputs, options.extension if options.to_stdout else None) as paths,
    ):
        blocks = separator.separate_blocks(file, consistency=options.consistency)
        block: Block | None = next(blocks)
        assert block is not None
        total = block.total
        with open_writer(file, track.name.name, paths, block, rate, options) as writer:
            while block is not None:
                writer.write(
                    signals(block, separator.sources, options.two_stems, options.other_method)
                )
                bar.update(block.end / rate, total / rate)
                del block  # frees its memory while the next one is separated
                block = next(blocks, None)
    if writer.gain < 1:
        _log.info("%s: all stems scaled by %.4f", track.name.name, writer.gain)
    elapsed, seconds = round(time.monotonic() - began, 3), round(total / rate, 3)
    _log.info("%s: %.1f s of audio in %.1f s", track.path, seconds, elapsed)
    written = dict.fromkeys(outputs, STANDARD) if options.to_stdout else outputs
    summary.add(
        track.path, "done", stems=_texts(written), elapsed=elapsed, seconds=seconds,
        gain=writer.gain,
    )  # fmt: skip


def _note_failure(track: Track, error: Exception, summary: Summary, verbose: bool) -> None:
    if isinstance(error, (DemucsError, OSError)):
        message = message_of(error)
    else:
        remedy = "; try a shorter --segment" if "out of memory" in str(error) else ""
        message = f"{track.path}: {type(error).__name__}: {error}{remedy}"
    _complain(message, verbose)
    summary.add(track.path, "failed", error=message)


def _names(tracks: Sequence[Track], options: Options) -> OutputNames:
    """Names of the files to write, none of which is the file of `--json`."""
    names = OutputNames(
        options.folder, options.filename, options.extension, [track.path for track in tracks]
    )
    if options.json not in (None, STANDARD):
        names.reserve(options.json, "--json")
    return names


def _begun(arguments: Found, options: Options) -> Summary:
    """Prints what will be done, and begins the summary with the arguments that give no tracks."""
    if not options.to_stdout:
        _say(
            f"Separated tracks will be stored in {options.folder.resolve()}",
            to_stderr=options.keeps_stdout_clean,
        )
    for notice in unused_flags(options):
        _complain(notice)
    summary = Summary(options.model_name, options.folder, options.json)
    for note in arguments.notes:
        _say(note, to_stderr=options.keeps_stdout_clean)
    for path, problem in arguments.problems:
        _complain(problem)
        summary.add(path, "failed", error=problem)
    return summary


def _separator(options: Options) -> "Separator":
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch when it is imported

    from demucs.api import Separator
    from demucs.apply.parameters import pick_device
    from demucs.nn.allocator import return_large_blocks
    from demucs.release.from_checkpoint import load_experiment

    device = pick_device(options.device)
    if device.type == "cpu":
        return_large_blocks()
    model = load_experiment(options.sig) if options.sig else options.name
    _log.info("model %s on %s", options.model_name, device)
    return Separator(
        model,
        repo=options.repo,
        device=device,
        shifts=options.shifts,
        overlap=options.overlap,
        split=options.split,
        segment=options.segment,
        jobs=options.jobs,
        precision=options.precision,
        batch=options.batch,
        lean=True,
    )


def _stems(sources: list[str], options: Options) -> list[str]:
    """Names of the stems to write.

    Raises:
        ConfigError: `--two-stems` names a stem that the model does not have.
    """
    chosen = options.two_stems
    if chosen is None:
        return sources
    if chosen not in sources:
        raise ConfigError(
            f"--two-stems {chosen}: the model {options.model_name} has no such stem; "
            f"choose one of {', '.join(sources)}."
        )
    return [chosen] if options.other_method == "none" else [chosen, f"no_{chosen}"]


def _texts(outputs: dict[str, Path]) -> dict[str, str]:
    return {stem: str(path) for stem, path in outputs.items()}


def _say(message: str, *, to_stderr: bool) -> None:
    stream: TextIO = sys.stderr if to_stderr else sys.stdout
    print(message, file=stream, flush=True)


def _complain(message: str, verbose: bool = False) -> None:
    print(f"demucs: {message}", file=sys.stderr, flush=True)
    if verbose and sys.exc_info()[0] is not None:
        traceback.print_exc()
